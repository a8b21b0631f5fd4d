package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/worker"
)

func newFinishCommand() *cobra.Command {
	var f siteFlags
	var o worker.FinishOptions
	var expected worker.Expected
	var terminationLog string
	counts := map[string]*archive.Count{
		"planned": &expected.Planned, "done": &expected.Done, "failed": &expected.Failed, "skipped": &expected.Skipped,
	}
	cmd := &cobra.Command{
		Use:   "finish",
		Short: "Close an ArchiveTransfer or ArchiveRestore whose workers have ended",
		Long: "Abort the multipart uploads that the workers of an ArchiveTransfer left open, check the manifests in the\n" +
			"bucket against plan, inventory and the expected counts, and write the index. Of an ArchiveRestore: give\n" +
			"directories their attributes, and check the target against the run and the expected counts. Exit code 3 means\n" +
			"that the counts differ; no index is written, and rerunning does not help.",
		Args: cobra.NoArgs,
		RunE: cli.Traced(service, func(cmd *cobra.Command, _ []string) error {
			given := 0
			for name := range counts {
				if cmd.Flags().Changed("expect-" + name) {
					given++
				}
			}
			if given != 0 && given != len(counts) {
				return cli.UsageError{Err: errors.New("--expect-planned, --expect-done, --expect-failed and --expect-skipped must be given together")}
			}
			if given > 0 {
				o.Expect = &expected
			}
			site, err := f.site()
			if err == nil {
				err = site.Finish(cmd.Context(), o, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
			}
			if err != nil {
				leaveMessage(terminationLog, err)
			}
			return err
		}),
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&o.AbortOnly, "abort", false, "only abort open uploads: the transfer is being deleted")
	flags.BoolVar(&o.Partial, "partial", false, "the transfer was stopped before it was complete: list files that were not archived as failed")
	for name, count := range counts {
		flags.Var((*countValue)(count), "expect-"+name, "files and bytes that the manager counted as "+name)
	}
	flags.StringVar(&terminationLog, "termination-log", "/dev/termination-log", "file to write the error to, if any")
	return cmd
}

// leaveMessage writes an error where Kubernetes looks for a container's termination message.
// Outside of a pod there is no such file.
func leaveMessage(path string, err error) {
	file, openErr := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if openErr != nil {
		return
	}
	_, _ = file.WriteString(err.Error()) // The error is on standard error, too.
	_ = file.Close()
}

// countValue is a flag that takes FILES/BYTES.
type countValue archive.Count

var _ pflag.Value = (*countValue)(nil)

func (c *countValue) String() string { return archive.Count(*c).String() }

func (c *countValue) Type() string { return "FILES/BYTES" }

func (c *countValue) Set(text string) error {
	files, bytes, _ := strings.Cut(text, "/")
	n, err := strconv.ParseInt(files, 10, 64)
	m, bytesErr := strconv.ParseInt(bytes, 10, 64)
	if err != nil || bytesErr != nil || n < 0 || m < 0 {
		return fmt.Errorf("%q is not FILES/BYTES, such as 12/3456", text)
	}
	*c = countValue{Files: n, Bytes: m}
	return nil
}
