package restore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path"
)

// temporary is a file under a temporary name, which no other process writes to.
type temporary struct {
	dir  *os.Root
	file *os.File
	info fs.FileInfo
	// name is empty once the file has its own.
	name string
	// guard holds the lock, also when the file is closed; nil without a lock.
	guard *os.File
}

// release gives the file up, and removes it unless it has its own name.
func (t *temporary) release() {
	_ = t.file.Close() // It is closed already if it is complete.
	if t.name != "" {
		_ = t.dir.Remove(t.name)
	}
	if t.guard != nil {
		_ = t.guard.Close()
	}
}

// temporaryName is a name beside a path that fits in any directory and that a restore of the same
// run finds again. What an interrupted restore has left may be archived in its turn: it has the name of
// another run then, and is in nobody's way.
func (r *restorer) temporaryName(p string) string {
	return temporaryName(p, r.options.Catalog.Index.Layout.UID)
}

func temporaryName(p, run string) string {
	sum := sha256.Sum256([]byte(run + "\x00" + p))
	return path.Join(path.Dir(p), ".restoring-"+hex.EncodeToString(sum[:8]))
}

// createTemporary creates a file of this process's own. Whoever restores the same file knows the
// name, so the file is locked: one that nobody has locked was left by an interrupted restore, and is
// removed. If another process is at work, the file gets a name that nobody else knows.
func createTemporary(dir *os.Root, name string) (*temporary, error) {
	t, held, err := newTemporary(dir, name)
	if errors.Is(err, fs.ErrExist) && removeLeftover(dir, name) {
		t, held, err = newTemporary(dir, name)
	}
	switch {
	case err == nil && !held && named(dir, t.info, name):
		return t, nil
	case err == nil:
		// Another process has taken it for a leftover, and removes it.
		t.name = ""
		t.release()
	case !errors.Is(err, fs.ErrExist):
		return nil, localError("create", err)
	}
	t, _, err = newTemporary(dir, name+"-"+rand.Text())
	return t, localError("create", err)
}

// newTemporary creates and locks a file, unless another process holds the lock.
func newTemporary(dir *os.Root, name string) (t *temporary, held bool, err error) {
	f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, false, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, false, errors.Join(err, f.Close(), dir.Remove(name))
	}
	guard, held := lock(f)
	return &temporary{dir, f, info, name, guard}, held, nil
}

// removeLeftover removes what an interrupted restore has left. Without locks nobody can tell.
func removeLeftover(dir *os.Root, name string) bool {
	f, err := dir.OpenFile(name, os.O_RDWR|noLinkNorPipe, 0) // Locks of NFS take files that are open for writing.
	if errors.Is(err, fs.ErrPermission) {
		f, err = dir.OpenFile(name, os.O_RDONLY|noLinkNorPipe, 0)
	}
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close() //nolint:errcheck // Nothing was written to it.
	guard, _ := lock(f)
	if guard == nil {
		return false
	}
	defer guard.Close() //nolint:errcheck // Nothing was written to it.
	// It may be complete by now, and have another name.
	info, err := f.Stat()
	return err == nil && named(dir, info, name) && dir.Remove(name) == nil
}

// named says that a file has a name.
func named(dir *os.Root, file fs.FileInfo, name string) bool {
	info, err := dir.Lstat(name)
	return err == nil && os.SameFile(info, file)
}
