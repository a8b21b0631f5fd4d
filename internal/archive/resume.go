package archive

import (
	"context"
	"slices"
)

// earlierWalk is the walk that is resumed, if there was one.
type earlierWalk struct {
	cursors   map[string]Cursor
	inventory *Inventory
	prefixes  []string
	// near holds, by prefix, the archive that the last path asked for is in, or would be in.
	near map[string]listedArchive
}

// listedArchive is an archive as far as it tells which paths are listed.
type listedArchive struct {
	number int64
	paths  []string
}

// passed says that the earlier walk lists nothing more of a prefix up to the path.
func (w *earlierWalk) passed(prefix, p string) bool {
	after := w.cursors[prefix].After
	return after != "" && ComparePaths(p, after) <= 0
}

// unlisted returns the prefix in which to list a path; "" if the earlier walk listed it, or if it
// has been created behind that. The path is looked up in all prefixes: that of a file follows from
// its inode or its path, by how many names it has, which may have changed since, and some file
// systems have other inodes on each machine. Paths have to ascend from call to call.
func (w *earlierWalk) unlisted(ctx context.Context, own, p string) (string, error) {
	if len(w.cursors) == 0 {
		return own, nil
	}
	open := own
	if w.passed(own, p) {
		at := slices.IndexFunc(w.prefixes, func(prefix string) bool { return !w.passed(prefix, p) })
		if at < 0 {
			return "", nil
		}
		open = w.prefixes[at]
	}
	for _, prefix := range w.prefixes {
		if listed, err := w.lists(ctx, prefix, p); listed || err != nil {
			return "", err
		}
	}
	return open, nil
}

// lists says that the earlier walk listed the path in a prefix.
func (w *earlierWalk) lists(ctx context.Context, prefix, p string) (bool, error) {
	if !w.passed(prefix, p) {
		delete(w.near, prefix)
		return false, nil
	}
	a, known := w.near[prefix]
	if !known {
		first, found, err := w.inventory.archiveAt(ctx, prefix, p)
		if !found || err != nil {
			return false, err
		}
		a = pathsOf(first)
	}
	for ComparePaths(a.paths[len(a.paths)-1], p) < 0 {
		next, err := w.inventory.Archive(ctx, prefix, a.number+1)
		if err != nil {
			return false, err
		}
		a = pathsOf(next)
	}
	if w.near == nil {
		w.near = map[string]listedArchive{}
	}
	w.near[prefix] = a
	_, listed := slices.BinarySearchFunc(a.paths, p, ComparePaths)
	return listed, nil
}

func pathsOf(a Archive) listedArchive {
	l := listedArchive{number: a.Number, paths: make([]string, len(a.Entries))}
	for i, e := range a.Entries {
		l.paths[i] = e.Path
	}
	return l
}
