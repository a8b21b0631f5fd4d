// Package docs checks what its pages say of the code.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadingNamesWhatThereIs looks for the functions, types, folders and targets that
// reading.md names.
func TestReadingNamesWhatThereIs(t *testing.T) {
	page, err := os.ReadFile("reading.md")
	if err != nil {
		t.Fatal(err)
	}
	code := sources(t)
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	path := regexp.MustCompile(`^(api|bench|cmd|controllers|docs|internal|lab|test)(/[\w.]+)*$`)
	method := regexp.MustCompile(`^([A-Z]\w+)\.([A-Z]\w+)$`)
	function := regexp.MustCompile(`^\w+\.([A-Z]\w+)$`)
	target := regexp.MustCompile(`^make ([a-z-]+)`)
	for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(string(page), -1) {
		name := quoted[1]
		found := true
		if m := method.FindStringSubmatch(name); m != nil {
			found = regexp.MustCompile(`(?m)^func \(\w* ?\*?` + m[1] + `\) ` + m[2] + `\(`).MatchString(code)
		} else if m := function.FindStringSubmatch(name); m != nil {
			found = strings.Contains(code, "\nfunc "+m[1]+"(")
		} else if path.MatchString(name) {
			_, err := os.Stat(filepath.Join("..", name))
			found = err == nil
		} else if m := target.FindStringSubmatch(name); m != nil {
			found = strings.Contains(string(makefile), "\n"+m[1]+":")
		} else if regexp.MustCompile(`^[A-Z]\w+$`).MatchString(name) {
			found = regexp.MustCompile(`(?m)^(type|func) ` + name + `\b`).MatchString(code)
		}
		if !found {
			t.Errorf("reading.md names %q, which does not exist", name)
		}
	}
}

// sources are all Go files of the product.
func sources(tb testing.TB) string {
	tb.Helper()
	var all strings.Builder
	for _, dir := range []string{"../api", "../controllers", "../internal"} {
		err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(p, ".go") {
				return err
			}
			content, err := os.ReadFile(p)
			all.Write(content)
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return all.String()
}
