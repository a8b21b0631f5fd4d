package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/copy"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

const (
	// safetyAge is how long nothing may have been heard of an unfinished run before it is
	// removed: longer than a transfer is commonly suspended.
	safetyAge = 7 * 24 * time.Hour
	// leastSafetyAge leaves room for clocks that differ and for a large file on its way,
	// which a worker of a transfer sends without a sign of life.
	leastSafetyAge = 24 * time.Hour
)

func newPruneCommand() *cobra.Command {
	var destination s3.Options
	var unreferenced, yes, asJSON bool
	var age time.Duration
	var keepLast int
	cmd := &cobra.Command{
		Use:   "prune s3://BUCKET[/PREFIX] (--unreferenced | --keep-last N)",
		Short: "Remove what no finished run refers to",
		Long: "Remove the archives of packed runs that no index refers to and no run is writing, and all that unfinished\n" +
			"runs have left. What a finished run refers to is never removed, nor are files that are objects at keys of\n" +
			"their own. Without --yes it only says what it would remove. A run counts as unfinished for good when it has\n" +
			"shown no sign of life for the time of --older-than: give more than that if a transfer is suspended for longer.\n" +
			"As long as there is an unfinished run that is younger, what runs without an index have left stays.\n" +
			"With --keep-last N, finished packed runs older than --older-than are removed as well, except the last N of each\n" +
			"source and what these refer to; none is while a run is unfinished and younger.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			base, err := completeTarget(args[0], &destination)
			switch {
			case err != nil:
			case cmd.Flags().Changed("keep-last") && keepLast < 1:
				err = fmt.Errorf("--keep-last %d: must be at least 1", keepLast)
			case !unreferenced && keepLast == 0:
				err = errors.New("say what to remove: --unreferenced, or --keep-last N")
			case age < leastSafetyAge:
				err = fmt.Errorf("--older-than %v: must be at least %v, since a run may be writing", age, leastSafetyAge)
			}
			if err != nil {
				return cli.UsageError{Err: err}
			}
			client, err := s3.NewClient(cmd.Context(), destination)
			if err != nil {
				return err
			}
			defer client.Close()
			p, err := restore.Prune(cmd.Context(), restore.PruneOptions{
				Bucket: client, Base: base, Before: time.Now().Add(-age), KeepLast: keepLast, Remove: yes,
			})
			if printErr := printResult(cmd.OutOrStdout(), p, describePruned(p, yes), asJSON); err == nil {
				err = printErr
			}
			return err
		},
	}
	flags := cmd.Flags()
	addDestinationFlags(flags, &destination)
	flags.BoolVar(&unreferenced, "unreferenced", false, "remove what no finished run refers to")
	flags.IntVar(&keepLast, "keep-last", 0, "remove the finished packed runs of each source but the last `N`, too")
	flags.BoolVar(&yes, "yes", false, "remove; otherwise nothing is changed")
	flags.DurationVar(&age, "older-than", safetyAge, "leave alone what is younger")
	flags.BoolVar(&asJSON, "json", false, "print a summary object on the last line of standard output")
	return cmd
}

func describePruned(p restore.Pruned, removed bool) string {
	verb := "to be removed (nothing was changed: repeat with --yes)"
	if removed {
		verb = "removed"
	}
	text := fmt.Sprintf("%d objects, %s, that no run refers to, and %d unfinished runs with %d bookkeeping objects and %d open uploads %s; %d unfinished runs are too young",
		p.Objects, copy.FormatBytes(float64(p.Bytes)), p.Runs, p.Bookkeeping, p.Uploads, verb, p.Alive)
	if p.Expired > 0 {
		text += fmt.Sprintf("; among the objects are those of %d finished runs that have expired", p.Expired)
	}
	if p.Waiting > 0 {
		text += fmt.Sprintf(", and %d older ones are left until those have ended", p.Waiting)
	}
	return text
}
