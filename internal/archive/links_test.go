package archive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// linkedFiles makes a file a, a hard link b and a symbolic link c to it, and a file other.
func linkedFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, dir, "a", 10)
	writeFile(t, dir, "other", 10)
	err := errors.Join(os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")), os.Symlink("a", filepath.Join(dir, "c")))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLinksThatChangeAreNotArchived(t *testing.T) {
	replace := func(link string) error { return os.Rename(filepath.Join(filepath.Dir(link), "other"), link) }
	lead := func(link string) error { return errors.Join(os.Remove(link), os.Symlink("other", link)) }
	for name, tc := range map[string]struct {
		link   string
		change func(string) error
		want   error
	}{
		"hard link unchanged":     {"b", func(string) error { return nil }, nil},
		"hard link removed":       {"b", os.Remove, ErrVanished},
		"hard link replaced":      {"b", replace, ErrChanged},
		"hard link made symbolic": {"b", lead, ErrChanged},
		"symbolic link unchanged": {"c", func(string) error { return nil }, nil},
		"symbolic link removed":   {"c", os.Remove, ErrVanished},
		"symbolic link replaced":  {"c", replace, ErrChanged},
		"symbolic link changed":   {"c", lead, ErrChanged},
	} {
		t.Run(name, func(t *testing.T) {
			dir := linkedFiles(t)
			s, l := openSource(t, dir), tarLayout(Plain)
			a := one(t, s, l)
			if err := tc.change(filepath.Join(dir, tc.link)); err != nil {
				t.Fatal(err)
			}
			_, packed := pack(t, s, l, a)
			for i, e := range a.Entries[:3] {
				want := error(nil)
				if e.Path == tc.link {
					want = tc.want
				}
				if err := packed[i].Err; !errors.Is(err, want) || packed[i].In != (want == nil) {
					t.Errorf("%q is in the tar: %v, %v; want %v", e.Path, packed[i].In, err, want)
				}
			}
			m := Manifest{Members: make([]Member, len(a.Entries))}
			if got := s.SameAttributes(t.Context(), a, m); tc.want != nil && got {
				t.Error("an earlier archive would be kept")
			}
		})
	}
}
