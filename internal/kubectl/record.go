package kubectl

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/record"
)

func newRecordCommand(a *access) *cobra.Command {
	length := record.For
	cmd := &cobra.Command{
		Use:   "record NAME",
		Short: "Print a scenario for the simulator that resembles a transfer, without names",
		Long: "Print a scenario for the simulator (docs/simulator.md) with the workers, prefixes, request sizes, service times\n" +
			"and limit of a transfer, for a bug report or a \"what if\". It contains no names.\n" +
			"It watches the transfer for half a minute: record one that moves data and has settled. Once it has ended, only\n" +
			"counts and the mean throughput are known.\n" +
			"`make simulate SCENARIO=FILE` runs it.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if length <= 0 {
				return cli.UsageError{Err: fmt.Errorf("--for must be more than 0s")}
			}
			text, err := a.record(cmd.Context(), args[0], length)
			if err == nil {
				_, err = io.WriteString(cmd.OutOrStdout(), text)
			}
			return err
		},
	}
	cmd.Flags().DurationVar(&length, "for", length, "how long to watch it")
	return cmd
}

// record looks again and again at a run that goes on.
func (a *access) record(ctx context.Context, name string, length time.Duration) (string, error) {
	looked := time.NewTicker(min(length, record.Every))
	defer looked.Stop()
	var sights []record.Sight
	for end := time.Now().Add(length); ; {
		one, err := a.sight(ctx, name)
		if err != nil {
			return "", err
		}
		if one.Run.Ended() {
			return record.Scenario(one)
		}
		if sights = append(sights, one); len(sights) > 1 && !time.Now().Before(end) {
			return record.Scenario(sights...)
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-looked.C:
		}
	}
}

func (a *access) sight(ctx context.Context, name string) (record.Sight, error) {
	one, leases, err := a.observed(ctx, name)
	if err != nil {
		return record.Sight{}, err
	}
	return record.Sight{Run: one.run, Leases: leases[string(one.GetUID())]}, nil
}
