package restore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

func run(tb testing.TB, b *bucket, o restore.Options) restore.Summary {
	tb.Helper()
	o.Catalog = catalog(tb, b)
	s, err := restore.Run(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// archives returns the keys of all archives, sorted.
func (b *bucket) archives() (keys []string) {
	for key := range b.objects {
		if strings.Contains(key, "/data-") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// change changes the members of the one manifest.
func (b *bucket) change(tb testing.TB, change func(*archive.Member)) {
	tb.Helper()
	for key, body := range b.objects {
		if !strings.Contains(key, "/manifests/") {
			continue
		}
		m, err := archive.DecodeManifest(body)
		if err != nil {
			tb.Fatal(err)
		}
		for i := range m.Members {
			change(&m.Members[i])
		}
		if b.objects[key], err = m.Encode(); err != nil {
			tb.Fatal(err)
		}
	}
}

// several is a tree of three archives.
func several(tb testing.TB) (dir string, b *bucket) {
	tb.Helper()
	dir = tb.TempDir()
	for i := range 30 {
		write(tb, dir, fmt.Sprintf("f%02d", i), 100_000+i)
	}
	small := zstd()
	small.TargetSize = 1 << 20
	b = archived(tb, dir, small)
	if n := len(b.archives()); n < 3 {
		tb.Fatalf("%d archives", n)
	}
	return dir, b
}

func TestAnObjectThatCannotBeHadLeavesTheOthers(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"replaced": {&s3.Error{Class: s3.Source, Reason: s3.ReasonObjectReplaced, Err: errors.New("it was replaced since it was archived")}, "replaced since it was archived"},
		"frozen":   {&s3.Error{Class: s3.Source, Reason: s3.ReasonObjectFrozen, Err: errors.New("must be thawed first")}, "must be thawed first"},
		"denied":   {&s3.Error{Class: s3.Permission, Reason: s3.ReasonPermissionDenied, Err: errors.New("AccessDenied")}, "AccessDenied"},
		"broken":   {&s3.Error{Class: s3.Transient, Reason: s3.ReasonServerError, Err: errors.New("InternalError")}, "InternalError"},
		"gone":     {s3.ErrNotFound, "no such object"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, b := several(t)
			b.refuses = map[string]error{b.archives()[1]: c.err}
			to := t.TempDir()
			s := run(t, b, restore.Options{Dir: to})
			want := describe(t, dir)
			if s.Failed == 0 || s.Failed+s.Files != int64(len(want)) || len(s.Failures) != int(s.Failed) {
				t.Errorf("%+v of %d", s, len(want))
			}
			for _, f := range s.Failures {
				if !strings.Contains(f.Message, c.want) {
					t.Errorf("%s failed with %q, want %q", f.Path, f.Message, c.want)
				}
				delete(want, f.Path)
			}
			if diff := cmp.Diff(want, describe(t, to)); diff != "" {
				t.Errorf("the others (-want +got):\n%s", diff)
			}
			if n := b.gets; n != len(b.archives()) {
				t.Errorf("%d reads of %d archives", n, len(b.archives()))
			}
		})
	}
}

func TestWhatIsWrongWithTheBucketEndsTheRun(t *testing.T) {
	_, b := several(t)
	b.refuses = map[string]error{}
	for _, key := range b.archives() {
		b.refuses[key] = &s3.Error{Class: s3.Credentials, Reason: s3.ReasonCredentialsExpired, Err: errors.New("ExpiredToken")}
	}
	s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "ExpiredToken") || s.Failed > 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestOneDamagedManifestLeavesTheOtherArchives(t *testing.T) {
	_, b := several(t)
	damaged := ""
	for key := range b.objects {
		if strings.Contains(key, "/manifests/") && strings.Contains(key, "0000000001.") {
			damaged = key
		}
	}
	b.objects[damaged] = []byte("nothing that could be read")
	s := run(t, b, restore.Options{Dir: t.TempDir()})
	if s.Failed == 0 || s.Files == 0 || !strings.Contains(s.Failures[0].Path, "manifests") {
		t.Errorf("%q, %+v", damaged, s)
	}
}

// Whatever a directory is to be, nobody else gets into it before the end.
func TestDirectoriesArePrivateUntilTheEnd(t *testing.T) {
	dir := sample(t)
	b := archived(t, dir, zstd())
	to := t.TempDir()
	seen := 0
	b.opened = func() {
		_ = filepath.WalkDir(to, func(p string, d os.DirEntry, err error) error {
			if err != nil || p == to || !d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm() != 0o700 {
				t.Errorf("%s has mode %v while the restore runs", p, info.Mode())
			}
			seen++
			return err
		})
	}
	run(t, b, restore.Options{Dir: to})
	if seen == 0 {
		t.Error("no directory was seen")
	}
	if diff := cmp.Diff(describe(t, dir), describe(t, to)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The directories that lead to what is selected are those of the archive, too.
func TestDirectoriesThatLeadThere(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/b/c/file", 10)
	if err := errors.Join(os.Chmod(filepath.Join(dir, "a"), 0o750), os.Chmod(filepath.Join(dir, "a/b"), 0o711)); err != nil {
		t.Fatal(err)
	}
	b := archived(t, dir, zstd())
	to := t.TempDir()
	// As an interrupted restore has left it.
	if err := os.Mkdir(filepath.Join(to, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		run(t, b, restore.Options{Dir: to, Selection: restore.Selection{"a/b/c/file"}})
		if diff := cmp.Diff(describe(t, dir), describe(t, to)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestRepairReplacesContentThatDiffers(t *testing.T) {
	dir := sample(t)
	write(t, dir, "object", 13<<20)
	b := archived(t, dir, zstd())
	to := t.TempDir()
	run(t, b, restore.Options{Dir: to})
	want := describe(t, to)
	for _, name := range []string{"d1/f40", "sparse", "object"} {
		p := filepath.Join(to, name)
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte("other"), 3000)
		if err := errors.Join(err, f.Close(), os.Chtimes(p, info.ModTime(), info.ModTime())); err != nil {
			t.Fatal(err)
		}
	}
	if s := run(t, b, restore.Options{Dir: to}); s.Present == 0 {
		t.Errorf("%+v", s)
	}
	if cmp.Equal(want, describe(t, to)) {
		t.Fatal("what differs was replaced without being asked for")
	}
	before := b.gets
	run(t, b, restore.Options{Dir: to, Repair: true})
	if diff := cmp.Diff(want, describe(t, to)); diff != "" {
		t.Errorf("repaired (-want +got):\n%s", diff)
	}
	if n := b.gets - before; n > 4 {
		t.Errorf("%d reads for three files, one of which takes two", n)
	}
}

// A file of the same size and time gets its mode, and is not fetched for it.
func TestPresentFilesGetTheirMode(t *testing.T) {
	dir := sample(t)
	b := archived(t, dir, zstd())
	to := t.TempDir()
	run(t, b, restore.Options{Dir: to})
	if err := os.Chmod(filepath.Join(to, "d1/f40"), 0o777); err != nil {
		t.Fatal(err)
	}
	before := b.gets
	if s := run(t, b, restore.Options{Dir: to}); s.Corrected != 1 || b.gets != before {
		t.Errorf("%+v, %d reads", s, b.gets-before)
	}
	if diff := cmp.Diff(describe(t, dir), describe(t, to)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A hard link to a file that could not be restored is no link to an older one of its name.
func TestHardLinksLeadToWhatWasArchived(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", 1000)
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	b := archived(t, dir, zstd())
	b.refuses = map[string]error{b.archives()[0]: s3.ErrNotFound}
	to := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(to, name), []byte("older "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s := run(t, b, restore.Options{Dir: to}); s.Failed != 2 || s.Files != 0 {
		t.Errorf("%+v", s)
	}
	if got, err := os.ReadFile(filepath.Join(to, "b")); err != nil || string(got) != "older b" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAnExactPathWinsOverAPattern(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"report [2026].txt", "report 2.txt", "odd[", "x*y", "xay", "d{1,2}/file", "d1/file"} {
		write(t, dir, name, 10)
	}
	b := archived(t, dir, zstd())
	c := catalog(t, b)
	for pattern, want := range map[string][]string{
		"report [2026].txt":   {"report [2026].txt"},
		"report [0-9].txt":    {"report 2.txt"},
		`report \[2026\].txt`: {"report [2026].txt"},
		"odd[":                {"odd["},
		"x*y":                 {"x*y"},
		"x*":                  {"x*y", "xay"},
		"./d{1,2}/":           {"d{1,2}", "d{1,2}/file"},
		"*":                   {"d1", "d1/file", "d{1,2}", "d{1,2}/file", "odd[", "report 2.txt", "report [2026].txt", "x*y", "xay"},
	} {
		selection, err := c.Resolve(t.Context(), restore.Selection{pattern})
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
			continue
		}
		var got []string
		for m, err := range c.Manifests(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range m.Members {
				if selection.Takes(f.Path) {
					got = append(got, f.Path)
				}
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", pattern, diff)
		}
	}
	if _, err := c.Resolve(t.Context(), restore.Selection{"no[such"}); !errors.Is(err, restore.ErrPattern) {
		t.Errorf("%v", err)
	}
}

// A frame that asks for half a GiB is refused.
func TestFramesThatWantMuchMemoryAreRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", 1000)
	b := archived(t, dir, zstd())
	key := b.archives()[0]
	// Magic, no single segment, a window of 2^29 (RFC 8878, 3.1.1.1).
	copy(b.objects[key], []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, (29 - 10) << 3})
	s := run(t, b, restore.Options{Dir: t.TempDir()})
	if s.Failed != 1 || !strings.Contains(s.Failures[0].Message, "window size exceeded") {
		t.Errorf("%+v %v", s, s.Failures)
	}
}

// A read that breaks off behind a member's content does not lose count of the members.
func TestReadsThatBreakOffAnywhere(t *testing.T) {
	dir := t.TempDir()
	for i := range 6 {
		write(t, dir, fmt.Sprintf("f%d", i), 1+i)
	}
	plain := zstd()
	plain.Compression, plain.Level = archive.Plain, 0
	b := archived(t, dir, plain)
	for breaks := 1; breaks < 5; breaks++ {
		b.breaks = breaks
		to := t.TempDir()
		if s := run(t, b, restore.Options{Dir: to}); s.Files != 6 || s.Failed > 0 {
			t.Errorf("%d breaks: %+v %v", breaks, s, s.Failures)
		}
	}
}

// What was stopped is resumed.
func TestAStoppedRestoreIsRepeated(t *testing.T) {
	dir, b := several(t)
	to := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	b.opened = cancel
	if _, err := restore.Run(ctx, restore.Options{Catalog: catalog(t, b), Dir: to}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	b.opened = nil
	run(t, b, restore.Options{Dir: to})
	if diff := cmp.Diff(describe(t, dir), describe(t, to)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if left, _ := filepath.Glob(filepath.Join(to, ".*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// An interrupt after the last member of an archive, before its padding is read, is one as any other.
func TestARestoreStoppedAfterTheLastMember(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", 100)
	b := archived(t, dir, zstd())
	ctx, cancel := context.WithCancel(t.Context())
	s, err := restore.Run(ctx, restore.Options{Catalog: catalog(t, b), Dir: t.TempDir(), Progress: func(restore.Summary) { cancel() }})
	if !errors.Is(err, context.Canceled) || s.Files != 1 {
		t.Errorf("%v, %+v", err, s)
	}
}
