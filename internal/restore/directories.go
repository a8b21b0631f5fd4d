package restore

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"cargoship.dev/operator/internal/archive"
)

// workMode is the mode of directories while a restore works in them: whatever they hold, nobody
// else gets at it before they have the mode that they are to have.
const workMode = 0o700

// madeMode is the mode of one that a restore has made: should that be interrupted, or be the
// work of several, the one that finishes it knows such a directory from one that was there. Nobody sets
// the set-user-ID bit of a directory, which means nothing.
const madeMode = workMode | fs.ModeSetuid

// openedMode is what a directory gets that was there and that its owner may not write to. The one that
// finishes the restore takes it away again.
const openedMode = 0o200 | fs.ModeSetuid | fs.ModeSticky

// directories makes those that are restored into, and has them writable for the time of the work.
type directories struct {
	root *os.Root
	// replaces says that directories take the place of links.
	replaces bool

	mu sync.Mutex
	// known are those that can be worked in, by path.
	known map[string]found
	// seen are others that are no links.
	seen map[string]bool
	// wanted are those that are restored, parents those that only lead to what is.
	wanted  map[string]directory
	parents map[string]archive.Member
}

// found is how a directory was found.
type found struct {
	// made by a restore, or opened by one.
	made, opened bool
	mode         fs.FileMode // unless made
}

// directory is one whose attributes are set at the end.
type directory struct {
	member archive.Member
	xattrs []archive.Xattr
}

func newDirectories(root *os.Root, o Options) *directories {
	return &directories{
		root: root, replaces: o.replaces(), known: map[string]found{}, seen: map[string]bool{},
		wanted: map[string]directory{}, parents: map[string]archive.Member{},
	}
}

var (
	errOutside = errors.New("the path leads outside of the directory to restore into")
	errLink    = errors.New("there is a link in its place, which is not followed: remove it, or restore with conflicts Replace")
)

// prepare sees to it that something can be put into a directory.
func (d *directories) prepare(p string) error {
	if !filepath.IsLocal(p) {
		return errOutside
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ensure(path.Clean(p))
}

func (d *directories) ensure(p string) error {
	if _, ok := d.known[p]; ok {
		return nil
	}
	if p != "." {
		if err := d.ensure(path.Dir(p)); err != nil {
			return err
		}
		made, err := d.make(p)
		if err != nil {
			return localError("make directory", err)
		}
		if made {
			d.known[p] = found{made: true}
			return localError("mark directory", d.root.Chmod(p, madeMode))
		}
	}
	info, err := d.root.Lstat(p)
	if err != nil {
		return localError("look up directory", err)
	}
	if !info.IsDir() {
		return localError("make directory", syscall.ENOTDIR)
	}
	d.known[p] = d.find(p, info.Mode()&modeBits)
	delete(d.seen, p)
	return nil
}

// make makes a directory if there is none. A link is none: it is not followed, since what it leads to may be
// no part of what is restored. It gives way where files do.
func (d *directories) make(p string) (made bool, err error) {
	err = d.root.Mkdir(p, workMode)
	if errors.Is(err, fs.ErrExist) && d.link(p) {
		if !d.replaces {
			return false, errLink
		}
		if err = d.root.Remove(p); err == nil {
			err = d.root.Mkdir(p, workMode)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// link says that there is a link.
func (d *directories) link(p string) bool {
	info, err := d.root.Lstat(p)
	return err == nil && info.Mode().Type() == fs.ModeSymlink
}

// beyond says that a path leads through a link.
func (d *directories) beyond(p string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leads(path.Dir(p))
}

func (d *directories) leads(p string) bool {
	if _, ok := d.known[p]; ok || p == "." || d.seen[p] || !filepath.IsLocal(p) {
		return false // What leads outside is not opened.
	}
	if d.leads(path.Dir(p)) || d.link(p) {
		return true
	}
	d.seen[p] = true
	return false
}

// find tells how a directory was found, and opens one that its owner may not write to.
func (d *directories) find(p string, mode fs.FileMode) found {
	switch {
	case mode == madeMode && p != ".":
		return found{made: true}
	case mode&openedMode == openedMode:
		return found{opened: true, mode: mode &^ openedMode}
	case os.Geteuid() != 0 && mode&(workMode|openedMode) == 0o500 && d.root.Chmod(p, mode|openedMode) == nil:
		return found{opened: true, mode: mode}
	default: // If writing is not allowed there, it says so.
		return found{mode: mode}
	}
}

// want keeps a directory to be dressed at the end.
func (d *directories) want(w directory) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted[w.member.Path] = w
}

// lead keeps what is known of a directory that something selected may lie in.
func (d *directories) lead(m archive.Member) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parents[m.Path] = m
}

// finish gives all directories the modes that they are to have, the deepest first, since that
// of one may deny the way to those below. Unless the run has succeeded, those that it has made stay as they
// are, private, and the next run knows them. So do those of which an archive that was left out may tell
// more, unless all of them are complete.
func (r *restorer) finish(succeeded, complete bool) {
	d := r.directories
	d.mu.Lock()
	defer d.mu.Unlock()
	paths := make([]string, 0, len(d.known))
	for p := range d.known {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, func(a, b string) int { return len(b) - len(a) })
	usual := fs.ModePerm &^ umask()
	for _, p := range paths {
		f := d.known[p]
		w, wanted := d.wanted[p]
		parent, known := d.parents[p]
		// An interrupted restore leaves the mode that it works with.
		unfinished := f.made || f.mode == workMode
		switch {
		case wanted && succeeded && (f.made || r.options.replaces()):
			r.dressDirectory(w, f.made)
		case known && unfinished && succeeded:
			r.dressDirectory(directory{parent, parent.Xattrs}, f.made)
		case f.made && succeeded && complete:
			_ = d.root.Chmod(p, usual)
		case f.opened:
			_ = d.root.Chmod(p, f.mode) // As it was found.
		}
	}
}

// dressDirectory gives a directory its attributes. The mode comes last: until then the next restore
// knows it for one that is not finished.
func (r *restorer) dressDirectory(w directory, made bool) {
	m := w.member
	f, err := r.root.Open(m.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.attributeFailure(m, localError("open", err))
		return
	}
	defer func() { _ = f.Close() }()
	d := r.attributesOf(m, w.xattrs)
	if made {
		err = strip(f, d)
	}
	err = errors.Join(err, give(r.root, f, m.Path, m.ModTime))
	r.leftOut(d)
	r.attributeFailure(m, errors.Join(err, r.setAttributes(f, d)))
}
