package restore_test

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

func write(tb testing.TB, dir, name string, size int) {
	tb.Helper()
	content := make([]byte, size)
	_, _ = rand.Read(content)
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(p, content, 0o640); err != nil {
		tb.Fatal(err)
	}
	if err := os.Chtimes(p, time.Time{}, time.Unix(1_600_000_000, int64(size)+1)); err != nil {
		tb.Fatal(err)
	}
}

// describe returns what is to be restored of every entry of a tree.
func describe(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%v %v", info.Mode(), info.ModTime().UnixNano())
		switch {
		case info.Mode()&os.ModeSymlink != 0:
			link, _ := os.Readlink(p)
			text += " -> " + link
		case info.Mode().IsRegular():
			content, _ := os.ReadFile(p)
			text += fmt.Sprintf(" %d %s", info.Size(), checksum(content))
		}
		rel, _ := filepath.Rel(dir, p)
		all[rel] = text
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// sample makes a tree with more than one archive.
func sample(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	for i := range 60 {
		write(tb, dir, fmt.Sprintf("d%d/f%02d", i%3, i), i*20_000)
	}
	write(tb, dir, "large", 13<<20)
	write(tb, dir, "two-frames", 5<<20)
	write(tb, dir, "empty", 0)
	write(tb, dir, "sparse", 5000)
	if err := errors.Join(
		os.Truncate(filepath.Join(dir, "sparse"), 3<<20+77),
		os.Mkdir(filepath.Join(dir, "hollow"), 0o700),
		os.Symlink("../f01", filepath.Join(dir, "d1/link")),
		os.Symlink("/etc", filepath.Join(dir, "out")),
		os.Link(filepath.Join(dir, "d0/f03"), filepath.Join(dir, "d0/other-name")),
		os.Chmod(filepath.Join(dir, "d2"), 0o500),
	); err != nil {
		tb.Fatal(err)
	}
	return dir
}

func TestRestoreBringsTheTreeBack(t *testing.T) {
	dir := sample(t)
	b := archived(t, dir, zstd())
	b.breaks = 3
	to := t.TempDir()
	s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: to})
	if err != nil || s.Failed+s.Missing+s.Present != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	want := describe(t, dir)
	if diff := cmp.Diff(want, describe(t, to)); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if s.Files != int64(len(want)) {
		t.Errorf("%d files, want %d", s.Files, len(want))
	}
}

func TestRestoreAgainFetchesOnlyWhatIsMissing(t *testing.T) {
	dir := sample(t)
	b := archived(t, dir, zstd())
	to := t.TempDir()
	run := func() restore.Summary {
		s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: to})
		if err != nil || s.Failed != 0 {
			t.Fatalf("%+v, %v", s, err)
		}
		return s
	}
	run()
	if err := os.Remove(filepath.Join(to, "d1/f40")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, "empty"), []byte("not"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.read = nil
	s := run()
	var read int64
	for _, n := range b.read {
		read += n
	}
	if s.Present != 62 || read > 3*archive.FrameSize {
		t.Errorf("%+v, %d bytes read", s, read)
	}
	if diff := cmp.Diff(describe(t, dir), describe(t, to)); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
}

func TestOneFileTakesOneFrame(t *testing.T) {
	dir := t.TempDir()
	for i := range 100 {
		write(t, dir, fmt.Sprintf("f%03d", i), 300_000+i)
	}
	t1 := zstd()
	t1.TargetSize = 1 << 30
	b := archived(t, dir, t1)
	for _, name := range []string{"f000", "f050", "f099"} {
		b.read = nil
		to := t.TempDir()
		s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: to, Selection: restore.Selection{name}})
		if err != nil || s.Files != 1 {
			t.Fatalf("%+v, %v", s, err)
		}
		for key, n := range b.read {
			if n > archive.FrameSize+archive.FrameSize/100 {
				t.Errorf("%s: %d bytes of %s were fetched, a frame has %d", name, n, key, archive.FrameSize)
			}
		}
		if want := describe(t, dir)[name]; describe(t, to)[name] != want {
			t.Errorf("%s differs", name)
		}
	}
}

func TestSelectedHardLinkBringsItsContent(t *testing.T) {
	dir := sample(t)
	b := archived(t, dir, zstd())
	to := t.TempDir()
	s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: to, Selection: restore.Selection{"**/other-name"}})
	if err != nil || s.Files != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	want, _ := os.ReadFile(filepath.Join(dir, "d0/f03"))
	if got, err := os.ReadFile(filepath.Join(to, "d0/other-name")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A hard link whose target is not selected is a file like others.
func TestASelectedHardLinkReplacesNothingUnasked(t *testing.T) {
	dir := twoNames(t)
	b := archived(t, dir, zstd())
	for _, c := range []restore.Conflicts{restore.Keep, restore.Fail} {
		to := t.TempDir()
		if err := os.WriteFile(filepath.Join(to, "b"), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		s := run(t, b, restore.Options{Dir: to, Selection: restore.Selection{"b"}, Conflicts: c})
		if got, err := os.ReadFile(filepath.Join(to, "b")); err != nil || string(got) != "mine" || s.Files != 0 {
			t.Errorf("%s: the file holds %q, %v; %+v", c, got, err, s)
		}
	}
}

func TestASelectedHardLinkIsFetchedOnce(t *testing.T) {
	b := archived(t, twoNames(t), zstd())
	o := restore.Options{Dir: t.TempDir(), Selection: restore.Selection{"b"}}
	run(t, b, o)
	before := b.gets
	if s := run(t, b, o); b.gets != before || s.Present != 1 {
		t.Errorf("%d reads, %+v", b.gets-before, s)
	}
}

// twoNames is a tree of one file with two names.
func twoNames(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	write(tb, dir, "a", 100)
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		tb.Fatal(err)
	}
	return dir
}

func TestDamageNeverTakesTheFilesName(t *testing.T) {
	dir := t.TempDir()
	for i := range 5 {
		write(t, dir, fmt.Sprintf("f%d", i), 100_000)
	}
	plain := zstd()
	plain.Compression, plain.Level = archive.Plain, 0
	b := archived(t, dir, plain)
	for key, object := range b.objects {
		if strings.HasSuffix(key, ".tar") {
			object[len(object)/2] ^= 1
		}
	}
	to := t.TempDir()
	s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: to})
	if err != nil || s.Failed != 1 || s.Files != 4 {
		t.Fatalf("%+v, %v", s, err)
	}
	if names, _ := filepath.Glob(filepath.Join(to, "*")); len(names) != 4 {
		t.Errorf("%q", names)
	}
	if left, _ := filepath.Glob(filepath.Join(to, ".*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	v, err := restore.Verify(t.Context(), restore.VerifyOptions{Catalog: catalog(t, b), ReadBack: true})
	if err != nil || v.Wrong != 1 {
		t.Errorf("read back: %+v, %v", v, err)
	}
	v, err = restore.Verify(t.Context(), restore.VerifyOptions{Catalog: catalog(t, b)})
	if err != nil || v.Wrong != 1 {
		t.Errorf("by checksum: %+v, %v", v, err)
	}
}

// A manifest and a tar made by somebody else must not reach outside.
func TestRestoreStaysInItsDirectory(t *testing.T) {
	for _, evil := range []string{"../evil", "/evil", "a/../../evil", "up/evil"} {
		t.Run(evil, func(t *testing.T) {
			var raw bytes.Buffer
			w := tar.NewWriter(&raw)
			if err := errors.Join(w.WriteHeader(&tar.Header{Name: evil, Mode: 0o644, Size: 1}), func() error {
				_, err := w.Write([]byte("x"))
				return err
			}(), w.Close()); err != nil {
				t.Fatal(err)
			}
			l := archive.Layout{Base: "base", Pattern: archive.Hash, Count: 1, UID: "uid", Tar: new(zstd())}
			key := l.ArchiveKey("00", 0)
			b := &bucket{objects: map[string][]byte{key: raw.Bytes()}}
			m := archive.Manifest{
				Transfer: "uid", Prefix: "00", Object: &archive.Object{Key: key, Compression: archive.Plain},
				Members: []archive.Member{
					{Path: "up", Kind: archive.Symlink, Link: "..", Outcome: archive.Done},
					{Path: evil, Size: 1, Outcome: archive.Done, Tar: &archive.Place{
						Length: 1024, Data: 512, Frame: archive.Range{Length: 1024},
						Digest: archive.ContentDigest{Algorithm: archive.DigestSHA256, Value: "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},
					}},
				},
			}
			index := archive.Index{Layout: l, Prefixes: []archive.IndexedPrefix{{Name: "00", ManifestPrefix: l.ManifestPrefix(0), Archives: 1, Files: int64(len(m.Members))}}}
			var err error
			if b.objects[l.IndexKey()], err = index.Encode(); err != nil {
				t.Fatal(err)
			}
			if err := b.putManifest(l, m); err != nil {
				t.Fatal(err)
			}
			above := t.TempDir()
			to := filepath.Join(above, "to")
			if err := errors.Join(os.Mkdir(to, 0o755), os.Symlink("..", filepath.Join(to, "up"))); err != nil {
				t.Fatal(err)
			}
			s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: to})
			if err != nil || s.Failed != 1 {
				t.Errorf("%+v, %v", s, err)
			}
			if entries, _ := os.ReadDir(above); len(entries) != 1 {
				t.Errorf("something was written outside: %v", entries)
			}
		})
	}
}

func TestVerifyFindsWhatIsMissing(t *testing.T) {
	b := archived(t, sample(t), zstd())
	v, err := restore.Verify(t.Context(), restore.VerifyOptions{Catalog: catalog(t, b), ReadBack: true})
	if err != nil || v.Wrong != 0 || v.Files != 71 {
		t.Errorf("%+v, %v", v, err)
	}
	var keys []string
	for key := range b.objects {
		if strings.HasSuffix(key, ".tar.zst") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	delete(b.objects, keys[0])
	want := restore.Verification{Wrong: 1}
	v, err = restore.Verify(t.Context(), restore.VerifyOptions{Catalog: catalog(t, b)})
	if diff := cmp.Diff(want, v, cmpopts.IgnoreFields(restore.Verification{}, "Objects", "Files", "Bytes", "Failures")); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s%v", diff, err)
	}
}

func TestSelection(t *testing.T) {
	for pattern, want := range map[string]bool{
		"a/b/c": true, "a": true, "a/": true, "./a/b": true, "**/c": true, "*": true, "b": false, "a/*/c": true, "*.c": false,
	} {
		if got := (restore.Selection{pattern}).Takes("a/b/c"); got != want {
			t.Errorf("%q takes a/b/c: %v", pattern, got)
		}
	}
}

// What could not be archived is missing, what was skipped is not.
func TestWhatWasNeverArchivedIsMissing(t *testing.T) {
	b := &bucket{objects: map[string][]byte{}}
	b.run(t, "uid", "name", time.Now(), member(b, "a"), archive.Member{Path: "failed", Outcome: archive.Failed}, archive.Member{Path: "socket", Outcome: archive.Skipped})
	// The run has two archives of the same members.
	if s := run(t, b, restore.Options{Dir: t.TempDir()}); s.Missing != 2 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

// No transfer has archived an absolute path, and a manifest may have one: it must come to an end.
func TestSelectionOfAnAbsolutePath(t *testing.T) {
	for pattern, want := range map[string]bool{"x": false, "etc": false, "/etc": false, "**": true} {
		if got := (restore.Selection{pattern}).Takes("/etc/passwd"); got != want {
			t.Errorf("%q takes /etc/passwd: %v", pattern, got)
		}
	}
}
