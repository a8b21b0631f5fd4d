package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/copy"
)

// maxListed bounds the failed files that are named on the terminal.
const maxListed = 20

func newCopyCommand() *cobra.Command {
	o := copy.Options{Layout: archive.Layout{Pattern: archive.Mirror}}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "copy DIR s3://BUCKET[/PREFIX]",
		Short: "Copy a directory into a bucket, without a cluster",
		Long: "Copy the files of a directory into a bucket, each as one object whose checksum the server verifies.\n" +
			"Credentials come from --credentials-dir, or from the environment as with the AWS tools.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := complete(&o, args); err != nil {
				return usageError{err}
			}
			return runCopy(cmd, o, asJSON)
		},
	}
	addCopyFlags(cmd, &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a summary object on the last line of standard output")
	return cmd
}

func addCopyFlags(cmd *cobra.Command, o *copy.Options) {
	f, d := cmd.Flags(), &o.Destination
	f.StringVar(&d.Endpoint, "endpoint-url", "", "URL of the S3 server; Amazon S3 by default")
	f.StringVar(&d.Region, "region", "", "region of the bucket")
	f.BoolVar(&d.PathStyle, "path-style", false, "put the bucket into the path rather than the host name")
	f.StringVar(&d.CredentialsDir, "credentials-dir", "", "directory with the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if need be, AWS_SESSION_TOKEN")
	f.StringVar(&d.CAFile, "ca-file", "", "certificates, as PEM, to trust besides the system's")
	f.StringVar(&d.StorageClass, "storage-class", "", "storage class of the objects; the bucket's default otherwise")
	f.StringArrayVar(&o.Include, "include", nil, "copy only what this pattern matches, such as 'logs/**/*.gz'; may be repeated")
	f.StringArrayVar(&o.Exclude, "exclude", nil, "leave out what this pattern matches; may be repeated and wins over --include")
	f.IntVar(&o.Layout.Count, "prefixes", 0, "the most key prefixes to control separately; automatic by default")
	f.Var(choice(&o.Layout.Pattern, archive.Mirror, archive.Hash), "pattern", "mirror keeps the tree, hash spreads the files over two-digit prefixes")
	f.Var(choice(&o.Strategy, copy.Strategies()...), "strategy", "how prefixes share the window: TCPLike, FairShare or, by default, Adaptive")
	packing := packingObjects
	f.Var(choice(&packing, packingObjects), "packing", "objects makes an object of each file")
	f.BoolVar(&o.Uncoordinated, "uncoordinated", false, "use fixed windows instead of congestion control")
}

const packingObjects = "objects"

// complete takes in the arguments and checks what belongs together.
func complete(o *copy.Options, args []string) error {
	var err error
	o.Source = args[0]
	if o.Destination.Bucket, o.Layout.Base, err = copy.ParseTarget(args[1]); err != nil {
		return err
	}
	if err := copy.ParseEndpoint(o.Destination.Endpoint); err != nil {
		return err
	}
	if err := archive.CheckPatterns(o.Include, o.Exclude); err != nil {
		return err
	}
	return o.Layout.Validate()
}

func runCopy(cmd *cobra.Command, o copy.Options, asJSON bool) error {
	stderr := cmd.ErrOrStderr()
	printer := copy.NewPrinter(stderr, isTerminal(stderr), o.Uncoordinated)
	o.Progress = printer.Show
	o.Logger = slog.New(slog.NewTextHandler(printer, &slog.HandlerOptions{Level: slog.LevelWarn}))
	summary, err := copy.Run(cmd.Context(), o)
	printer.Clear()
	listFailures(stderr, summary)
	if summary.Seconds > 0 {
		if printErr := printSummary(cmd.OutOrStdout(), summary, asJSON); err == nil {
			err = printErr
		}
	}
	if err == nil && summary.Failed > 0 {
		err = fmt.Errorf("%d files were not copied: mend what is said above and copy again", summary.Failed)
	}
	return err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
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
}

func printSummary(w io.Writer, s copy.Summary, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	_, err := fmt.Fprintf(w, "%d files, %s in %v, %s/s, verified with %s; %d skipped, %d failed\n",
		s.Files, copy.FormatBytes(float64(s.Bytes)), time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond),
		copy.FormatBytes(s.Throughput), s.Checksum, s.Skipped, s.Failed)
	return err
}

// choiceValue is a flag whose value is one of a few words. Case doesn't matter,
// nor do the underscores and dashes of other spellings.
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
		if strings.EqualFold(bare.Replace(text), string(a)) {
			*c.value = a
			return nil
		}
		words = append(words, string(a))
	}
	return fmt.Errorf("must be %s", strings.Join(words, ", "))
}
