package archive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// TestSendersOpenNothingExcluded has an inventory that lists what the patterns leave out.
func TestSendersOpenNothingExcluded(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"in/file", "in/secret", "out/file", "in/deep/secret/file"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		os.Symlink("secret", filepath.Join(dir, "in/link")),
		os.Symlink("deep/secret", filepath.Join(dir, "in/way")),
		os.Symlink("file", filepath.Join(dir, "in/same")),
	); err != nil {
		t.Fatal(err)
	}
	s := openSource(t, dir)
	if err := s.Restrict([]string{"in"}, []string{"**/secret"}); err != nil {
		t.Fatal(err)
	}
	near := opener{source: s}
	defer near.Close()
	for name, want := range map[string]error{
		"in/file": nil, "in/same": nil,
		"in/secret": ErrExcluded, "out/file": ErrExcluded, "in/deep/secret/file": ErrExcluded,
		"in/link": ErrExcluded, "in/way/file": ErrExcluded,
	} {
		e := Entry{Path: name, Size: 1}
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			e.ModTime = info.ModTime()
		}
		// The second time its directory is open already.
		for _, open := range []openFile{s.Open, near.Open, near.Open} {
			f, err := open(e)
			if err == nil {
				release(f)
			}
			fileError, _ := errors.AsType[*FileError](err)
			if !errors.Is(err, want) || want != nil && fileError.Reason() != ReasonExcluded {
				t.Errorf("Open(%q): %v, want %v", name, err, want)
			}
		}
		m, err := s.openMember(t.Context(), e, s.Open, 0)
		if err == nil {
			m.close()
		}
		if !errors.Is(err, want) {
			t.Errorf("openMember(%q): %v, want %v", name, err, want)
		}
	}
	if _, err := s.openMember(t.Context(), Entry{Path: "out", Kind: Directory}, s.Open, 0); !errors.Is(err, ErrExcluded) {
		t.Errorf("a directory that is left out: %v", err)
	}
}

// What a walk takes in may be opened, and nothing else.
func TestRestrictionIsThatOfTheWalk(t *testing.T) {
	dir := t.TempDir()
	all := []string{"a/a/a", "a/a/b", "a/b", "b/a/a", "b/c", "c"}
	for _, name := range all {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s := openSource(t, dir)
	pattern := rapid.SampledFrom([]string{"a", "*", "**/a", "a/*", "b/**", "*/a/*", "c", "a/a", "{a,c}", "**/b"})
	rapid.Check(t, func(t *rapid.T) {
		include, exclude := rapid.SliceOfN(pattern, 0, 2).Draw(t, "include"), rapid.SliceOfN(pattern, 0, 2).Draw(t, "exclude")
		taken := map[string]bool{}
		_, err := s.Walk(t.Context(), WalkOptions{Include: include, Exclude: exclude, Layout: mirror("*")}, func(a Archive) error {
			for _, e := range a.Entries {
				taken[e.Path] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		f, err := newFilter(include, exclude)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			if f.takes(p) != taken[p] {
				t.Fatalf("%q: takes %v, the walk %v", p, f.takes(p), taken[p])
			}
		}
	})
}
