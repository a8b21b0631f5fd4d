package restore

import (
	"fmt"
	"os"
	"sync"

	"cargoship.dev/operator/internal/archive"
)

// unsynced are the files that a process has placed and whose content may be in memory only. A file
// system reports what it could not write later: they are not restored before it was synced.
type unsynced struct {
	root *os.Root
	// dir was opened before anything was written: the errors since then are reported.
	dir   *os.File
	flush func(dir *os.File) error

	syncing sync.Mutex // for the time of a sync
	// err is why the last sync that failed did.
	err error

	mu    sync.Mutex
	files []archive.Member // with path, size and time
	// lost counts the syncs that have failed.
	lost int
}

func newUnsynced(root *os.Root, o Options) (*unsynced, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("open the directory to restore into: %w", cause(err))
	}
	u := &unsynced{root: root, dir: dir, flush: syncFileSystem}
	if o.flush != nil {
		u.flush = o.flush
	}
	return u, nil
}

func (u *unsynced) close() error { return u.dir.Close() }

// add notes a file that was placed.
func (u *unsynced) add(m archive.Member) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files = append(u.files, archive.Member{Path: m.Path, Size: m.Size, ModTime: m.ModTime})
}

// failures is how many syncs have failed: an archive during which that changes has lost files.
func (u *unsynced) failures() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.lost
}

// take returns the files that were placed since the last call.
func (u *unsynced) take() []archive.Member {
	u.mu.Lock()
	defer u.mu.Unlock()
	files := u.files
	u.files = nil
	return files
}

// sync has everything written that this process has placed, unless another call has seen to that. If that
// fails, nobody knows which files are whole: all that were not synced are removed, whichever archive
// they are of, and every archive fails that had begun before. Since is what failures said at its beginning.
func (r *restorer) sync(since int) error {
	u := r.unsynced
	u.syncing.Lock()
	defer u.syncing.Unlock()
	if u.failures() != since {
		return u.err
	}
	files := u.take()
	if len(files) == 0 {
		return nil
	}
	err := u.flush(u.dir)
	if err == nil {
		return nil
	}
	u.err = localError("sync the file system", fmt.Errorf("%w: files that it may have lost were removed, restore again", err))
	u.mu.Lock()
	u.lost++
	u.mu.Unlock()
	for _, f := range append(files, u.take()...) {
		if r.existing(f) != nil && u.root.Remove(f.Path) == nil {
			r.count(func(s *Summary) {
				s.Files--
				s.Bytes -= f.Size
			})
		}
	}
	return u.err
}
