package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/copy"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/transfer"
)

// catalogFlags say which transfer is to be read.
type catalogFlags struct {
	destination transfer.Options
	uid         string
	asJSON      bool
}

func (f *catalogFlags) add(cmd *cobra.Command, json string) {
	addDestinationFlags(cmd.Flags(), &f.destination)
	cmd.Flags().StringVar(&f.uid, "transfer", "", "the run, by UID, NAME or NAME@TIME, if it isn't the one that ended last")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, json)
}

// use opens the catalog at a target and has it used.
func (f *catalogFlags) use(ctx context.Context, target string, selection restore.Selection, use func(*restore.Catalog) error) error {
	base, err := completeTarget(target, &f.destination)
	if err == nil {
		err = selection.Validate()
	}
	if err != nil {
		return usageError{err}
	}
	client, err := transfer.NewClient(ctx, f.destination)
	if err != nil {
		return err
	}
	defer client.Close()
	catalog, err := restore.Open(ctx, client, base, f.uid)
	if err != nil {
		return err
	}
	return use(catalog)
}

func newListCommand() *cobra.Command {
	var f catalogFlags
	cmd := &cobra.Command{
		Use:   "ls s3://BUCKET[/PREFIX] [PATTERN...]",
		Short: "List what a transfer has archived",
		Long: "List the files that a packed copy or an ArchiveTransfer has archived, or those that match a pattern,\n" +
			"from its manifests: mode, size in bytes, time and path.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			selection := restore.Selection(args[1:])
			return f.use(cmd.Context(), args[0], selection, func(c *restore.Catalog) error {
				return list(cmd.Context(), cmd.OutOrStdout(), c, selection, f.asJSON)
			})
		},
	}
	f.add(cmd, "print an object for each file")
	return cmd
}

// listed is what ls prints of a file.
type listed struct {
	Path    string    `json:"path"`
	Kind    string    `json:"kind"`
	Size    int64     `json:"size"`
	Mode    string    `json:"mode"`
	ModTime time.Time `json:"mtime"`
	Link    string    `json:"link,omitempty"`
	SHA256  string    `json:"sha256,omitempty"`
	// SHA256Of says what the digest covers; empty for the whole content.
	SHA256Of string `json:"sha256Of,omitempty"`
	Key      string `json:"key,omitempty"`
	Outcome  string `json:"outcome"`
	Reason   string `json:"reason,omitempty"`
}

func list(ctx context.Context, w io.Writer, c *restore.Catalog, selection restore.Selection, asJSON bool) error {
	lines := json.NewEncoder(w)
	for m, err := range c.Manifests(ctx) {
		if err != nil {
			return err
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
	if f.Tar != nil {
		l.Key, l.SHA256, l.SHA256Of = m.Object.Key, f.Tar.SHA256, string(f.Tar.SHA256Of)
	}
	return l
}

func (l listed) line() string {
	name := l.Path
	if l.Link != "" {
		name += " -> " + l.Link
	}
	if l.Outcome != string(archive.Done) {
		name += fmt.Sprintf(" (%s: %s)", strings.ToLower(l.Outcome), l.Reason)
	}
	return fmt.Sprintf("%s %12d %s %s", l.Mode, l.Size, l.ModTime.Format(time.DateTime), name)
}

func newRestoreCommand() *cobra.Command {
	var f catalogFlags
	var sameOwner bool
	cmd := &cobra.Command{
		Use:   "restore s3://BUCKET[/PREFIX] DIR [PATTERN...]",
		Short: "Bring back what a transfer has archived",
		Long: "Restore what a packed copy or an ArchiveTransfer has archived into a directory, or only what matches a\n" +
			"pattern. Digests are checked before a file takes its name; a file that stands already with its size and\n" +
			"time isn't fetched again, so that an interrupted restore is simply repeated. Nothing outside of the\n" +
			"directory is touched.",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			selection := restore.Selection(args[2:])
			return f.use(cmd.Context(), args[0], selection, func(c *restore.Catalog) error {
				return runRestore(cmd, c, restore.Options{Catalog: c, Selection: selection, Dir: args[1], SameOwner: sameOwner}, f.asJSON)
			})
		},
	}
	f.add(cmd, "print a summary object on the last line of standard output")
	cmd.Flags().BoolVar(&sameOwner, "same-owner", os.Geteuid() == 0, "give files their owners back; by default for root")
	return cmd
}

func runRestore(cmd *cobra.Command, c *restore.Catalog, o restore.Options, asJSON bool) error {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return fmt.Errorf("make the directory to restore into: %w", err)
	}
	total := int64(-1)
	if len(o.Selection) == 0 {
		total = planned(c)
	}
	bar := newBar(cmd.ErrOrStderr(), total, "restoring")
	o.Progress = func(s restore.Summary) { bar.show(s.Bytes, s.Files+s.Present) }
	s, err := restore.Run(cmd.Context(), o)
	bar.clear()
	tellFailures(cmd.ErrOrStderr(), s.Failures, s.Failed)
	text := fmt.Sprintf("%d files, %s restored; %d there already, %d failed, %d never archived",
		s.Files, copy.FormatBytes(float64(s.Bytes)), s.Present, s.Failed, s.Missing)
	if printErr := printResult(cmd.OutOrStdout(), s, text, asJSON); err == nil {
		err = printErr
	}
	switch {
	case err != nil:
		return err
	case s.Failed > 0:
		return fmt.Errorf("%d files were not restored: mend what is said above and restore again", s.Failed)
	case s.Files+s.Present == 0 && len(o.Selection) > 0:
		return fmt.Errorf("nothing matches %q: worker ls shows what there is", []string(o.Selection))
	}
	return nil
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
			return f.use(cmd.Context(), args[0], nil, func(c *restore.Catalog) error {
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
	tellFailures(cmd.ErrOrStderr(), v.Failures, v.Wrong)
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

func tellFailures(w io.Writer, list []restore.Failure, all int64) {
	for _, f := range list[:min(len(list), maxListed)] {
		_, _ = fmt.Fprintf(w, "failed: %q: %s\n", f.Path, f.Message)
	}
	if more := all - maxListed; more > 0 {
		_, _ = fmt.Fprintf(w, "failed: %d more\n", more)
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
