package archive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// planned is the entry of a file as it is.
func planned(t *testing.T, dir, path string) Entry {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	return Entry{Path: path, Size: info.Size(), ModTime: info.ModTime()}
}

func expectOpened(t *testing.T, open openFile, e Entry, want error) {
	t.Helper()
	f, err := open(e)
	if !errors.Is(err, want) {
		t.Fatalf("open %s: %v, want %v", e.Path, err, want)
	}
	if err == nil && f.Close() != nil {
		t.Fatalf("%s: not open", e.Path)
	}
}

// TestOpenerOpensWhatTheSourceWould opens files of all kinds of directories, in both ways.
func TestOpenerOpensWhatTheSourceWould(t *testing.T) {
	dir, s := tree(t, map[string]int64{"a": 1, "b": 2, "d/a": 3, "d/b": 4, "d/c": 5, "d/e/a": 6, "d/e/b": 7, "e/a": 8})
	if err := errors.Join(
		os.Symlink("../e/a", filepath.Join(dir, "d/f")),
		os.Symlink("../../outside", filepath.Join(dir, "d/g")),
	); err != nil {
		t.Fatal(err)
	}
	near := opener{source: s}
	defer near.Close()
	for _, path := range []string{"a", "b", "d/a", "d/b", "d/e/a", "d/e/b", "d/c", "d/b", "e/a"} {
		expectOpened(t, near.Open, planned(t, dir, path), nil)
	}
	leads := planned(t, dir, "d/f")
	for _, path := range []string{"d/a", "d/b"} {
		expectOpened(t, near.Open, planned(t, dir, path), nil)
		// To another directory of the source, which that of the link does not contain.
		expectOpened(t, near.Open, leads, nil)
		expectOpened(t, near.Open, Entry{Path: "d/g"}, ErrUnreadable)
		expectOpened(t, near.Open, Entry{Path: "d/none"}, ErrVanished)
	}
}

// TestOpenerKeepsToTheSource replaces the directory that is open.
func TestOpenerKeepsToTheSource(t *testing.T) {
	dir, s := tree(t, map[string]int64{"d/a": 3, "d/b": 4, "d/c": 5})
	outside, _ := tree(t, map[string]int64{"c": 5, "z": 6})
	near := opener{source: s}
	defer near.Close()
	a, b, c := planned(t, dir, "d/a"), planned(t, dir, "d/b"), planned(t, dir, "d/c")
	expectOpened(t, near.Open, a, nil)
	expectOpened(t, near.Open, b, nil)
	if err := errors.Join(
		os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "old")),
		os.Symlink(outside, filepath.Join(dir, "d")),
	); err != nil {
		t.Fatal(err)
	}
	// What was planned is in the directory that is open still.
	expectOpened(t, near.Open, c, nil)
	expectOpened(t, near.Open, Entry{Path: "d/z", Size: 6, ModTime: time.Unix(1_700_000_000, 123)}, ErrUnreadable)
	near.Close()
	for range 3 {
		expectOpened(t, near.Open, c, ErrUnreadable)
	}
}
