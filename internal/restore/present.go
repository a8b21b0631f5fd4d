package restore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// present says that the file is there already with its size and time and, where that is to be
// compared, its content. Missing mode, owner and extended attributes are then set.
func (r *restorer) present(ctx context.Context, m archive.Member) bool {
	info := r.existing(m)
	if info == nil {
		return false
	}
	d := r.attributesOf(m, m.Xattrs)
	if !r.options.Repair && !inHeader(m) && len(d.xattrs) == 0 && !r.modeDiffers(info, d) {
		r.leftOut(d)
		return true
	}
	f, err := r.openPresent(m.Path)
	if err != nil {
		// Who can't read it can have it again.
		return false
	}
	defer func() { _ = f.Close() }()
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	madeReadable := opened.Mode() != info.Mode()
	if inHeader(m) && !namesIn(f, m.Tar.Attributes) || r.options.Repair && !sameContent(ctx, f, m) {
		if madeReadable {
			_ = f.Chmod(info.Mode().Perm())
		}
		return false
	}
	r.leftOut(d)
	differs := r.differs(f, info, d)
	if !differs && !madeReadable {
		return true
	}
	// A mode that denies writing denies attributes, too.
	err = errors.Join(f.Chmod(0o600), r.setAttributes(f, d))
	if differs {
		r.corrected()
	}
	r.attributeFailure(m, err)
	return true
}

// openPresent opens a file for reading even if its mode denies that to its owner. It follows
// no link that has taken the file's place, and waits for no pipe.
func (r *restorer) openPresent(p string) (*os.File, error) {
	const flags = os.O_RDONLY | noLinkNorPipe
	f, err := r.root.OpenFile(p, flags, 0)
	if errors.Is(err, fs.ErrPermission) && r.root.Chmod(p, 0o600) == nil {
		f, err = r.root.OpenFile(p, flags, 0)
	}
	return f, err
}

// namesIn says that a file has extended attributes of these names, those aside that are not
// restored without being asked for.
func namesIn(f *os.File, names []string) bool {
	for _, name := range names {
		if safeAttribute(name) && !namedXattr(f, name) {
			return false
		}
	}
	return true
}

// sameContent compares the content of a file with the digest in the manifest. Where there is
// none that a file can be compared with, it says no.
func sameContent(ctx context.Context, f *os.File, m archive.Member) bool {
	if m.Tar != nil {
		sum, err := archive.DigestFile(ctx, f, m.Tar.Digest)
		return err == nil && sum == m.Tar.Digest
	}
	sum := s3.Checksum(m.ChecksumAlgorithm)
	if sum == nil || strings.Contains(m.Checksum, "-") {
		return false
	}
	_, err := io.Copy(sum, endingReader{ctx, f})
	return err == nil && s3.EncodeChecksum(sum) == m.Checksum
}
