package archive

import (
	"errors"
	"hash"
	"io"
	"strings"
)

// fragment is a run of bytes of a file, between holes if it has any.
type fragment struct{ offset, length int64 }

// headerReserve is what a member's headers are reckoned to take: an extended
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

// member is an entry laid out as part of a tar: header blocks, content, and
// zeros up to a whole block. Its bytes can be read from any place on.
type member struct {
	entry Entry
	// header holds the header blocks, and the map of a sparse member.
	header []byte
	// file is open for a member with content; nil else.
	file *SourceFile
	// fragments are the content, without the holes; stored sums their lengths.
	fragments []fragment
	stored    int64
	// attributes name the extended attributes; sparse: holes are left out.
	attributes []string
	sparse     bool
	// fault is why zeros stand for content that could not be read; a *FileError.
	fault error
}

// openMember opens what the entry planned and lays it out. Its error is a
// *FileError. The same entry and the same file always give the same bytes.
func (s *Source) openMember(e Entry) (*member, error) {
	m := &member{entry: e}
	h := header{name: e.Path, link: e.Link, uid: int64(e.UID), gid: int64(e.GID), mode: octalMode(e.Mode), mtime: e.ModTime}
	switch e.Kind {
	case Directory:
		h.typeflag, h.name = typeDirectory, e.Path+"/"
		var err error
		if h.xattrs, err = s.directoryAttributes(e); err != nil {
			return nil, err
		}
	case Symlink:
		h.typeflag = typeSymlink
	case HardLink:
		h.typeflag = typeHardLink
	default:
		h.typeflag = typeFile
		if err := m.open(s, &h); err != nil {
			return nil, err
		}
	}
	for _, x := range h.xattrs {
		m.attributes = append(m.attributes, strings.TrimPrefix(x.key, AttributeKeyword))
	}
	m.header = append(h.encode(), m.header...)
	return m, nil
}

// open opens the file and finds its holes and extended attributes.
func (m *member) open(s *Source, h *header) (err error) {
	if m.file, err = s.Open(m.entry); err != nil {
		return err
	}
	if m.fragments, m.sparse, err = dataFragments(m.file.file, m.entry.Size); err == nil {
		h.xattrs, err = attributes(m.file.file)
	}
	if err != nil {
		release(m.file)
		return &FileError{m.entry.Path, ErrUnreadable, cause(err)}
	}
	for _, f := range m.fragments {
		m.stored += f.length
	}
	h.size = m.stored
	if m.sparse {
		m.header = sparseMap(m.fragments)
		h.sparse = &sparseHeader{m.entry.Size}
		h.size += int64(len(m.header))
	}
	return nil
}

// directoryAttributes reads the extended attributes of a directory.
func (s *Source) directoryAttributes(e Entry) ([]record, error) {
	dir, err := openDirectory(s.root, e.Path)
	if err != nil {
		return nil, openError(e.Path, err)
	}
	defer release(dir)
	list, err := attributes(dir)
	if err != nil {
		return nil, &FileError{e.Path, ErrUnreadable, cause(err)}
	}
	return list, nil
}

// close releases the file.
func (m *member) close() {
	if m.file != nil {
		release(m.file)
	}
}

// length is what the member takes of the tar.
func (m *member) length() int64 { return int64(len(m.header)) + padded(m.stored) }

// readAt fills p with the bytes from off on, all of which the member has. Where
// the file has become shorter or cannot be read there are zeros instead. With a
// digest, it gets the content that p holds, holes included; p must then follow
// the last one.
func (m *member) readAt(p []byte, off int64, digest hash.Hash) {
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

// readStored fills p from the fragments, off counted without the holes.
func (m *member) readStored(p []byte, off int64, digest hash.Hash) {
	var before int64 // stored bytes of the fragments passed
	var end int64    // of the last fragment in the file
	for _, f := range m.fragments {
		at := off - before
		before += f.length
		if at < f.length && len(p) > 0 {
			n := min(f.length-at, int64(len(p)))
			m.readFile(p[:n], f.offset+at)
			if digest != nil {
				if at == 0 {
					writeZeros(digest, f.offset-end)
				}
				_, _ = digest.Write(p[:n])
			}
			p, off = p[n:], off+n
		}
		end = f.offset + f.length
	}
}

// readFile fills p from the file, with zeros where there is nothing to be had.
func (m *member) readFile(p []byte, off int64) {
	n, err := m.file.ReadAt(p, off)
	if n == len(p) {
		return
	}
	clear(p[n:])
	if m.fault == nil {
		m.fault = err
		if errors.Is(err, io.EOF) {
			m.fault = &FileError{m.entry.Path, ErrChanged, errors.New("it has become shorter while it was read")}
		}
	}
}

// finishDigest adds the hole at the end of the file, if there is one.
func (m *member) finishDigest(digest hash.Hash) {
	var end int64
	for _, f := range m.fragments {
		if f.length > 0 {
			end = f.offset + f.length
		}
	}
	writeZeros(digest, m.entry.Size-end)
}

// whole returns nil if what was read is the file as planned.
func (m *member) whole() error {
	if m.file == nil {
		return nil
	}
	if m.fault != nil {
		return m.fault
	}
	return m.file.Unchanged()
}

// zeroRun is how many zeros are hashed at a time.
const zeroRun = 64 << 10

func writeZeros(digest hash.Hash, n int64) {
	if n <= 0 {
		return
	}
	zeros := make([]byte, min(n, zeroRun))
	for ; n > 0; n -= int64(len(zeros)) {
		zeros = zeros[:min(n, int64(len(zeros)))]
		_, _ = digest.Write(zeros)
	}
}

// wholeFile is the content of a file without holes.
func wholeFile(size int64) []fragment { return []fragment{{0, size}} }

// maxFragments is beyond how many fragments a file is kept with its holes filled:
// their list stands in front of the content.
const maxFragments = 8192

// alignFragments widens fragments to whole blocks, as GNU tar lays them out, and
// notes the end of a file that ends with a hole. It returns false if nothing is
// left out of the file.
func alignFragments(list []fragment, size int64) ([]fragment, bool) {
	var out []fragment
	var stored int64
	for _, f := range list {
		start, end := f.offset/blockSize*blockSize, min(padded(f.offset+f.length), size)
		if n := len(out); n > 0 && out[n-1].offset+out[n-1].length >= start {
			stored += end - out[n-1].offset - out[n-1].length
			out[n-1].length = end - out[n-1].offset
			continue
		}
		out = append(out, fragment{start, end - start})
		stored += end - start
	}
	if stored >= size || len(out) > maxFragments {
		return wholeFile(size), false
	}
	if n := len(out); n == 0 || out[n-1].offset+out[n-1].length < size {
		out = append(out, fragment{size, 0})
	}
	return out, true
}

// AttributeKeyword is what the keyword of an extended attribute begins with in a PAX header; GNU
// tar, bsdtar and star know it.
const AttributeKeyword = "SCHILY.xattr."

// keptAttribute says that an extended attribute belongs to the data: those of
// users, of administrators, and what lets a program run with privileges.
func keptAttribute(name string) bool {
	return strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "trusted.") || name == "security.capability"
}
