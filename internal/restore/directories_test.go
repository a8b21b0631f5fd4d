package restore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// refusing is a bucket in which one object can't be had.
type refusing struct {
	*bucket
	key string
	err error
}

func (r *refusing) Get(ctx context.Context, key string) ([]byte, error) {
	if key == r.key {
		return nil, r.err
	}
	return r.bucket.Get(ctx, key)
}

// What the mode of a directory is to be is not known before its archive was read.
func TestDirectoriesStayPrivateIfTheirArchiveIsNotRead(t *testing.T) {
	dir := t.TempDir()
	for i := range 30 {
		write(t, dir, fmt.Sprintf("private/f%02d", i), 100)
	}
	if err := os.Chmod(filepath.Join(dir, "private"), 0o700); err != nil {
		t.Fatal(err)
	}
	b := indexed(t, dir, zstd(), 3)
	c := catalog(t, b)
	key := ""
	for m, err := range c.Manifests(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range m.Members {
			if f.Path == "private" {
				key = c.Index.Layout.ManifestKey(c.Index.Layout.Index(m.Prefix), m.Number)
			}
		}
	}
	for name, err := range map[string]error{
		"the run ends":            &s3.Error{Class: s3.Credentials, Reason: s3.ReasonCredentialsExpired, Err: errors.New("expired")},
		"the others are restored": s3.ErrNotFound,
	} {
		to := t.TempDir()
		s, runErr := restore.Run(t.Context(), restore.Options{Catalog: open(t, &refusing{b, key, err}), Dir: to})
		if runErr == nil && s.Failed == 0 {
			t.Errorf("%s: %+v", name, s)
		}
		info, err := os.Stat(filepath.Join(to, "private"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // Nothing was restored into it before.
		}
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, %v; %+v", name, info.Mode(), err, s)
		}
	}
}

// A directory of which the archive says nothing stays as it was.
func TestPrivateDirectoriesThatWereThereStayPrivate(t *testing.T) {
	for _, mode := range []fs.FileMode{0o700, 0o700 | fs.ModeSticky} {
		b := &bucket{objects: map[string][]byte{}}
		b.run(t, "uid", "name", time.Now(), member(b, "d/a"))
		to := t.TempDir()
		d := filepath.Join(to, "d")
		if err := errors.Join(os.Mkdir(d, 0o700), os.Chmod(d, mode)); err != nil {
			t.Fatal(err)
		}
		run(t, b, restore.Options{Dir: to, Conflicts: restore.Fail})
		if info, err := os.Stat(d); err != nil || info.Mode() != fs.ModeDir|mode {
			t.Errorf("%v, %v, want %v", info.Mode(), err, mode)
		}
	}
}

// The same goes for a process that finishes what others have restored.
func TestDirectoriesOfAnIncompleteSessionStayPrivate(t *testing.T) {
	b := &bucket{objects: map[string][]byte{}}
	b.run(t, "uid", "name", time.Now(), member(b, "d/a"))
	for _, incomplete := range []bool{true, false} {
		to := t.TempDir()
		c := catalog(t, b)
		s, err := restore.NewSession(restore.Options{Catalog: c, Dir: to}, "")
		if err != nil {
			t.Fatal(err)
		}
		for m, err := range c.Manifests(t.Context()) {
			if err == nil {
				_, err = s.Finish(t.Context(), m)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if incomplete {
			s.Incomplete()
		}
		if failure := s.FinishDirectories(t.Context()); failure != nil {
			t.Error(failure)
		}
		if info, err := os.Stat(filepath.Join(to, "d")); err != nil || (info.Mode().Perm() == 0o700) != incomplete {
			t.Errorf("incomplete %t: mode %v, %v", incomplete, info.Mode(), err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Who is killed while a directory gets its attributes leaves it marked until it has all of them.
func TestDirectoriesGetTheirModeLast(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "d/file", 100)
	b := archived(t, dir, zstd())
	old := time.Unix(1e9, 0)
	b.change(t, func(m *archive.Member) {
		if m.Kind == archive.Directory {
			m.Mode, m.ModTime, m.Xattrs = 0o755, old, []archive.Xattr{{Name: "trusted.left-out", Value: "x"}}
		}
	})
	to := t.TempDir()
	looked := false
	run(t, b, restore.Options{Dir: to, Progress: func(s restore.Summary) {
		if s.AttributesLeftOut == 0 {
			return
		}
		looked = true
		info, err := os.Stat(filepath.Join(to, "d"))
		if err != nil || info.Mode().Perm() != 0o700 || !info.ModTime().Equal(old) {
			t.Errorf("meanwhile: mode %v, time %v, %v", info.Mode(), info.ModTime(), err)
		}
	}})
	if info, err := os.Stat(filepath.Join(to, "d")); err != nil || info.Mode() != fs.ModeDir|0o755 || !info.ModTime().Equal(old) || !looked {
		t.Errorf("mode %v, time %v, %v", info.Mode(), info.ModTime(), err)
	}
}

// A link where the archive has a directory leads to files that the archive does not have.
func TestLinksToDirectoriesAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "d/file", 100)
	b := archived(t, dir, zstd())
	for name, tc := range map[string]struct {
		conflicts restore.Conflicts
		same      bool // what is there
	}{
		"replaced": {restore.Replace, false}, "replaced, the same": {restore.Replace, true}, "failing": {restore.Fail, false}, "failing, the same": {restore.Fail, true},
		"kept": {restore.Keep, false},
	} {
		to := t.TempDir()
		if tc.same {
			if err := os.CopyFS(filepath.Join(to, "else"), os.DirFS(filepath.Join(dir, "d"))); err != nil {
				t.Fatal(err)
			}
		}
		write(t, to, "else/file", 99)
		if tc.same {
			content, err := os.ReadFile(filepath.Join(dir, "d/file"))
			if err == nil {
				err = os.WriteFile(filepath.Join(to, "else/file"), content, 0o640)
			}
			at := time.Unix(1_600_000_000, 101)
			if err := errors.Join(err, os.Chtimes(filepath.Join(to, "else/file"), at, at)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("else", filepath.Join(to, "d")); err != nil {
			t.Fatal(err)
		}
		before := describe(t, to)
		s := run(t, b, restore.Options{Dir: to, Conflicts: tc.conflicts})
		got := describe(t, to)
		if got["else/file"] != before["else/file"] {
			t.Errorf("%s: else/file is %s, was %s; %+v", name, got["else/file"], before["else/file"], s)
		}
		if replaced := got["d/file"] == describe(t, dir)["d/file"] && s.Files == 2 && s.Failed == 0; replaced != (tc.conflicts == restore.Replace) {
			t.Errorf("%s: %v, %+v %v", name, got, s, s.Failures)
		} else if !replaced && (s.Failed == 0 || got["d"] != before["d"]) {
			t.Errorf("%s: %v, %+v", name, got, s)
		}
	}
}
