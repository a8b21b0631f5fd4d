package archive

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"
)

// headerReserve is the estimated size of a member's headers: an extended
// header of one block of records around the plain one.
const headerReserve = 3 * blockSize

// memberSize estimates what an entry takes of a tar, of whose content the file
// system keeps stored bytes.
func memberSize(e Entry, stored int64) int64 {
	if e.Kind != File {
		stored = 0
	}
	return headerReserve + padded(stored)
}

// maxFileRatio bounds how many times larger than on disk a file without holes is
// expected to be, on a file system that compresses.
const maxFileRatio = 4

// PlannedSize bounds the object of an archive in bytes, unless extended
// attributes make headers larger than they commonly are.
func PlannedSize(a Archive) int64 {
	size := int64(trailerSize)
	for _, e := range a.Entries {
		if !e.Packable() {
			continue
		}
		stored := e.Size
		if e.Stored > 0 {
			// A file system that compresses keeps less than there is to be read.
			stored = min(e.Size, maxFileRatio*e.Stored)
		}
		size += memberSize(e, stored)
	}
	// Frames of content that does not compress are a little larger than it.
	return size + size/1024 + blockSize
}

// member is an entry laid out as part of a tar: header blocks, content, and
// zeros up to a whole block. Its bytes can be read from any place on.
type member struct {
	entry Entry
	// header holds the header blocks, and the map of a sparse member.
	header []byte
	// file is open for a member with content; nil else.
	file *SourceFile
	// extents are the content, without the holes; stored sums their lengths.
	extents []Extent
	stored  int64
	// xattrs are the extended attributes, others names those that are not kept.
	xattrs []Xattr
	others []string
	// changed is the change time of the file before anything was read of it.
	changed time.Time
	// sparse: holes are left out.
	sparse bool
	// rests: the file is closed for now.
	rests bool
	// fault is why unreadable content was replaced with zeros; a *FileError.
	fault error
}

// openMember opens what the entry planned, files by open, and lays it out. Its error is a
// *FileError or ctx's. The same entry and the same file always give the same bytes, with the same
// room, in bytes, for the names of extended attributes; those that don't fit are left out.
func (s *Source) openMember(ctx context.Context, e Entry, open openFile, names int) (*member, error) {
	if err := s.allow(e); err != nil {
		return nil, err
	}
	m := &member{entry: e}
	h := header{name: e.Path, link: e.Link, uid: int64(e.UID), gid: int64(e.GID), mode: octalMode(e.Mode), mtime: e.ModTime}
	switch e.Kind {
	case Directory:
		h.typeflag, h.name = typeDirectory, e.Path+"/"
		var err error
		if m.xattrs, m.others, err = s.directoryAttributes(ctx, e); err != nil {
			return nil, err
		}
	case Symlink:
		h.typeflag = typeSymlink
	case HardLink:
		h.typeflag = typeHardLink
	default:
		h.typeflag = typeFile
		if err := m.open(ctx, open, &h); err != nil {
			return nil, err
		}
	}
	kept, others := fitting(m.xattrs, names)
	m.xattrs, m.others = kept, append(m.others, others...)
	h.xattrs = xattrRecords(m.xattrs)
	// Programs that know no access control lists must not give more than there was.
	h.mode = octalMode(ModeWithoutACL(e.Mode, m.xattrs))
	m.header = append(h.encode(), m.header...)
	return m, nil
}

// openFile is Source.Open, or does the same.
type openFile func(Entry) (*SourceFile, error)

// open opens the file and finds its holes and extended attributes.
func (m *member) open(ctx context.Context, open openFile, h *header) (err error) {
	err = WhenScarce(ctx, func() (err error) {
		m.file, err = open(m.entry)
		return err
	})
	if err != nil {
		return err
	}
	m.changed = changeTime(m.file.info)
	if m.extents, m.sparse, err = dataExtents(ctx, m.file.file, m.file.info); err == nil {
		m.xattrs, m.others, err = attributes(m.file.file)
	}
	if err != nil {
		release(m.file)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &FileError{m.entry.Path, ErrUnreadable, cause(err)}
	}
	for _, x := range m.extents {
		m.stored += x.Length
	}
	h.size = m.stored
	if m.sparse {
		m.header = sparseMap(m.extents)
		h.sparse = &sparseHeader{m.entry.Size}
		h.size += int64(len(m.header))
	}
	return nil
}

// SameAttributes says that the members of a tar still have the extended attributes that the
// manifest has of them, and that links still lead where they did. Where the manifest has not the
// values, or they cannot be read, they have not.
func (s *Source) SameAttributes(ctx context.Context, a Archive, m Manifest) bool {
	for i, e := range a.Entries {
		if !e.Packable() {
			continue
		}
		if e.Kind == Symlink || e.Kind == HardLink {
			if s.sameLink(ctx, e) != nil {
				return false
			}
			continue
		}
		kept, err := s.keptAttributes(ctx, e)
		if err != nil || !slices.Equal(kept, m.Members[i].Xattrs) {
			return false
		}
	}
	return true
}

func (s *Source) keptAttributes(ctx context.Context, e Entry) (kept []Xattr, err error) {
	if e.Kind == Directory {
		kept, _, err = s.directoryAttributes(ctx, e)
		return kept, err
	}
	var file *SourceFile
	err = WhenScarce(ctx, func() (err error) {
		file, err = s.Open(e)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer release(file)
	kept, _, err = file.Xattrs()
	return kept, err
}

// directoryAttributes reads the extended attributes of a directory.
func (s *Source) directoryAttributes(ctx context.Context, e Entry) (kept []Xattr, others []string, err error) {
	dir, err := openDirectory(ctx, s.root, e.Path)
	if err != nil {
		return nil, nil, openError(e.Path, err)
	}
	defer release(dir)
	if kept, others, err = attributes(dir); err != nil {
		return nil, nil, &FileError{e.Path, ErrUnreadable, cause(err)}
	}
	return kept, others, nil
}

// close releases the file.
func (m *member) close() {
	if m.file != nil && !m.rests {
		release(m.file)
	}
}

// rest closes the file, if there is any, until wake.
func (m *member) rest() {
	if m != nil {
		m.close()
		m.rests = true
	}
}

// wake opens the file again after rest. Where it is no longer the same, its content is read
// as zeros, and the fault tells why; the error says that it can't be opened now.
func (m *member) wake(ctx context.Context, s *Source) error {
	if m.file == nil || !m.rests || m.fault != nil {
		return nil
	}
	err := WhenScarce(ctx, func() error {
		again, err := s.Reopen(m.file)
		if err == nil {
			m.file, m.rests = again, false
		}
		return err
	})
	if _, ok := errors.AsType[*FileError](err); ok && !scarce(err) {
		m.fault = err
		return nil
	}
	return err
}

// length is what the member takes of the tar.
func (m *member) length() int64 { return int64(len(m.header)) + padded(m.stored) }

// newDigest returns the digest of the content; nil for a member without any.
func (m *member) newDigest(a DigestAlgorithm) *FileDigest {
	switch {
	case m.file == nil:
		return nil
	case m.sparse:
		return newFileDigest(a, DigestDataBlocks)
	default:
		return newFileDigest(a, DigestContent)
	}
}

// readAt fills p with the bytes from off on, all of which the member has. Where
// the file has become shorter or cannot be read there are zeros instead. With a
// digest, it gets the content that p holds, holes included; p must then follow
// the last one.
func (m *member) readAt(p []byte, off int64, digest *FileDigest) {
	if head := int64(len(m.header)); off < head {
		n := copy(p, m.header[off:])
		p, off = p[n:], 0
	} else {
		off -= head
	}
	if content := m.stored - off; content > 0 && len(p) > 0 {
		part := p[:min(content, int64(len(p)))]
		m.readStored(part, off, digest)
		p = p[len(part):]
	}
	clear(p)
}

// readStored fills p from the extents, off counted without the holes.
func (m *member) readStored(p []byte, off int64, digest *FileDigest) {
	var before int64 // stored bytes of the extents passed
	for _, x := range m.extents {
		at := off - before
		before += x.Length
		if at >= x.Length || len(p) == 0 {
			continue
		}
		n := min(x.Length-at, int64(len(p)))
		m.readFile(p[:n], x.Offset+at)
		if digest != nil {
			skipTo(digest, x.Offset+at)
			_, _ = digest.Write(p[:n])
		}
		p, off = p[n:], off+n
	}
}

// skipTo has the digest pass over a hole, which only that of a sparse member meets.
func skipTo(d *FileDigest, offset int64) { _ = d.Hole(context.Background(), offset-d.Size()) }

// readFile fills p from the file, with zeros where there is nothing to be had.
func (m *member) readFile(p []byte, off int64) {
	if m.rests {
		clear(p) // The fault tells why.
		return
	}
	n, err := m.file.ReadAt(p, off)
	if n == len(p) {
		return
	}
	clear(p[n:])
	if m.fault == nil {
		m.fault = err
		if errors.Is(err, io.EOF) {
			m.fault = &FileError{m.entry.Path, ErrChanged, errors.New("it was truncated while being read")}
		}
	}
}

// whole returns nil if what was read, whose digest is given, is the file as planned.
func (m *member) whole(ctx context.Context, read ContentDigest) error {
	if m.file == nil {
		return nil
	}
	if m.fault != nil {
		return m.fault
	}
	info, err := m.file.stat()
	if err != nil || changeTime(info).Equal(m.changed) {
		return err
	}
	// It may have been written and its modification time set back, or only have got another mode
	// or name.
	return m.readAgain(ctx, read)
}

// readAgain reads the content once more, and returns nil if it is what was read before.
func (m *member) readAgain(ctx context.Context, before ContentDigest) error {
	digest, buf := m.newDigest(before.Algorithm), make([]byte, min(m.stored, 1<<20))
	for off := int64(0); off < m.stored; off += int64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.readStored(buf[:min(int64(len(buf)), m.stored-off)], off, digest)
	}
	skipTo(digest, m.entry.Size)
	switch err := m.file.Unchanged(); {
	case m.fault != nil:
		return m.fault
	case err == nil && digest.Sum() != before:
		return &FileError{m.entry.Path, ErrChanged, errors.New("it was written while being read, and its modification time set back")}
	default:
		return err
	}
}
