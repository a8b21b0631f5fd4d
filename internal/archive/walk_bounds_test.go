package archive

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// However deep a tree is, and however many names its directories have.
func TestWalkHoldsNamesWithinABudget(t *testing.T) {
	const depth, files = 8, 200
	long, name := strings.Repeat("n", 200), strings.Repeat("a/", depth)
	all := map[string]int64{}
	for d := range depth {
		for i := range files {
			all[fmt.Sprintf("%s%s%03d", name[:2*d], long, i)] = 0
		}
	}
	_, s := tree(t, all)
	s.namesBudget = 64 << 10
	most, found, last := 0, 0, ""
	var w *walker
	w = newWalker(s, filter{}, WalkOptions{Layout: mirror("*"), bounds: bounds{files: 1}}, func(a Archive) error {
		if p := a.Entries[0].Path; ComparePaths(last, p) >= 0 {
			t.Errorf("%q comes after %q", p, last)
		}
		most, found, last = max(most, w.held), found+1, a.Entries[0].Path
		return nil
	})
	if err := errors.Join(w.directory(t.Context(), "", nil, true), w.batcher.close("*")); err != nil {
		t.Fatal(err)
	}
	if found != len(all) || w.held != 0 {
		t.Errorf("%d files found, of %d; %d bytes are still held", found, len(all), w.held)
	}
	if limit := s.namesBudget + depth*minPageBytes; most > limit {
		t.Errorf("%d bytes of names are held, more than %d", most, limit)
	}
}

func TestWalkDoesNotDescendIntoPathsBeyondAllBounds(t *testing.T) {
	dir, s := tree(t, map[string]int64{"other": 1})
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release(root)
	part := strings.Repeat("\x01", 255)
	deep := strings.Repeat("/"+part, 30)[1:]
	if err := errors.Join(root.MkdirAll(deep, 0o755), root.WriteFile(deep+"/f", nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.RemoveAll(part) })
	for name, l := range map[string]Layout{"objects": mirror("*"), "tar": tarLayout(Plain)} {
		t.Run(name, func(t *testing.T) {
			archives, _ := walk(t, s, WalkOptions{Layout: l})
			all := entries(archives)
			failed := 0
			for p, e := range all {
				if e.Failed != "" && (e.Failed != ReasonPathTooLong || len(p) < maxDirectoryPath) {
					t.Errorf("a path of %d bytes: %s", len(p), e.Failed)
				} else if e.Failed != "" {
					failed++
				}
			}
			body, err := Lost(l, archives[0], "x", "y").Encode()
			if err != nil {
				t.Fatal(err)
			}
			m, err := DecodeManifest(body)
			if err != nil || len(m.Members) != len(all) || failed != 1 || !all["other"].Sendable() {
				t.Errorf("%d entries, %d failed; a manifest of %d, %v", len(all), failed, len(m.Members), err)
			}
		})
	}
}
