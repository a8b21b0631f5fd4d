package restore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	name, temporary := path.Base(m.Path), path.Base(temporaryName(m.Path))
	var dir *os.Root
	var f *os.File
	err = archive.WhenScarce(ctx, func() (err error) {
		dir, f, err = r.create(path.Dir(m.Path), temporary)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	defer func() {
		if err != nil {
			_ = dir.Remove(temporary)
		}
	}()
	d := r.attributesOf(m, xattrs)
	var trouble error
	if err = r.fill(f, m, fill); err == nil {
		trouble = errors.Join(strip(f, d), r.setAttributes(f, d))
	}
	if closeErr := f.Close(); err == nil {
		err = localError("write", closeErr)
	}
	if err != nil {
		return err
	}
	if timeErr := dir.Chtimes(temporary, m.ModTime, m.ModTime); timeErr != nil {
		trouble = errors.Join(trouble, localError("set time", timeErr))
	}
	if err := dir.Rename(temporary, name); err != nil {
		return localError("rename the file", err)
	}
	r.leftOut(d)
	r.attributeFailure(m, trouble)
	return nil
}

// create creates a file in a directory, which it opens.
func (r *restorer) create(in, temporary string) (dir *os.Root, f *os.File, err error) {
	if err := r.directories.prepare(in); err != nil {
		return nil, nil, err
	}
	// Names within it are looked up once, and not from the top for each step.
	if dir, err = r.root.OpenRoot(in); err != nil {
		return nil, nil, localError("open directory", err)
	}
	if f, err = createNew(dir, temporary); err != nil {
		_ = dir.Close()
		return nil, nil, err
	}
	return dir, f, nil
}

// createNew creates a file, in place of what an interrupted restore may have left.
func createNew(dir *os.Root, temporary string) (*os.File, error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL
	f, err := dir.OpenFile(temporary, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if err := remove(dir, temporary); err != nil {
			return nil, err
		}
		f, err = dir.OpenFile(temporary, flags, 0o600)
	}
	return f, localError("create", err)
}

// remove removes what an interrupted restore may have left.
func remove(dir *os.Root, temporary string) error {
	if err := dir.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return localError("remove the temporary file of an interrupted restore", err)
	}
	return nil
}

// temporaryName is a name beside a path that fits in any directory and that an interrupted
// restore finds again.
func temporaryName(p string) string {
	sum := sha256.Sum256([]byte(p))
	return path.Join(path.Dir(p), ".restoring-"+hex.EncodeToString(sum[:8]))
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
