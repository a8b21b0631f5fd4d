package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// Kinds of FileError: what can happen to a planned file before or while it is read.
var (
	ErrUnreadable = errors.New("cannot be read")
	ErrChanged    = errors.New("has changed since it was planned")
	ErrVanished   = errors.New("is no longer there")
	ErrExcluded   = errors.New("is excluded by the patterns of the transfer")
)

// FileError says why a file of the source cannot be archived.
type FileError struct {
	Path string
	// Kind is ErrUnreadable, ErrChanged, ErrVanished or ErrExcluded.
	Kind error
	// Err is the cause; it may be nil.
	Err error
}

func (e *FileError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("source file %q %v", e.Path, e.Kind)
	}
	return fmt.Sprintf("source file %q %v: %v", e.Path, e.Kind, e.Err)
}

// Unwrap lets errors.Is find the kind and the cause.
func (e *FileError) Unwrap() []error { return []error{e.Kind, e.Err} }

// Reason is the error as a machine-readable word: ReasonUnreadable,
// ReasonChanged, ReasonVanished or ReasonExcluded.
func (e *FileError) Reason() string {
	switch {
	case errors.Is(e.Kind, ErrChanged):
		return ReasonChanged
	case errors.Is(e.Kind, ErrVanished):
		return ReasonVanished
	case errors.Is(e.Kind, ErrExcluded):
		return ReasonExcluded
	default:
		return ReasonUnreadable
	}
}

// Source is a directory tree to be archived. Nothing outside of it is ever
// opened, even if links in it lead elsewhere or are replaced. A source is safe for
// concurrent use.
type Source struct {
	root *os.Root
	// selected is what may be opened, everything by default; real is the absolute path of
	// the root, if known.
	selected filter
	real     string
	// pageNames is defaultPageNames, or less in a test.
	pageNames int
	// namesBudget is maxHeldNames, or less in a test.
	namesBudget int
}

// OpenSource opens the directory sub of dir; sub may be empty. Links below dir
// are followed on the way to sub, those that leave dir are an error.
func OpenSource(dir, sub string) (*Source, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open source: %w", err)
	}
	sub = path.Clean(strings.TrimLeft(sub, "/"))
	if sub == "." {
		return &Source{root: root, pageNames: defaultPageNames, namesBudget: maxHeldNames}, nil
	}
	defer release(root)
	below, err := root.OpenRoot(sub)
	if err != nil {
		return nil, fmt.Errorf("open source in %s: %w", dir, err)
	}
	return &Source{root: below, pageNames: defaultPageNames, namesBudget: maxHeldNames}, nil
}

// Restrict limits what can be opened to what a walk with these patterns finds. An inventory
// may list more: it comes from the bucket, where others may have written it. Call Restrict
// before opening anything.
func (s *Source) Restrict(include, exclude []string) error {
	f, err := newFilter(include, exclude)
	if err != nil {
		return err
	}
	s.selected = f
	if dir, err := s.root.Open("."); err == nil && len(exclude) > 0 {
		s.real = realPath(dir)
		release(dir)
	}
	return nil
}

// allow returns an error for an entry that must not be opened.
func (s *Source) allow(e Entry) error {
	if !s.selected.takes(e.Path) {
		return &FileError{e.Path, ErrExcluded, nil}
	}
	return nil
}

// allowFile does the same for an open file, which links may have led elsewhere.
func (s *Source) allowFile(e Entry, f *os.File) error {
	if s.real == "" {
		return nil
	}
	if real, below := strings.CutPrefix(realPath(f), s.real+"/"); below && real != e.Path && !(filter{exclude: s.selected.exclude}).takes(real) {
		return &FileError{e.Path, ErrExcluded, fmt.Errorf("it leads to %q", real)}
	}
	return nil
}

// realPath returns the path of an open file without links, or "" if the system does not
// provide it.
func realPath(f *os.File) string {
	p, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return ""
	}
	return p
}

// Name is the directory as it was opened.
func (s *Source) Name() string { return s.root.Name() }

// Close releases the directory. Files already open remain so.
func (s *Source) Close() error { return s.root.Close() }

// Open opens a planned file. Its error is a *FileError, in particular when the
// file is no longer the one that was planned.
func (s *Source) Open(e Entry) (*SourceFile, error) {
	if err := s.allow(e); err != nil {
		return nil, err
	}
	f, err := openIn(s.root, e.Path)
	if err != nil {
		return nil, openError(e.Path, err)
	}
	return s.accept(e, f)
}

// openIn opens a file without blocking, as it would on a pipe that has replaced it.
func openIn(dir *os.Root, path string) (*os.File, error) {
	return dir.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// accept takes over an open file, unless it is not what was planned.
func (s *Source) accept(e Entry, f *os.File) (*SourceFile, error) {
	file := &SourceFile{entry: e, file: f}
	err := s.allowFile(e, f)
	if err == nil {
		file.info, err = file.stat()
	}
	if err != nil {
		release(f)
		return nil, err
	}
	return file, nil
}

// Reopen opens a file again that was open, and is to be the same.
func (s *Source) Reopen(before *SourceFile) (*SourceFile, error) {
	file, err := s.Open(before.entry)
	if err != nil {
		return nil, err
	}
	if !os.SameFile(before.info, file.info) {
		release(file)
		return nil, &FileError{before.entry.Path, ErrChanged, errors.New("another has taken its place")}
	}
	return file, nil
}

// sameLink returns nil for an entry that is no link, or still leads where it was planned to. Its
// error is a *FileError or ctx's.
func (s *Source) sameLink(ctx context.Context, e Entry) error {
	same := true
	err := WhenScarce(ctx, func() (err error) {
		switch e.Kind {
		case Symlink:
			var target string
			target, err = s.root.Readlink(e.Path)
			same = target == e.Link
		case HardLink:
			same, err = s.sameFile(e.Path, e.Link)
		}
		return err
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, syscall.EINVAL):
		return &FileError{e.Path, ErrChanged, errors.New("it is no longer a symbolic link")}
	case err != nil:
		return openError(e.Path, err)
	case !same:
		return &FileError{e.Path, ErrChanged, fmt.Errorf("it no longer leads to %q", e.Link)}
	default:
		return nil
	}
}

// sameFile says that two paths are names of one file.
func (s *Source) sameFile(a, b string) (bool, error) {
	one, err := s.root.Lstat(a)
	if err != nil {
		return false, err
	}
	other, err := s.root.Lstat(b)
	return err == nil && os.SameFile(one, other), err
}

// openError distinguishes vanished files from unreadable ones.
func openError(path string, err error) *FileError {
	if errors.Is(err, fs.ErrNotExist) {
		return &FileError{path, ErrVanished, nil}
	}
	return &FileError{path, ErrUnreadable, cause(err)}
}

// SourceFile is an open file of the source.
type SourceFile struct {
	entry Entry
	file  *os.File
	// info is what the file was when it was opened.
	info fs.FileInfo
}

// ReadAt implements io.ReaderAt; an error other than io.EOF is a *FileError.
func (f *SourceFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.file.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &FileError{f.entry.Path, ErrUnreadable, cause(err)}
	}
	return n, err
}

// File is the open file, which stays the source's.
func (f *SourceFile) File() *os.File { return f.file }

// Xattrs returns the extended attributes that are kept, and the names of the others.
func (f *SourceFile) Xattrs() (kept []Xattr, others []string, err error) {
	if kept, others, err = attributes(f.file); err != nil {
		return nil, nil, &FileError{f.entry.Path, ErrUnreadable, cause(err)}
	}
	return kept, others, nil
}

// Unchanged returns nil while the file has the size and modification time with
// which it was planned, else a *FileError.
func (f *SourceFile) Unchanged() error {
	_, err := f.stat()
	return err
}

// stat returns what the file is unless that has changed.
func (f *SourceFile) stat() (fs.FileInfo, error) {
	info, err := f.file.Stat()
	if err != nil {
		return nil, &FileError{f.entry.Path, ErrUnreadable, cause(err)}
	}
	switch planned := f.entry; {
	case !info.Mode().IsRegular():
		err = fmt.Errorf("it is now a %s", kindOf(info.Mode()))
	case info.Size() != planned.Size:
		err = fmt.Errorf("its size was %d bytes and is %d", planned.Size, info.Size())
	case !info.ModTime().Equal(planned.ModTime):
		err = fmt.Errorf("it was modified at %s", info.ModTime().UTC().Format(time.RFC3339Nano))
	default:
		return info, nil
	}
	return nil, &FileError{f.entry.Path, ErrChanged, err}
}

// Close closes the file.
func (f *SourceFile) Close() error { return f.file.Close() }

// release closes a file that was only read, so an error loses nothing.
func release(c io.Closer) { _ = c.Close() }

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	default:
		return "device"
	}
}

// cause drops the operation and path that the os package puts around an error:
// the caller adds the path.
func cause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
