package assets

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// pinSuffix makes the name of a file beside a program that was built: the digest of the
// module that it was built from.
const pinSuffix = ".pin"

// moduleDigest changes with what a module pins and with our own source in it.
func (f *finder) moduleDigest(module string) (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(f.moduleDir(module), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() != "go.mod" && !strings.HasSuffix(e.Name(), ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(sum, "%s %d\n%s", e.Name(), len(text), text)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the pinned module %s: %w", module, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// adopt links programs into the cache that were built for other versions of the rest, from
// the module that pins them still.
func (f *finder) adopt(programs []string) error {
	if err := os.MkdirAll(f.cache, 0o755); err != nil {
		return fmt.Errorf("create the cache: %w", err)
	}
	for _, c := range components() {
		for _, name := range c.programs {
			if !slices.Contains(programs, name) {
				continue
			}
			digest, err := f.moduleDigest(c.module)
			if err != nil {
				return err
			}
			f.adoptOne(name, digest)
		}
	}
	return nil
}

// adoptOne looks for one program. Whatever is not found can be built.
func (f *finder) adoptOne(name, digest string) {
	pins, err := filepath.Glob(filepath.Join(f.base, "*-"+runtime.GOOS+"-"+runtime.GOARCH+"-*", name+pinSuffix))
	if err != nil {
		return
	}
	for _, pin := range pins {
		text, err := os.ReadFile(pin)
		dir := filepath.Dir(pin)
		if err != nil || string(text) != digest || len(missing(dir, []string{name})) > 0 {
			continue
		}
		if os.Link(filepath.Join(dir, name), filepath.Join(f.cache, name)) == nil {
			_ = os.WriteFile(filepath.Join(f.cache, name+pinSuffix), text, 0o644)
			f.say("using %s from %s", name, dir)
			return
		}
	}
}
