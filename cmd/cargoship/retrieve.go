package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/copy"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// catalogFlags say which transfer is to be read.
type catalogFlags struct {
	destination s3.Options
	uid         string
	asJSON      bool
}

func (f *catalogFlags) add(cmd *cobra.Command, json string) {
	addDestinationFlags(cmd.Flags(), &f.destination)
	cmd.Flags().StringVar(&f.uid, "transfer", "", "the run, by UID, NAME or NAME@TIME, if it isn't the one that ended last")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, json)
}

// use opens the catalog at a target and has it used.
func (f *catalogFlags) use(ctx context.Context, target string, use func(*restore.Catalog) error) error {
	base, err := completeTarget(target, &f.destination)
	if err != nil {
		return cli.UsageError{Err: err}
	}
	client, err := s3.NewClient(ctx, f.destination)
	if err != nil {
		return err
	}
	defer client.Close()
	catalog, err := restore.Open(ctx, client, base, f.uid)
	if err != nil {
		return err
	}
	for _, w := range catalog.Warnings {
		_, _ = fmt.Fprintln(os.Stderr, "warning:", w)
	}
	return use(catalog)
}

// aboutPatterns is what help says of them.
const aboutPatterns = "A pattern is a path, or has *, ?, [...], {...} and ** for any number of directories; a directory stands for all\n" +
	"below it. The path of something that was archived is taken as it is, whatever it matches as a pattern. Quote\n" +
	"patterns for the shell; in a pattern, \\ takes the meaning from the next character: 'report \\[2026\\]*.txt'."

// resolve returns the selection that patterns on the command line make.
func resolve(ctx context.Context, c *restore.Catalog, patterns []string) (restore.Selection, error) {
	selection, err := c.Resolve(ctx, patterns)
	if errors.Is(err, restore.ErrPattern) {
		err = cli.UsageError{Err: err}
	}
	return selection, err
}

func newListCommand() *cobra.Command {
	var f catalogFlags
	cmd := &cobra.Command{
		Use:   "ls s3://BUCKET[/PREFIX] [PATTERN...]",
		Short: "List what a transfer has archived",
		Long: "List the files that a packed copy or an ArchiveTransfer has archived, or those that match a pattern,\n" +
			"from its manifests: mode, size in bytes, time and path. Names that a shell or a terminal would take for\n" +
			"something else are quoted as ls does.\n\n" + aboutPatterns,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.use(cmd.Context(), args[0], func(c *restore.Catalog) error {
				selection, err := resolve(cmd.Context(), c, args[1:])
				if err != nil {
					return err
				}
				return list(cmd, c, selection, f.asJSON)
			})
		},
	}
	f.add(cmd, "print an object for each file")
	return cmd
}

// listed is what ls prints of a file.
type listed struct {
	Path string `json:"path"`
	// PathBase64 and LinkBase64 hold the bytes of names that are not UTF-8.
	PathBase64 []byte    `json:"pathBase64,omitempty"`
	Kind       string    `json:"kind"`
	Size       int64     `json:"size"`
	Mode       string    `json:"mode"`
	ModTime    time.Time `json:"mtime"`
	Link       string    `json:"link,omitempty"`
	LinkBase64 []byte    `json:"linkBase64,omitempty"`
	SHA256     string    `json:"sha256,omitempty"`
	// SHA256Of says what the digest covers; empty for the whole content.
	SHA256Of string `json:"sha256Of,omitempty"`
	Key      string `json:"key,omitempty"`
	Outcome  string `json:"outcome"`
	Reason   string `json:"reason,omitempty"`
}

func list(cmd *cobra.Command, c *restore.Catalog, selection restore.Selection, asJSON bool) error {
	w := cmd.OutOrStdout()
	lines := json.NewEncoder(w)
	unread := 0
	for m, err := range c.Manifests(cmd.Context()) {
		if err != nil {
			if !errors.As(err, new(*restore.ManifestError)) {
				return err
			}
			if unread++; unread > maxListed {
				continue
			}
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "failed: %s\n", cli.Printable(err.Error()))
		}
		for _, f := range m.Members {
			if !selection.Takes(f.Path) {
				continue
			}
			l := describe(m, f)
			if asJSON {
				err = lines.Encode(l)
			} else {
				_, err = fmt.Fprintln(w, l.line())
			}
			if err != nil {
				return err
			}
		}
	}
	if unread > 0 {
		return fmt.Errorf("%d manifests could not be read: the list is not complete", unread)
	}
	return nil
}

func describe(m archive.Manifest, f archive.Member) listed {
	l := listed{
		Path: f.Path, Kind: string(f.Kind), Size: f.Size, Mode: archive.FormatMode(f.Mode), ModTime: f.ModTime.UTC(),
		Link: f.Link, Key: f.Key, Outcome: string(f.Outcome), Reason: f.Reason,
	}
	if f.Kind == archive.File {
		l.Kind = "File"
	}
	if !utf8.ValidString(f.Path) {
		l.PathBase64 = []byte(f.Path)
	}
	if !utf8.ValidString(f.Link) {
		l.LinkBase64 = []byte(f.Link)
	}
	if f.Tar != nil {
		l.Key, l.SHA256, l.SHA256Of = m.Object.Key, f.Tar.SHA256, string(f.Tar.SHA256Of)
	}
	return l
}

func (l listed) line() string {
	name := cli.Quote(l.Path)
	if l.Link != "" {
		name += " -> " + cli.Quote(l.Link)
	}
	if l.Outcome != string(archive.Done) {
		name += fmt.Sprintf(" (%s: %s)", strings.ToLower(l.Outcome), l.Reason)
	}
	return fmt.Sprintf("%s %12d %s %s", l.Mode, l.Size, l.ModTime.Format(time.DateTime), name)
}

// attributesMode says what it means that attributes can't be set.
type attributesMode string

const (
	attributesRequired   attributesMode = "required"
	attributesBestEffort attributesMode = "best-effort"
)

// restoreFlags are those of `cargoship restore`.
type restoreFlags struct {
	catalogFlags
	restore.Options
	attributes attributesMode
}

func newRestoreCommand() *cobra.Command {
	f := restoreFlags{attributes: attributesRequired}
	cmd := &cobra.Command{
		Use:   "restore s3://BUCKET[/PREFIX] DIR [PATTERN...]",
		Short: "Bring back what a transfer has archived",
		Long: "Restore what a packed copy or an ArchiveTransfer has archived into a directory, or only what matches a\n" +
			"pattern. Digests are checked before a file takes its name. A file that is there already with its size and\n" +
			"time isn't fetched again, and is given its mode, owner and extended attributes: so an interrupted restore is\n" +
			"simply repeated. Nothing outside of the directory is touched.\n\n" + aboutPatterns + "\n\n" +
			"Exit code 1 says that files are not restored, 4 that all are and some lack attributes.",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.use(cmd.Context(), args[0], func(c *restore.Catalog) (err error) {
				f.Catalog, f.Dir = c, args[1]
				if f.Selection, err = resolve(cmd.Context(), c, args[2:]); err != nil {
					return err
				}
				return f.run(cmd)
			})
		},
	}
	f.add(cmd, "print a summary object on the last line of standard output")
	flags := cmd.Flags()
	flags.BoolVar(&f.SameOwner, "same-owner", os.Geteuid() == 0, "give files their owners back; by default for root")
	flags.Var(choice(&f.attributes, attributesRequired, attributesBestEffort), "attributes", "required makes it a failure that a mode, owner or attribute can't be set, best-effort a warning; the file is there in either case")
	flags.BoolVar(&f.Privileged, "privileged-attributes", false, "restore set-ID bits of files, trusted.* and other security.* attributes, too; whoever can write to the bucket decides on them")
	flags.BoolVar(&f.Repair, "repair", false, "compare the content of files that are there already with their digests, and replace those that differ")
	return cmd
}

func (f *restoreFlags) run(cmd *cobra.Command) error {
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return fmt.Errorf("make the directory to restore into: %w", err)
	}
	total := int64(-1)
	if len(f.Selection) == 0 {
		total = planned(f.Catalog)
	}
	stderr := cmd.ErrOrStderr()
	bar := newBar(stderr, total, "restoring")
	f.Progress = func(s restore.Summary) { bar.show(s.Bytes, s.Files+s.Present) }
	s, err := restore.Run(cmd.Context(), f.Options)
	bar.clear()
	tellFailures(stderr, "failed", s.Failures, s.Failed)
	tellFailures(stderr, "attributes", s.AttributeFailures, s.AttributesFailed)
	if s.AttributesLeftOut > 0 {
		_, _ = fmt.Fprintf(stderr, "left out: set-ID bits or attributes of %d files: --privileged-attributes restores them, if you trust whoever can write to the bucket\n", s.AttributesLeftOut)
	}
	text := fmt.Sprintf("%d files, %s restored; %d there already, of which %d were given attributes; %d failed, %d never archived, %d lack attributes",
		s.Files, copy.FormatBytes(float64(s.Bytes)), s.Present, s.Corrected, s.Failed, s.Missing, s.AttributesFailed)
	if printErr := printResult(cmd.OutOrStdout(), s, text, f.asJSON); err == nil {
		err = printErr
	}
	if err != nil {
		return err
	}
	return f.verdict(s)
}

// verdict is the error that the outcome of a restore is worth.
func (f *restoreFlags) verdict(s restore.Summary) error {
	switch {
	case s.Failed > 0:
		return fmt.Errorf("%d files were not restored: fix the errors above and restore again", s.Failed)
	case s.Files+s.Present == 0 && len(f.Selection) > 0:
		return fmt.Errorf("nothing matches %q: cargoship ls shows what there is", []string(f.Selection))
	case s.AttributesFailed > 0 && f.attributes == attributesRequired:
		return cli.ExitError{Err: fmt.Errorf("%d files are restored without some of their attributes: fix the errors above and restore again, or give --attributes best-effort", s.AttributesFailed), Code: exitAttributes}
	default:
		return nil
	}
}

func newVerifyCommand() *cobra.Command {
	var f catalogFlags
	var readBack bool
	cmd := &cobra.Command{
		Use:   "verify s3://BUCKET[/PREFIX]",
		Short: "Compare what stands with the manifests",
		Long: "Compare size and checksum that the server keeps of every object with the manifests of a packed copy or\n" +
			"an ArchiveTransfer. With --read-back every byte is read again and every file's digest compared.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.use(cmd.Context(), args[0], func(c *restore.Catalog) error {
				return runVerify(cmd, c, readBack, f.asJSON)
			})
		},
	}
	f.add(cmd, "print a summary object on the last line of standard output")
	cmd.Flags().BoolVar(&readBack, "read-back", false, "read all data again")
	return cmd
}

func runVerify(cmd *cobra.Command, c *restore.Catalog, readBack, asJSON bool) error {
	bar := newBar(cmd.ErrOrStderr(), planned(c), "verifying")
	v, err := restore.Verify(cmd.Context(), restore.VerifyOptions{
		Catalog: c, ReadBack: readBack,
		Progress: func(v restore.Verification) { bar.show(v.Bytes, v.Files) },
	})
	bar.clear()
	tellFailures(cmd.ErrOrStderr(), "failed", v.Failures, v.Wrong)
	if v.ByETag > 0 {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "warning: the server keeps no checksum of %d objects: their sizes and ETags were compared, "+
			"which tells what was replaced but not what was damaged there; use --read-back to read all data again\n", v.ByETag)
	}
	text := fmt.Sprintf("%d objects with %d files, %s, as the manifests say; %d wrong, %d never archived",
		v.Objects, v.Files, copy.FormatBytes(float64(v.Bytes)), v.Wrong, v.Missing)
	if printErr := printResult(cmd.OutOrStdout(), v, text, asJSON); err == nil {
		err = printErr
	}
	if err == nil && v.Wrong > 0 {
		err = fmt.Errorf("%d objects or files are not as the manifests say: archive them again", v.Wrong)
	}
	return err
}

// planned sums the sizes of all files of a transfer.
func planned(c *restore.Catalog) (bytes int64) {
	for _, p := range c.Index.Prefixes {
		bytes += p.Bytes
	}
	return bytes
}

func printResult(w io.Writer, result any, text string, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(result)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func tellFailures(w io.Writer, what string, list []restore.Failure, all int64) {
	for _, f := range list[:min(len(list), maxListed)] {
		_, _ = fmt.Fprintf(w, "%s: %s: %s\n", what, cli.Quote(f.Path), cli.Printable(strings.ReplaceAll(f.Message, "\n", "; ")))
	}
	if more := all - maxListed; more > 0 {
		_, _ = fmt.Fprintf(w, "%s: %d more\n", what, more)
	}
}

// lineInterval is how often progress is told where no terminal shows a bar.
const lineInterval = 5 * time.Second

// bar shows progress: a bar on a terminal, else a line now and then.
type bar struct {
	bar  *progressbar.ProgressBar // nil without a terminal
	out  io.Writer
	what string
	told time.Time
}

// newBar returns a bar of so many bytes; -1 if they are not known.
func newBar(out io.Writer, total int64, what string) *bar {
	b := &bar{out: out, what: what, told: time.Now()}
	if isTerminal(out) {
		b.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(true),
			progressbar.OptionUseIECUnits(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return b
}

func (b *bar) show(bytes, files int64) {
	switch {
	case b.bar != nil:
		_ = b.bar.Set64(bytes)
	case time.Since(b.told) >= lineInterval:
		b.told = time.Now()
		_, _ = fmt.Fprintf(b.out, "%s: %d files, %s\n", b.what, files, copy.FormatBytes(float64(bytes)))
	}
}

func (b *bar) clear() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}
