package restore

import (
	"context"
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
// work of several, the one that finishes it knows such a directory from one that was there. The
// sticky bit changes nothing for the owner, who alone gets at it.
const madeMode = workMode | fs.ModeSticky

// directories makes those that are restored into, and has them writable for the time of the work.
type directories struct {
	root *os.Root

	mu sync.Mutex
	// known are those that can be worked in, by path.
	known map[string]found
	// wanted are those that are restored, parents those that only lead to what is.
	wanted  map[string]directory
	parents map[string]archive.Member
}

// found is how a directory was found.
type found struct {
	made bool
	mode fs.FileMode // unless made
}

// directory is one whose attributes are set at the end.
type directory struct {
	member archive.Member
	xattrs []archive.Xattr
}

func newDirectories(root *os.Root) *directories {
	return &directories{root: root, known: map[string]found{}, wanted: map[string]directory{}, parents: map[string]archive.Member{}}
}

var errOutside = errors.New("the path leads outside of the directory to restore into")

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
		err := d.root.Mkdir(p, workMode)
		if err == nil {
			d.known[p] = found{made: true}
			return localError("mark directory", d.root.Chmod(p, madeMode))
		}
		if !errors.Is(err, fs.ErrExist) {
			return localError("make directory", err)
		}
	}
	info, err := d.root.Stat(p)
	if err != nil {
		return localError("look up directory", err)
	}
	if !info.IsDir() {
		return localError("make directory", syscall.ENOTDIR)
	}
	if mode := info.Mode() & modeBits; os.Geteuid() != 0 && mode&workMode != workMode {
		// If that is not allowed, writing there says so.
		_ = d.root.Chmod(p, mode|workMode)
	}
	d.known[p] = found{made: info.Mode()&modeBits == madeMode && p != ".", mode: info.Mode() & modeBits}
	return nil
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
// of one may deny the way to those below. When ctx has ended, new ones stay as they are, private.
func (r *restorer) finish(ctx context.Context) {
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
		case wanted && ctx.Err() == nil && (f.made || r.options.replaces()):
			r.dressDirectory(w, f.made)
		case known && unfinished && ctx.Err() == nil:
			r.dressDirectory(directory{parent, parent.Xattrs}, f.made)
		case f.made && ctx.Err() == nil:
			_ = d.root.Chmod(p, usual) // It stays private else.
		case !f.made && f.mode&workMode != workMode && os.Geteuid() != 0:
			_ = d.root.Chmod(p, f.mode) // As it was found.
		}
	}
}

// dressDirectory gives a directory its attributes.
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
	err = errors.Join(err, r.setAttributes(f, d), setTime(r.root, f, m.Path, m.ModTime))
	r.leftOut(d)
	r.attributeFailure(m, err)
}
