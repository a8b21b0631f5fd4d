package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/estimate"
	"cargoship.dev/operator/internal/s3"
)

// newPlannedEstimateCommand estimates from the inventory of a transfer, whose source is a
// volume of the cluster.
func newPlannedEstimateCommand(in place) *cobra.Command {
	var destination s3.Options
	var f estimateFlags
	cmd := &cobra.Command{
		Use:   "estimate " + in.arg,
		Short: "Estimate the objects, requests and cost of a transfer, from what it has listed",
		Long: "Print how many archives, objects, bytes and requests a transfer takes in all, and its cost by storage class, from\n" +
			"the inventory that it has written to the bucket. Sizes are before compression. Prices are those of\n" +
			"cargoship estimate.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: in.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			table, terms, err := f.complete()
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
			run, whole, err := estimate.Planned(cmd.Context(), client, archive.Layout{Base: base, UID: uid}, table)
			if err != nil {
				return err
			}
			if !whole {
				_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "warning: the source is still being listed: this is what it has listed so far")
			}
			way := estimate.NewWay(run, table, terms)
			return newEstimated([]estimate.Way{way}, table, terms).print(cmd.OutOrStdout(), f.output)
		},
	}
	addDestinationFlags(cmd.Flags(), &destination)
	f.add(cmd.Flags())
	return cmd
}
