package archive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// mapStore is a Store in memory. While failAfter is positive it counts down
// with every Put; the Put that brings it to zero fails, and so do all that
// follow. With torn, the failing Put has taken effect all the same.
type mapStore struct {
	mu        sync.Mutex
	objects   map[string][]byte
	failAfter int
	failing   bool
	torn      bool
	gets      int
	lists     int
}

var errStore = errors.New("the store is away")

func newMapStore() *mapStore { return &mapStore{objects: map[string][]byte{}} }

func (s *mapStore) Put(_ context.Context, key string, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing {
		return errStore
	}
	if s.failAfter > 0 {
		if s.failAfter--; s.failAfter == 0 {
			s.failing = true
			if s.torn {
				s.objects[key] = slices.Clone(body)
			}
			return errStore
		}
	}
	s.objects[key] = slices.Clone(body)
	return nil
}

func (s *mapStore) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	body, ok := s.objects[key]
	if !ok {
		return nil, fmt.Errorf("no object %q", key)
	}
	return slices.Clone(body), nil
}

func (s *mapStore) List(_ context.Context, prefix string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(s.objects)) {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// tree makes a directory of files with the given sizes and opens it.
func tree(tb testing.TB, files map[string]int64) (string, *Source) {
	tb.Helper()
	dir := tb.TempDir()
	for name, size := range files {
		writeFile(tb, dir, name, size)
	}
	return dir, openSource(tb, dir)
}

func writeFile(tb testing.TB, dir, name string, size int64) {
	tb.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		tb.Fatal(err)
	}
	f, err := os.Create(p)
	if err != nil {
		tb.Fatal(err)
	}
	defer release(f)
	if err := f.Truncate(size); err != nil {
		tb.Fatal(err)
	}
	if err := os.Chtimes(p, time.Time{}, time.Unix(1_700_000_000, 123)); err != nil {
		tb.Fatal(err)
	}
}

func openSource(tb testing.TB, dir string) *Source {
	tb.Helper()
	s, err := OpenSource(dir, "")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// walk returns all archives of a source.
func walk(tb testing.TB, s *Source, o WalkOptions) ([]Archive, Totals) {
	tb.Helper()
	var all []Archive
	totals, err := s.Walk(tb.Context(), o, func(a Archive) error {
		all = append(all, a)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all, totals
}

// entries returns the entries of all archives by path.
func entries(archives []Archive) map[string]Entry {
	all := map[string]Entry{}
	for _, a := range archives {
		for _, e := range a.Entries {
			all[e.Path] = e
		}
	}
	return all
}

func mirror(names ...string) Layout { return Layout{Pattern: Mirror, Names: names, UID: "uid"} }
