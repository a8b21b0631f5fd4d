package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// catalogFlags select the transfer to read.
type catalogFlags struct {
	place       place
	destination s3.Options
	uid         string
	output      outputFlags
}

func (f *catalogFlags) add(cmd *cobra.Command, json string) {
	addDestinationFlags(cmd.Flags(), &f.destination)
	cmd.Flags().StringVar(&f.uid, "transfer", "", "the run, as UID, NAME or NAME@TIME; "+f.place.otherwise+" by default")
	f.output.add(cmd.Flags(), json)
	cmd.ValidArgsFunction = f.place.complete
}

// use opens the catalog at a target and calls a function with it.
func (f *catalogFlags) use(ctx context.Context, target string, use func(*restore.Catalog) error) error {
	base, uid, err := f.place.find(ctx, target, &f.destination)
	if err != nil {
		return err
	}
	f.uid = cmp.Or(f.uid, uid)
	client, err := s3.NewClient(ctx, f.destination)
	if err != nil {
		return err
	}
	defer client.Close()
	catalog, err := restore.Open(ctx, client, base, f.uid)
	if err != nil {
		return err
	}
	warn(os.Stderr, catalog.Warnings)
	return use(catalog)
}

func warn(w io.Writer, warnings []string) {
	for _, text := range warnings {
		_, _ = fmt.Fprintln(w, "warning:", cli.Printable(text))
	}
}

// aboutPatterns describes them in the help.
const aboutPatterns = "A pattern is a path with the wildcards *, ?, [...], {...}, and ** for any number of directories; a directory\n" +
	"selects everything below it. A pattern that is the exact path of an archived file selects that file only.\n" +
	"Quote patterns for the shell, and escape wildcards with \\: 'report \\[2026\\]*.txt'."

// resolve returns the selection for the patterns on the command line.
func resolve(ctx context.Context, c *restore.Catalog, patterns []string) (restore.Selection, error) {
	selection, err := c.Resolve(ctx, patterns)
	if errors.Is(err, restore.ErrPattern) {
		err = cli.UsageError{Err: err}
	}
	return selection, err
}

func newListCommand(in place) *cobra.Command {
	f := catalogFlags{place: in}
	cmd := &cobra.Command{
		Use:   "ls " + in.arg + " [PATTERN...]",
		Short: "List archived files",
		Long: "List the files archived by a packed copy or an ArchiveTransfer, or those that match a pattern, as recorded in\n" +
			"its manifests: mode, size in bytes, time and path, in the order of the archives. Names with special characters\n" +
			"are quoted as ls does.\n\n" + aboutPatterns,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.use(cmd.Context(), args[0], func(c *restore.Catalog) error {
				selection, err := resolve(cmd.Context(), c, args[1:])
				if err != nil {
					return err
				}
				return list(cmd, c, selection, f.output)
			})
		},
	}
	f.add(cmd, "print a JSON object for each file")
	return cmd
}

// listed is what ls prints for a file.
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
	// A member of a tar has one digest. DigestOf is what it covers; empty for the whole content.
	CRC64NVME string `json:"crc64nvme,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
	DigestOf  string `json:"digestOf,omitempty"`
	Key       string `json:"key,omitempty"`
	Outcome   string `json:"outcome"`
	Reason    string `json:"reason,omitempty"`
}

func list(cmd *cobra.Command, c *restore.Catalog, selection restore.Selection, o outputFlags) error {
	w := cmd.OutOrStdout()
	unread := 0
	warned := len(c.Warnings)
	for m, err := range c.Select(cmd.Context(), selection) {
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
			if o.forPeople() {
				_, err = fmt.Fprintln(w, l.line())
			} else {
				err = o.printItem(w, l)
			}
			if err != nil {
				return err
			}
		}
	}
	warn(cmd.ErrOrStderr(), c.Warnings[warned:])
	if unread > 0 {
		return fmt.Errorf("%d manifests could not be read: the list is incomplete", unread)
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
		l.Key, l.DigestOf = m.Object.Key, string(f.Tar.Digest.Of)
		if f.Tar.Digest.Algorithm == archive.DigestSHA256 {
			l.SHA256 = f.Tar.Digest.Value
		} else {
			l.CRC64NVME = f.Tar.Digest.Value
		}
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

// attributesMode says whether attributes that can't be set are an error.
type attributesMode string

const (
	attributesRequired   attributesMode = "required"
	attributesBestEffort attributesMode = "best-effort"
)

// restoreFlags are the flags of `cargoship restore`.
type restoreFlags struct {
	catalogFlags
	restore.Options
	attributes attributesMode
	thaw       thawFlags
	// roomy: nobody asks whether there is room for everything.
	roomy bool
}

func newRestoreCommand(in place) *cobra.Command {
	f := restoreFlags{catalogFlags: catalogFlags{place: in}, attributes: attributesRequired}
	cmd := &cobra.Command{
		Use:   "restore " + in.arg + " DIR [PATTERN...]",
		Short: "Restore archived files",
		Long: "Restore the files archived by a packed copy or an ArchiveTransfer into a directory, or those that match a\n" +
			"pattern. A file gets its name only after its digest is verified. A file that exists with the right size and\n" +
			"time is not fetched again, only its mode, owner and extended attributes are set: to resume an interrupted\n" +
			"restore, repeat the command. Nothing outside of the directory is touched.\n\n" + aboutPatterns + "\n\n" +
			"Objects in archive storage classes such as S3 Glacier are thawed with --thaw: the command tells what it will ask\n" +
			"for and what that costs, asks for it if that is within --max-cost, restores what can be read, and exits with 5.\n" +
			"Rerun it later for the rest, or have it wait with --wait.\n\n" +
			"Exit code 1 means that files were not restored, or never archived, 4 that all were restored, some without all\n" +
			"of their attributes, 5 that the others are being thawed.",
		Args: cobra.MinimumNArgs(2),
		RunE: cli.Traced(service, func(cmd *cobra.Command, args []string) error {
			if err := f.thaw.check(cmd); err != nil {
				return err
			}
			return f.use(cmd.Context(), args[0], func(c *restore.Catalog) (err error) {
				f.Catalog, f.Dir = c, args[1]
				if f.Selection, err = resolve(cmd.Context(), c, args[2:]); err != nil {
					return err
				}
				return f.run(cmd)
			})
		}),
	}
	f.add(cmd, "print a summary object on the last line of standard output")
	flags := cmd.Flags()
	flags.BoolVar(&f.SameOwner, "same-owner", os.Geteuid() == 0, "restore owners; the default for root")
	flags.Var(choice(&f.attributes, attributesRequired, attributesBestEffort), "attributes", "whether a mode, owner or attribute that can't be set is an error (required) or a warning (best-effort); the file is restored in either case")
	flags.BoolVar(&f.Privileged, "privileged-attributes", false, "also restore set-ID bits of files, and trusted.* and other security.* attributes; anyone who can write to the bucket controls them")
	flags.BoolVar(&f.Repair, "repair", false, "verify the content of existing files, and replace files that differ")
	flags.BoolVar(&f.roomy, "no-room-check", false, "begin even if the files don't fit into the file system by their sizes, for one that compresses")
	f.thaw.add(flags)
	return cmd
}

func (f *restoreFlags) run(cmd *cobra.Command) error {
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return fmt.Errorf("create the directory to restore into: %w", err)
	}
	total := int64(-1)
	if len(f.Selection) == 0 {
		total = planned(f.Catalog)
	}
	stderr := cmd.ErrOrStderr()
	if !f.roomy {
		if err := restore.CheckRoom(cmd.Context(), f.Options); err != nil {
			return fmt.Errorf("nothing was restored: %w, or use --no-room-check", err)
		}
	}
	end, err := f.thaw.begin(cmd, &f.Options)
	if err != nil {
		return err
	}
	defer end()
	bar := newBar(stderr, total, "restoring")
	f.Progress = func(s restore.Summary) { bar.show(s.Bytes, s.Files+s.Present) }
	warned := len(f.Catalog.Warnings)
	s, err := restore.Run(cmd.Context(), f.Options)
	bar.clear()
	warn(stderr, f.Catalog.Warnings[warned:])
	tellFailures(stderr, "failed", s.Failures, s.Failed)
	tellFailures(stderr, "attributes", s.AttributeFailures, s.AttributesFailed)
	if s.AttributesLeftOut > 0 {
		_, _ = fmt.Fprintf(stderr, "warning: set-ID bits or attributes of %d files were not restored: use --privileged-attributes if you trust everyone who can write to the bucket\n", s.AttributesLeftOut)
	}
	f.thaw.tellThawing(stderr, s)
	text := fmt.Sprintf("%d files, %s restored; %d existed, attributes corrected on %d of them; %d failed, %d never archived, %d with incomplete attributes",
		s.Files, convert.Bytes(s.Bytes), s.Present, s.Corrected, s.Failed, s.Missing, s.AttributesFailed)
	if printErr := printResult(cmd.OutOrStdout(), s, text, f.output); err == nil {
		err = printErr
	}
	if err != nil {
		return err
	}
	return f.verdict(s)
}

// verdict turns the outcome of a restore into an error.
func (f *restoreFlags) verdict(s restore.Summary) error {
	switch {
	case s.Failed > 0:
		return fmt.Errorf("%d files were not restored: fix the errors above and rerun", s.Failed)
	case s.Thawing > 0:
		return cli.ExitError{Err: fmt.Errorf("%d files are not restored yet: rerun once their objects are thawed", s.Thawing), Code: exitThawing}
	case s.Missing > 0:
		return fmt.Errorf("%d files were never archived: cargoship ls tells why; look for them in other runs, see --transfer", s.Missing)
	case s.Files+s.Present == 0 && len(f.Selection) > 0:
		return fmt.Errorf("nothing matches %q: list archived files with cargoship ls", []string(f.Selection))
	case s.AttributesFailed > 0 && f.attributes == attributesRequired:
		return cli.ExitError{Err: fmt.Errorf("%d files were restored with incomplete attributes: fix the errors above and rerun, or use --attributes best-effort", s.AttributesFailed), Code: exitAttributes}
	default:
		return nil
	}
}

func newVerifyCommand(in place) *cobra.Command {
	f := catalogFlags{place: in}
	var readBack bool
	cmd := &cobra.Command{
		Use:   "verify " + in.arg,
		Short: "Verify archived objects against the manifests",
		Long: "Compare the size and checksum that the server has for every object with the manifests of a packed copy or an\n" +
			"ArchiveTransfer. With --read-back, read all data and verify the digest of every file.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.use(cmd.Context(), args[0], func(c *restore.Catalog) error {
				return runVerify(cmd, c, readBack, f.output)
			})
		},
	}
	f.add(cmd, "print a summary object on the last line of standard output")
	cmd.Flags().BoolVar(&readBack, "read-back", false, "read all data and verify the digest of every file")
	return cmd
}

func runVerify(cmd *cobra.Command, c *restore.Catalog, readBack bool, o outputFlags) error {
	bar := newBar(cmd.ErrOrStderr(), planned(c), "verifying")
	v, err := restore.Verify(cmd.Context(), restore.VerifyOptions{
		Catalog: c, ReadBack: readBack,
		Progress: func(v restore.Verification) { bar.show(v.Bytes, v.Files) },
	})
	bar.clear()
	tellFailures(cmd.ErrOrStderr(), "failed", v.Failures, v.Wrong)
	if v.ByETag > 0 {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "warning: the server has no checksum of %d objects; only size and ETag were compared, "+
			"which reveals replaced objects but not damaged ones: use --read-back to verify all data\n", v.ByETag)
	}
	text := fmt.Sprintf("%d objects with %d files, %s, verified; %d wrong, %d never archived",
		v.Objects, v.Files, convert.Bytes(v.Bytes), v.Wrong, v.Missing)
	if printErr := printResult(cmd.OutOrStdout(), v, text, o); err == nil {
		err = printErr
	}
	if err == nil && v.Wrong > 0 {
		err = fmt.Errorf("%d objects or files do not match the manifests: archive them again", v.Wrong)
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

func printResult(w io.Writer, result any, text string, o outputFlags) error {
	if !o.forPeople() {
		return o.print(w, result)
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
