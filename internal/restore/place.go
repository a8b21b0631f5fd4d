package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync/atomic"

	"cargoship.dev/operator/internal/archive"
)

// place writes a file under a temporary name and gives it its own once its content is known to
// be right. Attributes that could not be set are counted, and are not an error.
func (r *restorer) place(ctx context.Context, m archive.Member, xattrs []archive.Xattr, fill func(*writer) error) (err error) {
	var f *temporary
	err = archive.WhenScarce(ctx, func() (err error) {
		f, err = r.create(m.Path)
		return err
	})
	if err != nil {
		return err
	}
	defer f.dir.Close() //nolint:errcheck // Nothing is written through it.
	defer f.release()
	d := r.attributesOf(m, xattrs)
	trouble, err := r.complete(f, m, d, fill)
	if err == nil {
		err = r.settle(f, m)
	}
	if err != nil {
		return err
	}
	r.leftOut(d)
	r.attributeFailure(m, trouble)
	return nil
}

// complete gives a file its content, attributes and time, and closes it. Trouble is what could not
// be set.
func (r *restorer) complete(f *temporary, m archive.Member, d attributes, fill func(*writer) error) (trouble, err error) {
	if err = r.fill(f.file, m, fill); err == nil {
		trouble = errors.Join(strip(f.file, d), r.setAttributes(f.file, d), give(f.dir, f.file, f.name, m.ModTime))
	}
	if closeErr := f.file.Close(); err == nil {
		err = localError("write", closeErr)
	}
	return trouble, err
}

// settle gives a complete file its name.
func (r *restorer) settle(f *temporary, m archive.Member) error {
	if !named(f.dir, f.info, f.name) {
		return localError("rename the file", errors.New("another process has removed its temporary file"))
	}
	err := r.rename(f.dir, f.name, path.Base(m.Path))
	switch {
	case err == nil:
		f.name = ""
		r.unsynced.add(m)
		return nil
	case !errors.Is(err, fs.ErrExist) || r.options.replaces():
		return localError("rename the file", err)
	case r.existing(m) != nil:
		return nil // Another process has restored it.
	case r.conflicts(m):
		return local{errKept}
	default:
		return local{errExists} // It is gone again.
	}
}

// rename gives a file or link its name, and replaces what has been made there meanwhile only where that is
// to be replaced: otherwise it is fs.ErrExist.
func (r *restorer) rename(dir *os.Root, from, to string) error {
	if r.options.replaces() {
		return dir.Rename(from, to)
	}
	err := renameNew(dir, from, to)
	if errors.Is(err, errors.ErrUnsupported) {
		return linkNew(dir, from, to)
	}
	return err
}

// linkNew does as renameNew, by way of a hard link.
func linkNew(dir *os.Root, from, to string) error {
	err := dir.Link(from, to)
	if err == nil {
		return dir.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	// There are no hard links.
	if _, err := dir.Lstat(to); err == nil {
		return fs.ErrExist
	}
	return dir.Rename(from, to)
}

// create creates the temporary file of a path.
func (r *restorer) create(p string) (*temporary, error) {
	if err := r.directories.prepare(path.Dir(p)); err != nil {
		return nil, err
	}
	// Names within it are looked up once, and not from the top for each step.
	dir, err := r.root.OpenRoot(path.Dir(p))
	if err != nil {
		return nil, localError("open directory", err)
	}
	f, err := createTemporary(dir, path.Base(r.temporaryName(p)))
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return f, nil
}

// fill writes the content of a file.
func (r *restorer) fill(f *os.File, m archive.Member, fill func(*writer) error) error {
	w := &writer{file: f}
	if m.Tar != nil {
		var err error
		if w.digest, err = archive.NewFileDigest(m.Tar.Digest); err != nil {
			return err
		}
		w.holes = m.Tar.Sparse
	}
	if err := fill(w); err != nil {
		return err
	}
	if err := w.check(m); err != nil {
		return err
	}
	if w.holes {
		return localError("write", f.Truncate(m.Size))
	}
	return nil
}

// hole is the length of zeros, in bytes, from which on a sparse file gets a hole.
const hole = 4096

// writer writes a file, and digests it.
type writer struct {
	file *os.File
	// digest is nil for a file of which no digest is known.
	digest *archive.FileDigest
	// size is what was written so far; counted atomically where ranges are written at a time.
	size  int64
	holes bool
}

// WriteAt writes a range of a file without holes or digest; none is written twice.
func (w *writer) WriteAt(p []byte, at int64) (int, error) {
	n, err := w.file.WriteAt(p, at)
	atomic.AddInt64(&w.size, int64(n))
	return n, localError("write", err)
}

// Hole implements sink: nothing is written.
func (w *writer) Hole(ctx context.Context, n int64) error {
	w.size += n
	if w.digest == nil {
		return ctx.Err()
	}
	return w.digest.Hole(ctx, n)
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.digest != nil {
		_, _ = w.digest.Write(p)
	}
	if !w.holes {
		n, err := w.file.Write(p)
		w.size += int64(n)
		return n, localError("write", err)
	}
	for written := 0; written < len(p); {
		// Pieces end where a block of the file does.
		n := min(len(p)-written, hole-int(w.size%hole))
		piece := p[written : written+n]
		if n < hole || !bytes.Equal(piece, make([]byte, hole)) {
			if _, err := w.file.WriteAt(piece, w.size); err != nil {
				return written, localError("write", err)
			}
		}
		written += n
		w.size += int64(n)
	}
	return len(p), nil
}

// check compares what was written with the manifest.
func (w *writer) check(m archive.Member) error {
	if w.size != m.Size {
		return fmt.Errorf("it has %d bytes, the manifest has %d", w.size, m.Size)
	}
	if w.digest == nil {
		return nil
	}
	if got := w.digest.Sum(); got != m.Tar.Digest {
		return fmt.Errorf("its digest is %v, the manifest has %v", got, m.Tar.Digest)
	}
	return nil
}
