package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// WalkOptions shapes a walk.
type WalkOptions struct {
	// Include and Exclude are glob patterns on paths relative to the source, in
	// which ** matches any number of directories. A pattern that matches a directory
	// selects everything below it. No Include means everything; Exclude takes precedence.
	Include, Exclude []string
	// Layout must be resolved.
	Layout Layout
	// bounds are those of an archive; tests make them small.
	bounds bounds
	// Resume says, by prefix, how far an earlier walk of the same source got, and Listed
	// is what that has listed. Only a walk for packing Tar needs it.
	Resume map[string]Cursor
	Listed *Inventory
}

// Cursor is how far the archives of a prefix are known.
type Cursor struct {
	// Next is the number of the next archive.
	Next int64
	// After is the path of the last known entry.
	After string
}

// Walk goes through the source once, in an order that depends on nothing but
// the names, and emits archives as they fill, numbered by prefix. What it
// holds in memory doesn't grow with the tree. A directory that cannot be read
// is emitted as a failed entry; an error means that the walk is not complete.
func (s *Source) Walk(ctx context.Context, o WalkOptions, emit func(Archive) error) (Totals, error) {
	if err := o.Layout.Validate(); err != nil {
		return Totals{}, err
	}
	if !o.Layout.Resolved() {
		return Totals{}, errors.New("walk source: the layout's prefixes are not resolved")
	}
	f, err := newFilter(o.Include, o.Exclude)
	if err != nil {
		return Totals{}, err
	}
	if o.Layout.Tar != nil && len(o.Resume) > 0 && o.Listed == nil {
		return Totals{}, errors.New("walk source: what an earlier walk has listed is not known")
	}
	w := newWalker(s, f, o, emit)
	if err := w.directory(ctx, "", nil, len(f.include) == 0); err != nil {
		return w.batcher.totals, err
	}
	for _, prefix := range o.Layout.Prefixes() {
		if err := w.batcher.close(prefix); err != nil {
			return w.batcher.totals, err
		}
	}
	return w.batcher.totals, nil
}

type walker struct {
	source  *Source
	filter  filter
	options WalkOptions
	batcher *batcher
	earlier earlierWalk
	// held is what the names of the directories that the walk is in take, in bytes.
	held int
}

func newWalker(s *Source, f filter, o WalkOptions, emit func(Archive) error) *walker {
	return &walker{
		source: s, filter: f, options: o, batcher: newBatcher(o, emit),
		earlier: earlierWalk{cursors: o.Resume, inventory: o.Listed, prefixes: o.Layout.Prefixes()},
	}
}

// directory walks dir, whose content is included as a whole or by pattern, and records it
// as self, if it is to be. It holds no directory open while it is in one below, so that
// depth costs no file descriptors.
func (w *walker) directory(ctx context.Context, dir string, self *found, included bool) error {
	w.batcher.totals.Directories++
	for after, more := "", true; more; {
		var names []string
		var err error
		names, more, err = page(ctx, w.source.root, orDot(dir), after, w.pageLimit())
		if err != nil {
			return w.unreadable(ctx, dir, after, err)
		}
		if self != nil {
			if err := w.add(ctx, *self); err != nil {
				return err
			}
			self = nil
		}
		size := heldBy(names)
		w.held += size
		if err := w.page(ctx, dir, names, included); err != nil {
			return err
		}
		w.held -= size
		if more {
			after = names[len(names)-1]
		}
	}
	return nil
}

// pageLimit is what to hold of a directory: half of what those that it lies in have left of the budget.
func (w *walker) pageLimit() pageLimit {
	return pageLimit{w.source.pageNames, max(minPageBytes, (w.source.namesBudget-w.held)/2)}
}

// unreadable records a directory that cannot be listed. Past its first page
// that would tear the order of the paths, so the walk has to end.
func (w *walker) unreadable(ctx context.Context, dir, after string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("walk source: %w", context.Cause(ctx))
	case dir != "" && errors.Is(err, fs.ErrNotExist):
		return nil
	case dir == "" || after != "":
		return fmt.Errorf("list source directory %q: %w", orDot(dir), cause(err))
	default:
		return w.add(ctx, found{Entry: Entry{Path: dir, Failed: ReasonUnreadable}})
	}
}

// page visits some of the entries of dir.
func (w *walker) page(ctx context.Context, dir string, names []string, included bool) error {
	var at *os.Root
	defer func() {
		if at != nil {
			release(at)
		}
	}()
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("walk source: %w", context.Cause(ctx))
		}
		if at == nil {
			err := WhenScarce(ctx, func() (err error) {
				at, err = w.source.root.OpenRoot(orDot(dir))
				return err
			})
			if err != nil {
				return w.unreadable(ctx, dir, name, err)
			}
		}
		p := join(dir, name)
		if w.filter.excludes(p) {
			continue
		}
		info, err := at.Lstat(name)
		if err != nil || !info.IsDir() {
			if err := w.file(ctx, p, info, err, included); err != nil {
				return err
			}
			continue
		}
		release(at)
		at = nil
		if err := w.below(ctx, p, info, included); err != nil {
			return err
		}
	}
	return nil
}

// maxDirectoryPath bounds the path of a directory in bytes, with some room for names in it: those
// of a manifest have to stay below maxRecord. Linux opens paths of up to 4 KiB.
const maxDirectoryPath = 7 << 10

// below records a subdirectory, and walks it unless nothing new can be in it.
func (w *walker) below(ctx context.Context, dir string, info fs.FileInfo, included bool) error {
	included = included || w.filter.includes(dir)
	if !included && !w.filter.reaches(dir) {
		return nil
	}
	if len(dir) > maxDirectoryPath {
		return w.add(ctx, found{Entry: Entry{Path: dir, Failed: ReasonPathTooLong}})
	}
	if w.listed(dir) {
		return nil
	}
	var self *found
	if w.tar() && included {
		f := w.found(dir, info)
		self = &f
	}
	if err := w.directory(ctx, dir, self, included); err != nil {
		return err
	}
	if w.options.Layout.Pattern == Mirror && w.options.Layout.Prefix(join(dir, "x")) == dir {
		return w.batcher.close(dir)
	}
	return nil
}

// listed says that all that lies in dir was listed by the walk that is resumed.
func (w *walker) listed(dir string) bool {
	if len(w.options.Resume) == 0 {
		return false
	}
	prefixes := w.options.Layout.Prefixes()
	if w.options.Layout.Pattern == Mirror {
		prefixes = []string{w.options.Layout.Prefix(join(dir, "x"))}
	}
	for _, prefix := range prefixes {
		after := w.options.Resume[prefix].After
		if ComparePaths(after, dir) <= 0 || within(after, dir) {
			return false
		}
	}
	return true
}

// file records the entry at p, unless it has vanished.
func (w *walker) file(ctx context.Context, p string, info fs.FileInfo, err error, included bool) error {
	if errors.Is(err, fs.ErrNotExist) || !included && !w.filter.includes(p) {
		return nil
	}
	if err != nil {
		return w.add(ctx, found{Entry: Entry{Path: p, Failed: ReasonUnreadable}})
	}
	switch symlink := info.Mode()&fs.ModeSymlink != 0; {
	case symlink && !w.tar():
		return w.link(ctx, p)
	case symlink:
		return w.symlink(ctx, p, info)
	default:
		return w.add(ctx, w.found(p, info))
	}
}

// tar says that the walk is for packing Tar.
func (w *walker) tar() bool { return w.options.Layout.Tar != nil }

// symlink records a symbolic link as a member of a tar.
func (w *walker) symlink(ctx context.Context, p string, info fs.FileInfo) error {
	f := w.found(p, info)
	err := WhenScarce(ctx, func() (err error) {
		f.Link, err = w.source.root.Readlink(p)
		return err
	})
	if err != nil {
		f.Link, f.Kind, f.Failed = "", File, ReasonUnreadable
	}
	return w.add(ctx, f)
}

// link records a symbolic link as what it leads to.
func (w *walker) link(ctx context.Context, p string) error {
	var info fs.FileInfo
	err := WhenScarce(ctx, func() (err error) {
		info, err = w.source.root.Stat(p)
		return err
	})
	if err != nil {
		return w.add(ctx, found{Entry: linkVerdict(p, cause(err))})
	}
	if info.IsDir() {
		return w.add(ctx, found{Entry: Entry{Path: p, Skipped: ReasonLinkToDirectory}})
	}
	return w.add(ctx, w.found(p, info))
}

// linkVerdict returns why a link cannot be followed. The os package reports a way
// out of the root by an error of its own, and all else by that of the system.
func linkVerdict(p string, err error) Entry {
	errno, system := errors.AsType[syscall.Errno](err)
	switch {
	case !system:
		return Entry{Path: p, Skipped: ReasonLinkOutsideSource}
	case errno == syscall.ENOENT, errno == syscall.ENOTDIR, errno == syscall.ELOOP:
		return Entry{Path: p, Skipped: ReasonDanglingLink}
	default:
		return Entry{Path: p, Failed: ReasonUnreadable}
	}
}

// found is an entry with what only the walk needs to know of it.
type found struct {
	Entry
	// inode is set for a file that has several names.
	inode inode
}

// inode names a file within its machine.
type inode struct{ device, number uint64 }

// found describes what lies at p.
func (w *walker) found(p string, info fs.FileInfo) found {
	f := found{Entry: Entry{Path: p, ModTime: info.ModTime(), Mode: info.Mode() & keptModeBits}}
	switch m := info.Mode(); {
	case m.IsRegular():
		f.Size = info.Size()
		if !w.tar() {
			f.Failed = w.options.Layout.verdict(p)
		}
	case m.IsDir():
		f.Kind = Directory
	case m&fs.ModeSymlink != 0:
		f.Kind, f.Mode = Symlink, fs.ModePerm
	case m&fs.ModeSocket != 0:
		f.Skipped = ReasonSocket
	case m&fs.ModeNamedPipe != 0:
		f.Skipped = ReasonNamedPipe
	default:
		f.Skipped = ReasonDevice
	}
	f.fromSystem(info, w.tar() && f.Kind == File)
	return f
}

func (w *walker) add(ctx context.Context, f found) error {
	prefix := w.options.Layout.Prefix(f.Path)
	if f.inode != (inode{}) {
		// Names of one file meet in one archive only if they share a prefix.
		prefix = w.options.Layout.prefixOf(f.inode.number)
	}
	if w.tar() {
		var err error
		if prefix, err = w.earlier.unlisted(ctx, prefix, f.Path); prefix == "" || err != nil {
			return err
		}
	} else if w.earlier.passed(prefix, f.Path) {
		return nil
	}
	return w.batcher.add(prefix, f)
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

func orDot(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}
