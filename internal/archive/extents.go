package archive

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Extent is a run of bytes of a file, between holes if it has any.
type Extent struct{ Offset, Length int64 }

// end is where the extent ends in the file.
func (x Extent) end() int64 { return x.Offset + x.Length }

// wholeFile is the content of a file without holes.
func wholeFile(size int64) []Extent { return []Extent{{0, size}} }

// maxExtents bounds the extents of a member, since their list comes in front
// of the content. Of a file with more, the smallest holes are filled.
// The list stays below the 1 MiB up to which Go's archive/tar reads one.
const maxExtents = 32768

// extentList gathers the extents of a file from its beginning on, widened to whole
// blocks, as GNU tar lays them out.
type extentList struct {
	list []Extent
	size int64
}

func (l *extentList) add(x Extent) {
	start, end := x.Offset/blockSize*blockSize, min(padded(x.end()), l.size)
	if n := len(l.list); n > 0 && l.list[n-1].end() >= start {
		l.list[n-1].Length = end - l.list[n-1].Offset
		return
	}
	if l.list = append(l.list, Extent{start, end - start}); len(l.list) == 2*maxExtents {
		l.thin()
	}
}

// thin fills the smallest holes until there are maxExtents extents.
func (l *extentList) thin() {
	excess := len(l.list) - maxExtents
	if excess <= 0 {
		return
	}
	holes := make([]int64, len(l.list)-1)
	for i := range holes {
		holes[i] = l.list[i+1].Offset - l.list[i].end()
	}
	slices.Sort(holes)
	most := holes[excess-1]
	kept := l.list[:1]
	for _, x := range l.list[1:] {
		last := &kept[len(kept)-1]
		if excess > 0 && x.Offset-last.end() <= most {
			last.Length = x.end() - last.Offset
			excess--
			continue
		}
		kept = append(kept, x)
	}
	l.list = kept
}

// extents returns the list, with the end of a file that ends with a hole, and whether
// anything is left out of the file.
func (l *extentList) extents() ([]Extent, bool) {
	l.thin()
	var stored int64
	for _, x := range l.list {
		stored += x.Length
	}
	if stored >= l.size {
		return wholeFile(l.size), false
	}
	if n := len(l.list); n == 0 || l.list[n-1].end() < l.size {
		l.list = append(l.list, Extent{l.size, 0})
	}
	return l.list, true
}

// errSparseMap says that a sparse member's content does not begin with a valid list of extents.
var errSparseMap = errors.New("its list of extents is not valid")

// ParseExtents returns the extents of a sparse member of a tar: head is all of the
// member in front of its content, size that of the file.
func ParseExtents(head []byte, size int64) ([]Extent, error) {
	text, err := sparseMapIn(head)
	if err != nil {
		return nil, err
	}
	count, text, err := decimal(text)
	if err != nil || count > int64(len(text)/len("0\n0\n")) {
		return nil, errSparseMap
	}
	list := make([]Extent, count)
	var end int64
	for i := range list {
		x := &list[i]
		if x.Offset, text, err = decimal(text); err == nil {
			x.Length, text, err = decimal(text)
		}
		if err != nil || x.Offset < end || x.Length > size-x.Offset {
			return nil, errSparseMap
		}
		end = x.end()
	}
	return list, nil
}

// sparseMapIn passes over the headers of a member.
func sparseMapIn(head []byte) ([]byte, error) {
	at := int64(0)
	if len(head) >= blockSize && head[typeField] == typeExtended {
		digits := bytes.Trim(head[sizeField:sizeField+sizeLength], " \x00")
		size, err := strconv.ParseInt(string(digits), 8, 64)
		if err != nil || size < 0 || size > int64(len(head)) {
			return nil, fmt.Errorf("size of the extended header: %w", errSparseMap)
		}
		at = blockSize + padded(size)
	}
	if at += blockSize; at > int64(len(head)) {
		return nil, errSparseMap
	}
	return head[at:], nil
}

// decimal reads a number that is not negative and its line end.
func decimal(text []byte) (n int64, rest []byte, err error) {
	digits, rest, found := bytes.Cut(text, []byte("\n"))
	if n, err = strconv.ParseInt(string(digits), 10, 64); err == nil && (n < 0 || !found) {
		err = errSparseMap
	}
	return n, rest, err
}
