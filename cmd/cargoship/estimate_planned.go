package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/s3"
)

// newPlannedEstimateCommand estimates by what a transfer has listed: its source is a volume of
// the cluster.
func newPlannedEstimateCommand(in place) *cobra.Command {
	var destination s3.Options
	var prices string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "estimate " + in.arg,
		Short: "Estimate the objects, requests and cost of a transfer, from what it has listed",
		Long: "Print how many archives, objects, bytes and requests a transfer takes in all, and its cost by storage class, from\n" +
			"the inventory that it has written to the bucket. Sizes are before compression. Prices are those of\n" +
			"cargoship estimate.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: in.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			table, err := readPrices(prices)
			if err != nil {
				return cli.UsageError{Err: err}
			}
			base, uid, err := in.find(cmd.Context(), args[0], &destination)
			if err != nil {
				return err
			}
			client, err := s3.NewClient(cmd.Context(), destination)
			if err != nil {
				return err
			}
			defer client.Close()
			e, whole, err := estimatePlanned(cmd.Context(), client, archive.Layout{Base: base, UID: uid})
			if err != nil {
				return err
			}
			if !whole {
				_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "warning: the source is still being listed: this is what it has listed so far")
			}
			e.price(table)
			return e.print(cmd.OutOrStdout(), asJSON)
		},
	}
	addDestinationFlags(cmd.Flags(), &destination)
	cmd.Flags().StringVar(&prices, "prices", "", "file with a price table, as JSON")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the estimate as a JSON object")
	return cmd
}

// estimatePlanned counts the inventory of a run, of whose layout base and UID are given, and
// tells whether its source is listed to the end.
func estimatePlanned(ctx context.Context, bucket archive.Store, l archive.Layout) (e estimate, whole bool, err error) {
	plan, found, err := archive.ReadPlan(ctx, bucket, l)
	switch {
	case err != nil:
		return e, false, err
	case !found:
		return e, false, errors.New("the transfer has listed nothing yet: ask again once it has started")
	}
	e.bookkeeping(plan.Layout)
	members := int64(0)
	inventory := archive.NewInventory(bucket, plan.Layout)
	for _, prefix := range plan.Layout.Prefixes() {
		for listed, err := range inventory.Listed(ctx, prefix) {
			var a archive.Archive
			if err == nil {
				a, err = inventory.Archive(ctx, prefix, listed.Number)
			}
			if err != nil {
				return e, false, fmt.Errorf("read what is planned: %w", err)
			}
			e.add(plan.Layout, a)
			members += a.Files()
		}
	}
	e.pathIndex(members)
	return e, plan.Complete, nil
}
