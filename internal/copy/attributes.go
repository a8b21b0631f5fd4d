package copy

import (
	"maps"
	"slices"
	"sync"

	"cargoship.dev/operator/internal/archive"
)

// maxNotKept bounds the names of attributes that are kept to be listed.
const maxNotKept = 16

// notKept counts the files some of whose extended attributes are not archived. A later
// attempt at an archive replaces an earlier one.
type notKept struct {
	mu    sync.Mutex
	files map[string]int64 // by key of the manifest
	names map[string]bool
}

// take takes in a manifest.
func (n *notKept) take(key string, m archive.Manifest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.files == nil {
		n.files, n.names = map[string]int64{}, map[string]bool{}
	}
	var files int64
	for _, f := range m.Members {
		if len(f.NotKept) == 0 || f.Outcome != archive.Done {
			continue
		}
		files++
		for _, name := range f.NotKept {
			if len(n.names) < maxNotKept {
				n.names[name] = true
			}
		}
	}
	delete(n.files, key)
	if files > 0 {
		n.files[key] = files
	}
}

// sum returns how many files there are, and the names of some of the attributes.
func (n *notKept) sum() (files int64, names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, count := range n.files {
		files += count
	}
	return files, slices.Sorted(maps.Keys(n.names))
}
