package restore

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"cargoship.dev/operator/internal/archive"
)

// place writes a file under a temporary name and gives it its own once its
// content is known to be right.
func (r *restorer) place(m archive.Member, xattrs map[string]string, fill func(sink) error) (err error) {
	if err := r.parent(m.Path); err != nil {
		return err
	}
	temporary := path.Join(path.Dir(m.Path), temporaryName(m.Path))
	if err := r.root.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := r.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = r.root.Remove(temporary)
		}
	}()
	err = r.fill(f, m, xattrs, fill)
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	if err := r.root.Chtimes(temporary, m.ModTime, m.ModTime); err != nil {
		return err
	}
	return r.root.Rename(temporary, m.Path)
}

// temporaryName is a name that fits in any directory and that an interrupted
// restore finds again.
func temporaryName(p string) string {
	sum := sha256.Sum256([]byte(p))
	return ".restoring-" + hex.EncodeToString(sum[:8])
}

// fill writes content, attributes and mode of a file.
func (r *restorer) fill(f *os.File, m archive.Member, xattrs map[string]string, fill func(sink) error) error {
	w := &writer{file: f}
	if m.Tar != nil {
		var err error
		if w.digest, err = archive.NewFileDigest(m.Tar.SHA256Of); err != nil {
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
		if err := f.Truncate(m.Size); err != nil {
			return err
		}
	}
	if err := setAttributes(f, xattrs); err != nil {
		return err
	}
	if r.options.SameOwner {
		if err := f.Chown(m.UID, m.GID); err != nil {
			return err
		}
	}
	return f.Chmod(m.Mode)
}

// hole is the length of zeros, in bytes, from which on a sparse file gets a hole.
const hole = 4096

// writer writes a file, and digests it.
type writer struct {
	file *os.File
	// digest is nil for a file of which no digest is known.
	digest *archive.FileDigest
	size   int64
	holes  bool
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
		return n, err
	}
	for written := 0; written < len(p); {
		// Pieces end where a block of the file does.
		n := min(len(p)-written, hole-int(w.size%hole))
		piece := p[written : written+n]
		if n < hole || !bytes.Equal(piece, make([]byte, hole)) {
			if _, err := w.file.WriteAt(piece, w.size); err != nil {
				return written, err
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
	if got := w.digest.Sum(); got != m.Tar.SHA256 {
		return fmt.Errorf("its SHA-256 is %s, the manifest has %s", got, m.Tar.SHA256)
	}
	return nil
}

// dressLink gives a symbolic link its time and owner.
func (r *restorer) dressLink(m archive.Member) error {
	if r.options.SameOwner {
		if err := r.root.Lchown(m.Path, m.UID, m.GID); err != nil {
			return err
		}
	}
	dir, err := r.root.Open(path.Dir(m.Path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return setLinkTime(dir, path.Base(m.Path), m.ModTime)
}

// dressDirectory gives a directory its attributes.
func (r *restorer) dressDirectory(d directory) error {
	m := d.member
	f, err := r.root.Open(m.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := setAttributes(f, d.xattrs); err != nil {
		return err
	}
	if r.options.SameOwner {
		if err := f.Chown(m.UID, m.GID); err != nil {
			return err
		}
	}
	if err := f.Chmod(m.Mode); err != nil {
		return err
	}
	return r.root.Chtimes(m.Path, m.ModTime, m.ModTime)
}

// attributesOf returns the extended attributes in a header.
func attributesOf(h *tar.Header) map[string]string {
	var all map[string]string
	for key, value := range h.PAXRecords {
		if name, ok := archive.DecodeKeyword(key); ok {
			if all == nil {
				all = map[string]string{}
			}
			all[name] = value
		}
	}
	return all
}
