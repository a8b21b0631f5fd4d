package restore_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

// A target that nothing can be made in is told of before a single file fails.
func TestASessionNeedsAWritableDirectory(t *testing.T) {
	if !asNobody(t) {
		return
	}
	for _, dir := range []string{"", "below"} {
		if s, err := restore.NewSession(restore.Options{Dir: "/"}, dir); err == nil {
			t.Errorf("restores into / as nobody, below %q", dir)
			_ = s.Close()
		}
	}
	own := t.TempDir()
	s, err := restore.NewSession(restore.Options{Dir: own}, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // Nothing is written.
	if left, err := filepath.Glob(filepath.Join(own, "a/b/.*")); err != nil || len(left) > 0 {
		t.Errorf("left %v behind, %v", left, err)
	}
}

// One process restores, another one finishes: directories that the first has made are opened by
// the second, and those that were private before stay so.
func TestASessionIsFinishedByAnother(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "made/file", 1000)
	write(t, dir, "private/file", 1001)
	b := archived(t, dir, zstd())
	b.change(t, func(m *archive.Member) {
		if m.Kind == archive.Directory {
			m.Mode = 0o755
		}
	})
	to := t.TempDir()
	if err := os.Mkdir(filepath.Join(to, "private"), 0o700); err != nil {
		t.Fatal(err)
	}
	o := restore.Options{Catalog: catalog(t, b), Dir: to, Conflicts: restore.Fail}
	each := func(do func(*restore.Session, archive.Manifest) ([]archive.Member, error)) *restore.Session {
		s, err := restore.NewSession(o, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		for m, err := range o.Catalog.Manifests(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			members, err := do(s, m)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range members {
				if f.Outcome != archive.Done {
					t.Errorf("%q is %s: %s", f.Path, f.Outcome, f.Message)
				}
			}
		}
		return s
	}
	each(func(s *restore.Session, m archive.Manifest) ([]archive.Member, error) {
		return s.Archive(t.Context(), m)
	})
	mode := func(name string) fs.FileMode {
		info, err := os.Stat(filepath.Join(to, name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode() &^ fs.ModeDir
	}
	if got := mode("made"); got.Perm() != 0o700 {
		t.Errorf("while others work a directory has mode %v", got)
	}
	s := each(func(s *restore.Session, m archive.Manifest) ([]archive.Member, error) {
		return s.Finish(t.Context(), m)
	})
	if failure := s.FinishDirectories(t.Context()); failure != nil {
		t.Error(failure)
	}
	if made, private := mode("made"), mode("private"); made != 0o755 || private != 0o700 {
		t.Errorf("at the end the modes are %v and %v, want 0755 of what was made, 0700 of what was there", made, private)
	}
}
