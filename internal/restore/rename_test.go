package restore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A name that is taken is not given again, whether or not the file system can tell while it renames.
func TestANameThatIsTakenIsNotGivenAgain(t *testing.T) {
	for name, rename := range map[string]func(dir *os.Root, from, to string) error{"at once": renameNew, "by a link": linkNew} {
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"new", "taken"} {
			if err := root.WriteFile(f, []byte(f), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err = rename(root, "new", "taken")
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", name, err)
		}
		if err := rename(root, "new", "free"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(got) != 2 || filepath.Base(got[0]) != "free" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if got, err := root.ReadFile("taken"); err != nil || string(got) != "taken" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		_ = root.Close()
	}
}
