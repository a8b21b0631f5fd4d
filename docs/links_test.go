package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDecisionsAreNumbered finds numbers that are given twice or left out.
func TestDecisionsAreNumbered(t *testing.T) {
	pages, err := filepath.Glob("decisions/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("found no decisions: %v", err)
	}
	for i, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		file, title := fmt.Sprintf("%04d-", i+1), fmt.Sprintf("# %d. ", i+1)
		if !strings.HasPrefix(filepath.Base(page), file) || !strings.HasPrefix(string(text), title) {
			t.Errorf("%s begins with %.20q, want a file %s… with the title %q…", page, text, file, title)
		}
	}
}

// anchors returns the anchors that GitHub makes of the headings of a page.
func anchors(t *testing.T, page string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		words := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		found[strings.ReplaceAll(words, " ", "-")] = true
	}
	return found
}

// TestLinksLeadSomewhere follows the links of all pages to files of the repository and the
// headings in them.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s#]*)(#[^)\s]*)?\)`)
	follow := func(page string) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			to := found[1]
			if strings.Contains(to, "://") {
				continue
			}
			target := filepath.Join(filepath.Dir(page), to)
			if to == "" {
				target = page
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, to)
			} else if anchor := strings.TrimPrefix(found[2], "#"); anchor != "" && !anchors(t, target)[anchor] {
				t.Errorf("%s links to the heading %s of %s, which does not exist", page, anchor, target)
			}
		}
	}
	follow("../README.md")
	follow("../CONTRIBUTING.md")
	err := filepath.WalkDir(".", func(p string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(p, ".md") {
			follow(p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
