package nodeagent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// dataLink is the name of the link that leads to the current files of a volume, as
// on any node: readers that follow it see all files of one state.
const dataLink = "..data"

// replaceContent makes a directory hold exactly the given files, by name relative
// to it, readable by their owner alone. All files change at once.
func replaceContent(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	state, err := os.MkdirTemp(dir, "..state-")
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := writeFile(state, name, text); err != nil {
			return err
		}
	}
	old, _ := os.Readlink(filepath.Join(dir, dataLink)) // empty at the first time
	temporary := filepath.Join(dir, "..data_tmp")
	if err := os.Symlink(filepath.Base(state), temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, dataLink)); err != nil {
		return err
	}
	if err := relink(dir, files); err != nil {
		return err
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(dir, old))
	}
	return nil
}

func writeFile(dir, name string, text []byte) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("file %q leads out of its volume", name)
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// relink makes the visible names of a volume those of its files.
func relink(dir string, files map[string][]byte) error {
	wanted := map[string]bool{}
	for name := range files {
		top, _, _ := strings.Cut(name, "/")
		wanted[top] = true
	}
	present, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range present {
		name := entry.Name()
		if strings.HasPrefix(name, "..") {
			continue
		}
		if wanted[name] {
			delete(wanted, name)
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for name := range wanted {
		if err := os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
