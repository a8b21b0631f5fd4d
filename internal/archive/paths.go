package archive

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The path index lists all members of a run by path, so that one of millions is found with a
// few ranged requests. It is a search tree: level 0 has the members, as JSON lines in blocks
// that are zstd frames; each level above has a line for every block of the level below, with
// its first path, place and SHA-256; the top level is one block, whose place and SHA-256 are
// in the run's index. The blocks of a level follow each other in objects of pathObject bytes.

const (
	// pathBlock is the size in bytes from which on the lines of a block end. At some 300
	// bytes a line and a fifth of that compressed, it is a read of about 50 KiB.
	pathBlock = 256 << 10
	// pathObject is the size in bytes from which on an object ends: it is in memory while it
	// is made.
	pathObject = 4 << 20
	// maxPathBlock bounds a block that is read, in bytes, compressed or not: pathBlock,
	// one more line, and a header of as much.
	maxPathBlock = 4 << 20
	// maxPathLead bounds the directories in a block's header, in bytes.
	maxPathLead = 256 << 10
	// firstPathVersion is the first format version with a path index.
	firstPathVersion = 2
	// maxPathLevels bounds the depth: with some 700 blocks to a block there are never more.
	maxPathLevels = 8
)

// pathSizes are those from which on a block and an object end.
type pathSizes struct{ block, object int }

// PathIndex is where the path index of a run is.
type PathIndex struct {
	// Levels counts its levels, Members the lines of level 0.
	Levels  int   `json:"levels"`
	Members int64 `json:"members"`
	// Root is the block of the top level.
	Root PathBlock `json:"root"`
}

// PathBlock is where a block is, and what it must be.
type PathBlock struct {
	// Object is the number of its object within the level.
	Object int64  `json:"object"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	SHA256 string `json:"sha256"`
}

// PathMember is a member as the path index has it.
type PathMember struct {
	// Prefix and Number are those of the archive that it is of.
	Prefix string
	Number int64
	// Object is the tar of the archive; nil if it has none.
	Object *Object
	Member
}

// pathHead is the first line of a block of level 0.
type pathHead struct {
	Version int `json:"version"`
	// Archives are those that the lines below refer to.
	Archives []pathArchive `json:"archives"`
	// Directories are those that the first member is in, from the top, as far as they were
	// archived: so a block has the attributes of every directory that leads to its members.
	Directories []wireMember `json:"directories,omitempty"`
}

type pathArchive struct {
	Prefix string  `json:"prefix"`
	Number int64   `json:"number"`
	Object *Object `json:"object,omitempty"`
}

// pathLine is a member; Archive counts the archives of the head from 0.
type pathLine struct {
	Archive int `json:"archive"`
	wireMember
}

// pathRef is a line of a level above 0: a block of the level below, and its first path.
type pathRef struct {
	wireName
	PathBlock
}

// PathIndexObjects estimates how many objects the path index of a run with so many members takes.
func PathIndexObjects(members int64) (objects int64) {
	const line, compressed = 300, 60 // bytes, of common names
	for members > 0 {
		objects += 1 + members*compressed/pathObject
		blocks := (members*line + pathBlock - 1) / pathBlock
		if blocks == 1 {
			break
		}
		members = blocks
	}
	return objects
}

// PathsKey is the key of an object of the path index.
func (l Layout) PathsKey(level int, object int64) string {
	return fmt.Sprintf("%spaths/%d/%010d.jsonl.zst", l.BookkeepingPrefix(), level, object)
}

// IsPathsKey tells whether a key is that of an object of the path index, of any level.
func (l Layout) IsPathsKey(key string) bool {
	return strings.HasPrefix(key, l.BookkeepingPrefix()+"paths/")
}

// ReadsPaths tells whether the run's path index, if it has one, may read the object at a key
// below paths/. What an attempt left that wrote no index is not read.
func (i *Index) ReadsPaths(key string) bool {
	if i.Paths == nil {
		return false
	}
	level, _, _ := strings.Cut(strings.TrimPrefix(key, i.Layout.BookkeepingPrefix()+"paths/"), "/")
	n, err := strconv.Atoi(level)
	return err != nil || n < i.Paths.Levels
}

// check returns an error unless a path index of the kind can be.
func (p *PathIndex) check() error {
	if p == nil {
		return nil
	}
	if p.Levels < 1 || p.Levels > maxPathLevels || p.Members < 0 {
		return fmt.Errorf("its path index has %d levels and %d members", p.Levels, p.Members)
	}
	return p.Root.check()
}

func (b PathBlock) check() error {
	if b.Object < 0 || b.Offset < 0 || b.Length <= 0 || b.Length > maxPathBlock || b.Offset > maxPlannedBytes {
		return errors.New("a block of its path index is at an impossible place")
	}
	return nil
}
