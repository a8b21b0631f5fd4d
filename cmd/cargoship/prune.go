package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

const (
	// safetyAge is how long an unfinished run must have been inactive before it is removed:
	// longer than transfers are commonly suspended.
	safetyAge = 7 * 24 * time.Hour
	// leastSafetyAge allows for clock skew and for large files, during which a worker of a
	// transfer stores nothing else.
	leastSafetyAge = 24 * time.Hour
)

func newPruneCommand() *cobra.Command {
	var destination s3.Options
	var unreferenced, yes bool
	var output outputFlags
	var age time.Duration
	var keepLast int
	cmd := &cobra.Command{
		Use:   "prune s3://BUCKET[/PREFIX] (--unreferenced | --keep-last N)",
		Short: "Remove leftovers of unfinished runs and expired runs",
		Long: "Remove archives of packed runs that no index references and no run is writing, and all leftovers of unfinished\n" +
			"runs. Objects that a finished run references are never removed, nor are files stored as objects of their own\n" +
			"outside of packed runs. Without --yes, only report what would be removed. An unfinished run counts as dead after\n" +
			"--older-than without activity: raise it if a transfer is suspended for longer. While a younger run is unfinished,\n" +
			"leftovers of runs without an index are kept.\n" +
			"With --keep-last N, also remove finished packed runs older than --older-than, except the last N of each source\n" +
			"and what these reference; none is removed while a younger run is unfinished.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			base, err := completeTarget(args[0], &destination)
			switch {
			case err != nil:
			case cmd.Flags().Changed("keep-last") && keepLast < 1:
				err = fmt.Errorf("--keep-last %d: must be at least 1", keepLast)
			case !unreferenced && keepLast == 0:
				err = errors.New("choose what to remove: --unreferenced or --keep-last N")
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
			if printErr := printResult(cmd.OutOrStdout(), p, describePruned(p, yes), output); err == nil {
				err = printErr
			}
			return err
		},
	}
	flags := cmd.Flags()
	addDestinationFlags(flags, &destination)
	flags.BoolVar(&unreferenced, "unreferenced", false, "remove what no finished run references")
	flags.IntVar(&keepLast, "keep-last", 0, "also remove finished packed runs, except the last `N` of each source")
	flags.BoolVar(&yes, "yes", false, "remove; otherwise only report")
	flags.DurationVar(&age, "older-than", safetyAge, "keep whatever is younger")
	output.add(flags, "print a summary object on the last line of standard output")
	return cmd
}

func describePruned(p restore.Pruned, removed bool) string {
	verb := "would be removed (dry run: use --yes to remove)"
	if removed {
		verb = "removed"
	}
	text := fmt.Sprintf("%d unreferenced objects, %s, and %d unfinished runs with %d bookkeeping objects and %d open uploads %s; %d unfinished runs are too young",
		p.Objects, convert.Bytes(p.Bytes), p.Runs, p.Bookkeeping, p.Uploads, verb, p.Alive)
	if p.Expired > 0 {
		text += fmt.Sprintf("; this includes the objects of %d expired runs", p.Expired)
	}
	if p.Waiting > 0 {
		text += fmt.Sprintf("; %d older ones are kept until those have ended", p.Waiting)
	}
	return text
}
