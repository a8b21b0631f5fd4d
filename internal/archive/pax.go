package archive

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A tar is written here rather than with archive/tar, which makes no sparse
// members. The format is "pax Interchange Format" in POSIX.1-2024, pax; that of
// sparse members is "PAX Format, Version 1.0" in appendix D of the GNU tar manual.

// blockSize is the unit of a tar, in bytes.
const blockSize = 512

// trailerSize is what ends a tar: two blocks of zeros.
const trailerSize = 2 * blockSize

// Type flags of members.
const (
	typeFile      = '0'
	typeHardLink  = '1'
	typeSymlink   = '2'
	typeDirectory = '5'
	typeExtended  = 'x'
)

// Offsets and lengths of the fields of a header that are written here.
const (
	nameField, nameLength     = 0, 100
	modeField, modeLength     = 100, 8
	uidField, gidField        = 108, 116
	sizeField, sizeLength     = 124, 12
	mtimeField, mtimeLength   = 136, 12
	sumField, sumLength       = 148, 8
	typeField                 = 156
	linkField, linkLength     = 157, 100
	magicField                = 257
	prefixField, prefixLength = 345, 155
)

// record is one keyword and value of an extended header.
type record struct{ key, value string }

// header describes a member.
type header struct {
	name, link string
	typeflag   byte
	mode       int64
	uid, gid   int64
	size       int64
	mtime      time.Time
	// sparse is the map of extents; nil without holes.
	sparse *sparseHeader
	// xattrs are extended attributes, sorted by name.
	xattrs []record
}

type sparseHeader struct{ size int64 }

// encode returns the blocks of the header, those of an extended one first.
func (h header) encode() []byte {
	block := make([]byte, blockSize)
	records := h.fill(block)
	if len(records) == 0 {
		seal(block)
		return block
	}
	var body bytes.Buffer
	for _, r := range records {
		body.WriteString(r.encode())
	}
	size := int64(body.Len())
	out := make([]byte, blockSize, blockSize+padded(size)+blockSize)
	base := h.name[strings.LastIndexByte(strings.TrimSuffix(h.name, "/"), '/')+1:]
	copy(out[nameField:nameField+nameLength], "PaxHeaders.0/"+plain(base))
	octal(out[modeField:], modeLength, 0o644)
	octal(out[uidField:], modeLength, 0)
	octal(out[gidField:], modeLength, 0)
	octal(out[sizeField:], sizeLength, size)
	octal(out[mtimeField:], mtimeLength, 0)
	out[typeField] = typeExtended
	seal(out)
	out = append(out, body.Bytes()...)
	out = append(out, make([]byte, padded(size)-size)...)
	seal(block)
	return append(out, block...)
}

// fill sets the fields of the block, and returns as records what doesn't fit.
func (h header) fill(block []byte) []record {
	var records []record
	over := func(key, value string) { records = append(records, record{key, value}) }
	number := func(field, length int, key string, n int64) {
		if !octal(block[field:], length, n) {
			over(key, strconv.FormatInt(n, 10))
		}
	}
	h.putName(block, over)
	if h.link != "" {
		if !fits(h.link, linkLength) {
			over("linkpath", h.link)
		}
		copy(block[linkField:linkField+linkLength], h.link)
	}
	octal(block[modeField:], modeLength, h.mode)
	number(uidField, modeLength, "uid", h.uid)
	number(gidField, modeLength, "gid", h.gid)
	number(sizeField, sizeLength, "size", h.size)
	if h.mtime.Nanosecond() != 0 || !octal(block[mtimeField:], mtimeLength, h.mtime.Unix()) {
		octal(block[mtimeField:], mtimeLength, max(0, min(h.mtime.Unix(), 1<<33-1)))
		over("mtime", formatTime(h.mtime))
	}
	block[typeField] = h.typeflag
	return append(records, h.xattrs...)
}

// putName sets the name. That of a sparse member is a record, so that a program
// which doesn't know of holes makes no file of that name with other content.
func (h header) putName(block []byte, over func(key, value string)) {
	name := h.name
	if h.sparse != nil {
		over("GNU.sparse.major", "1")
		over("GNU.sparse.minor", "0")
		over("GNU.sparse.name", name)
		over("GNU.sparse.realsize", strconv.FormatInt(h.sparse.size, 10))
		copy(block[nameField:nameField+nameLength], "GNUSparseFile.0/"+plain(name[strings.LastIndexByte(name, '/')+1:]))
		return
	}
	if prefix, rest, ok := split(name); ok {
		copy(block[nameField:], rest)
		copy(block[prefixField:], prefix)
		return
	}
	over("path", name)
	copy(block[nameField:nameField+nameLength], plain(name))
}

// split divides a name over the two fields that there are for it. A name in
// UTF-8 beyond ASCII goes into a record, where its encoding is known; bytes that
// aren't UTF-8 stay what they are in either place.
func split(name string) (prefix, rest string, ok bool) {
	if fits(name, nameLength) {
		return "", name, true
	}
	if !fits(name, prefixLength+1+nameLength) {
		return "", "", false
	}
	// The slash between may be at no other place than leaves both parts short enough.
	from := max(0, len(name)-1-nameLength)
	for i := from; i <= min(prefixLength, len(name)-2); i++ {
		if name[i] == '/' && i > 0 {
			return name[:i], name[i+1:], true
		}
	}
	return "", "", false
}

func fits(s string, length int) bool {
	return len(s) <= length && (ascii(s) || !utf8.ValidString(s))
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// plain drops what is not ASCII, for names that are placeholders.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return -1
		}
		return r
	}, s)
}

// encode writes the record behind its own length, which counts its own digits too.
func (r record) encode() string {
	rest := len(r.key) + len(r.value) + len(" =\n")
	size := rest + len(strconv.Itoa(rest))
	size = rest + len(strconv.Itoa(size))
	return fmt.Sprintf("%d %s=%s\n", size, r.key, r.value)
}

// octal writes a number with a NUL behind it; false if it has too many digits.
func octal(field []byte, length int, n int64) bool {
	digits := strconv.FormatInt(n, 8)
	if n < 0 || len(digits) > length-1 {
		for i := range length - 1 {
			field[i] = '0'
		}
		return false
	}
	for i := range length - 1 - len(digits) {
		field[i] = '0'
	}
	copy(field[length-1-len(digits):], digits)
	return true
}

// seal sets magic, version and checksum.
func seal(block []byte) {
	copy(block[magicField:], "ustar\x0000")
	for i := range sumLength {
		block[sumField+i] = ' '
	}
	var sum int64
	for _, b := range block[:blockSize] {
		sum += int64(b)
	}
	octal(block[sumField:], sumLength-1, sum)
}

// formatTime writes seconds since 1970 with a fraction that counts away from zero.
func formatTime(t time.Time) string {
	sec, nsec := t.Unix(), int64(t.Nanosecond())
	sign := ""
	if sec < 0 {
		sign = "-"
		sec = -sec
		if nsec > 0 {
			sec, nsec = sec-1, int64(time.Second)-nsec
		}
	}
	if nsec == 0 {
		return fmt.Sprintf("%s%d", sign, sec)
	}
	return strings.TrimRight(fmt.Sprintf("%s%d.%09d", sign, sec, nsec), "0")
}

// padded rounds up to whole blocks.
func padded(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

// sparseMap returns the blocks that list the extents in front of a sparse
// member's content.
func sparseMap(extents []Extent) []byte {
	out := strconv.AppendInt(nil, int64(len(extents)), 10)
	out = append(out, '\n')
	for _, x := range extents {
		out = append(strconv.AppendInt(out, x.Offset, 10), '\n')
		out = append(strconv.AppendInt(out, x.Length, 10), '\n')
	}
	return append(out, make([]byte, padded(int64(len(out)))-int64(len(out)))...)
}

// sortRecords puts records into the one order that makes the bytes reproducible.
func sortRecords(records []record) {
	slices.SortFunc(records, func(a, b record) int { return strings.Compare(a.key, b.key) })
}
