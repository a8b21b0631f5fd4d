package restore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/test/kit/privileged"
)

// A user without privileges repeats a restore into directories that he may not write to.
func TestReadOnlyDirectoriesAreRestoredAgain(t *testing.T) {
	if !asNobody(t) {
		return
	}
	dir := t.TempDir()
	write(t, dir, "closed/inner/file", 1000)
	write(t, dir, "closed/other", 1001)
	in := filepath.Join
	mode := func(mode fs.FileMode, paths ...string) {
		t.Helper()
		for _, p := range paths {
			if err := os.Chmod(p, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := archived(t, dir, zstd())
	b.change(t, func(m *archive.Member) {
		if m.Kind == archive.Directory {
			m.Mode = 0o555
		}
	})
	to := t.TempDir()
	mode(0o500, to)
	t.Cleanup(func() { _ = os.Chmod(to, 0o700) })
	for range 2 {
		if s := run(t, b, restore.Options{Dir: to}); s.Failed > 0 || s.AttributesFailed > 0 {
			t.Errorf("%+v %v %v", s, s.Failures, s.AttributeFailures)
		}
		for p, want := range map[string]fs.FileMode{to: 0o500, in(to, "closed"): 0o555, in(to, "closed/inner"): 0o555} {
			if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s has mode %v, %v, want %v", p, info.Mode(), err, want)
			}
		}
		// As if it had been killed while it gave directories their modes.
		mode(0o755, to, in(to, "closed"), in(to, "closed/inner"))
		if err := os.Remove(in(to, "closed/inner/file")); err != nil {
			t.Fatal(err)
		}
		mode(0o555, in(to, "closed"), in(to, "closed/inner"))
		mode(0o500, to)
	}
	run(t, b, restore.Options{Dir: to})
	mode(0o755, to, in(to, "closed"), in(to, "closed/inner"))
}

// Workers restore into a directory that their user may not write to, and another process finishes.
func TestReadOnlyDirectoriesThatWereThereStaySo(t *testing.T) {
	if !asNobody(t) {
		return
	}
	dir := t.TempDir()
	write(t, dir, "d/file", 100)
	b := archived(t, dir, zstd())
	for _, mode := range []fs.FileMode{0o555, 0o500} {
		to := t.TempDir()
		d := filepath.Join(to, "d")
		if err := errors.Join(os.Mkdir(d, 0o755), os.Chmod(d, mode)); err != nil {
			t.Fatal(err)
		}
		restoreApart(t, restore.Options{Catalog: catalog(t, b), Dir: to, Conflicts: restore.Fail})
		if info, err := os.Stat(d); err != nil || info.Mode() != fs.ModeDir|mode {
			t.Errorf("mode %v, %v, want %v", info.Mode(), err, mode)
		}
		_ = os.Chmod(d, 0o700)
	}
}

// restoreApart has one process restore, and another one finish.
func restoreApart(t *testing.T, o restore.Options) {
	t.Helper()
	for _, finish := range []bool{false, true} {
		s, err := restore.NewSession(o, "")
		if err != nil {
			t.Fatal(err)
		}
		do := s.Archive
		if finish {
			do = s.Finish
		}
		for m, err := range o.Catalog.Manifests(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			members, err := do(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range members {
				if f.Outcome != archive.Done {
					t.Errorf("finish %t: %q is %s: %s", finish, f.Path, f.Outcome, f.Message)
				}
			}
		}
		if finish {
			if failure := s.FinishDirectories(t.Context()); failure != nil {
				t.Error(failure)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What one directory denies fails its files, at once, with one read of the archive.
func TestDeniedFilesFailAtOnce(t *testing.T) {
	const variable = "RESTORE_DENIED"
	denied := os.Getenv(variable)
	if os.Geteuid() == 0 {
		to, err := os.MkdirTemp("/tmp", "denied-")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(to) }()
		if err := errors.Join(os.Chown(to, nobody, nobody), os.Mkdir(filepath.Join(to, "denied"), 0o755)); err != nil {
			t.Fatal(err)
		}
		asNobody(t, variable+"="+to)
		return
	}
	if denied == "" {
		privileged.Root(t)
	}
	dir := t.TempDir()
	for i := range 50 {
		write(t, dir, fmt.Sprintf("denied/f%d", i), 10)
	}
	write(t, dir, "zz", 10)
	b := archived(t, dir, zstd())
	begun := time.Now()
	s := run(t, b, restore.Options{Dir: denied})
	if s.Failed != 50 || b.gets != 1 || time.Since(begun) > 20*time.Second {
		t.Errorf("%+v in %v, %d reads", s, time.Since(begun), b.gets)
	}
	if s.Failures[0].Message != "create: permission denied" {
		t.Errorf("%q", s.Failures[0].Message)
	}
	if _, err := os.Stat(filepath.Join(denied, "zz")); err != nil {
		t.Error(err)
	}
}

// A file system that takes nothing more ends the run, and not each file for itself.
func TestFullDiskEndsTheRun(t *testing.T) {
	disk := t.TempDir()
	privileged.Tmpfs(t, disk, "size=1m")
	dir, b := several(t)
	for name, c := range map[string]struct {
		flags uintptr
		want  string
	}{
		"full":      {syscall.MS_REMOUNT, "no space left on device: free up space"},
		"read-only": {syscall.MS_REMOUNT | syscall.MS_RDONLY, "read-only file system: restore into"},
	} {
		if err := syscall.Mount("tmpfs", disk, "tmpfs", c.flags, "size=1m"); err != nil {
			t.Fatal(err)
		}
		b.gets = 0
		begun := time.Now()
		s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: disk})
		if err == nil || !strings.Contains(err.Error(), c.want) || s.Failed > 0 {
			t.Errorf("%s: %v, %+v", name, err, s)
		}
		if took := time.Since(begun); took > 10*time.Second || b.gets > len(b.archives()) {
			t.Errorf("%s: %v, %d reads", name, took, b.gets)
		}
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=20m"); err != nil {
		t.Fatal(err)
	}
	run(t, b, restore.Options{Dir: disk})
	if diff := cmp.Diff(describe(t, dir), describe(t, disk)); diff != "" {
		t.Errorf("with room (-want +got):\n%s", diff)
	}
}
