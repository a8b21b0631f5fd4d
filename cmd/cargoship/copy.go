package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/copy"
	"cargoship.dev/operator/internal/upload"
)

// maxListed bounds how many failed files are printed.
const maxListed = 20

// copyFlags are the flags of `cargoship copy`.
type copyFlags struct {
	copy.Options
	packing packingFlags
	asked   askedFlags
	limits  limitFlags
	forget  bool
	output  outputFlags
}

func newCopyCommand() *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use:   "copy DIR s3://BUCKET[/PREFIX]",
		Short: "Copy a directory to a bucket, without a cluster",
		Long: "Copy the files of a directory to a bucket, each as an object or packed into tar archives. The server verifies\n" +
			"all checksums. Manifests are stored for ls, restore and verify.\n" +
			"Credentials come from --credentials-dir or, as with the AWS CLI, from the environment.",
		Args: cobra.ExactArgs(2),
		RunE: cli.Traced(service, func(cmd *cobra.Command, args []string) error {
			if err := f.complete(args); err != nil {
				return cli.UsageError{Err: err}
			}
			return runCopy(cmd, f.Options, f.output)
		}),
	}
	f.add(cmd)
	return cmd
}

func (f *copyFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	addDestinationFlags(flags, &f.Destination)
	f.asked.add(flags, &f.Destination)
	addSourceFlags(flags, &f.Include, &f.Exclude)
	f.packing.add(flags, &f.Layout)
	f.limits.add(flags)
	flags.BoolVar(&f.forget, "no-memory", false, "neither use nor keep what was found out about the destination, in the user's cache directory")
	flags.Var(choice(&f.Strategy, copy.Strategies()...), "strategy", "how prefixes share the window: TCPLike, FairShare or Adaptive (default)")
	f.Sync = upload.SyncNone
	flags.Var(choice(&f.Sync, upload.SyncNone, upload.SyncSizeAndTime, upload.SyncChecksum), "sync", "skip files that exist with the same size and time, or checksum: None, SizeAndTime or Checksum")
	flags.BoolVar(&f.Destination.NoOverwrite, "no-overwrite", false, "never overwrite; report existing objects as failed")
	flags.BoolVar(&f.Uncoordinated, "uncoordinated", false, "use fixed windows instead of congestion control")
	f.output.add(flags, "print a summary object on the last line of standard output")
}

// complete parses the arguments and checks combinations of flags.
func (f *copyFlags) complete(args []string) error {
	f.Source, f.Name = args[0], archiveName(args[0])
	if err := f.packing.complete(&f.Layout, f.Source); err != nil {
		return err
	}
	var err error
	if f.Layout.Base, err = completeTarget(args[1], &f.Destination); err != nil {
		return err
	}
	if err := f.asked.complete(&f.Destination); err != nil {
		return err
	}
	if !f.forget {
		f.Memory = memoryDirectory()
	}
	if f.Limits, err = f.limits.complete(); err != nil {
		return err
	}
	if err := archive.CheckPatterns(f.Include, f.Exclude); err != nil {
		return err
	}
	return f.Layout.Validate()
}

// memoryDirectory is where the user's cache has what destinations are known for. Nothing is
// remembered for a user without a home: making one would be the system's business.
func memoryDirectory() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	if _, err := os.Stat(filepath.Dir(cache)); err != nil {
		return ""
	}
	return filepath.Join(cache, "cargoship", "destinations")
}

func runCopy(cmd *cobra.Command, o copy.Options, output outputFlags) error {
	stderr := cmd.ErrOrStderr()
	printer := copy.NewPrinter(stderr, isTerminal(stderr), o.Uncoordinated)
	o.Progress = printer.Show
	o.Logger = slog.New(slog.NewTextHandler(printer, &slog.HandlerOptions{Level: slog.LevelWarn}))
	summary, err := copy.Run(cmd.Context(), o)
	printer.Clear()
	listFailures(stderr, summary)
	if summary.Seconds > 0 {
		if printErr := printSummary(cmd.OutOrStdout(), summary, output); err == nil {
			err = printErr
		}
	}
	if err == nil && summary.Files+summary.Skipped+summary.Failed == 0 {
		_, _ = fmt.Fprintf(stderr, "warning: %s contains no files: nothing was copied\n", o.Source)
	}
	if err == nil && summary.Failed > 0 {
		err = fmt.Errorf("%d files were not copied: fix the errors above and rerun", summary.Failed)
	}
	return err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

func listFailures(w io.Writer, s copy.Summary) {
	for _, f := range s.Failures[:min(len(s.Failures), maxListed)] {
		text := f.Message
		if text == "" {
			text = fmt.Sprintf("source entry %q", f.Path)
		}
		_, _ = fmt.Fprintf(w, "failed: %s: %s\n", f.Reason, text)
	}
	if more := s.Failed - maxListed; more > 0 && len(s.Failures) > maxListed {
		_, _ = fmt.Fprintf(w, "failed: %d more\n", more)
	}
	if s.AttributesNotKept > 0 {
		_, _ = fmt.Fprintf(w, "warning: extended attributes of %d files were not archived: %q\n", s.AttributesNotKept, s.NotKept)
	}
}

func printSummary(w io.Writer, s copy.Summary, output outputFlags) error {
	if !output.forPeople() {
		return output.print(w, s)
	}
	hedged := ""
	if s.Hedged > 0 {
		hedged = fmt.Sprintf("; %d late requests sent twice", s.Hedged)
	}
	_, err := fmt.Fprintf(w, "%d files, %s in %v, %s/s, verified with %s; %d unchanged, %d skipped, %d failed%s; peak memory %s\n",
		s.Files, convert.Bytes(s.Bytes), time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond),
		convert.Bytes(int64(s.Throughput)), s.Checksum, s.Kept, s.Skipped, s.Failed, hedged, convert.Bytes(s.PeakMemory))
	return err
}

// choiceValue is a flag with an enumerated value. Case, underscores and dashes are ignored.
type choiceValue[T ~string] struct {
	value   *T
	allowed []T
}

func choice[T ~string](value *T, allowed ...T) *choiceValue[T] {
	return &choiceValue[T]{value, allowed}
}

func (c *choiceValue[T]) String() string {
	if c.value == nil {
		return ""
	}
	return string(*c.value)
}

func (c *choiceValue[T]) Type() string { return "word" }

func (c *choiceValue[T]) Set(text string) error {
	bare := strings.NewReplacer("_", "", "-", "")
	var words []string
	for _, a := range c.allowed {
		if strings.EqualFold(bare.Replace(text), bare.Replace(string(a))) {
			*c.value = a
			return nil
		}
		words = append(words, string(a))
	}
	return fmt.Errorf("must be %s", strings.Join(words, ", "))
}
