package archive

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"sort"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"
)

// RangeReader reads length bytes of an object from offset on.
type RangeReader func(ctx context.Context, key string, offset, length int64) ([]byte, error)

// PathReader reads the path index of a run. It keeps the blocks that it read last, one of each
// level, and must not be used concurrently.
type PathReader struct {
	layout Layout
	index  PathIndex
	read   RangeReader
	leaf   cachedBlock[pathLeaf]
	refs   map[int]cachedBlock[[]pathRefAt]
}

// PathIndexError says that a block of the path index is damaged, or was changed.
type PathIndexError struct {
	Key string
	Err error
}

func (e *PathIndexError) Error() string { return fmt.Sprintf("path index %s: %v", e.Key, e.Err) }

// Unwrap lets errors.Is find the cause.
func (e *PathIndexError) Unwrap() error { return e.Err }

// cachedBlock is a block that was read.
type cachedBlock[T any] struct {
	block pathRefAt
	value T
}

// pathLeaf is a block of level 0.
type pathLeaf struct {
	directories []Member
	members     []PathMember
}

// pathRefAt is a line of a level above 0; that of the root has no path.
type pathRefAt struct {
	path string
	PathBlock
}

// maxPathRun is how many bytes of blocks in a row one request reads.
const maxPathRun = 1 << 20

// NewPathReader returns a reader of the path index of a run.
func NewPathReader(l Layout, p PathIndex, read RangeReader) *PathReader {
	return &PathReader{layout: l, index: p, read: read, refs: map[int]cachedBlock[[]pathRefAt]{}}
}

// From returns the members by path, from the first on that is not before start, until past says
// of a path that no more are wanted; past must say so of every path that follows. Blocks
// that begin with such a path are not read. It ends with the first error.
func (r *PathReader) From(ctx context.Context, start string, past func(p string) bool) iter.Seq2[PathMember, error] {
	return func(yield func(PathMember, error) bool) {
		s := &pathScan{PathReader: r, start: start, past: past, yield: yield}
		if _, err := s.level(ctx, r.index.Levels-1, []pathRefAt{{PathBlock: r.index.Root}}); err != nil {
			yield(PathMember{}, err)
		}
	}
}

// Leading returns the directories that a path is in, from the top, as far as they were archived.
func (r *PathReader) Leading(ctx context.Context, p string) ([]Member, error) {
	block := pathRefAt{PathBlock: r.index.Root}
	for level := r.index.Levels - 1; level > 0; level-- {
		refs, err := r.refsOf(ctx, level, block)
		if err != nil {
			return nil, err
		}
		block = refs[lastAtOrBefore(refs, p)]
	}
	leaf, err := r.leafOf(ctx, block)
	if err != nil {
		return nil, err
	}
	var lead []Member
	for _, d := range leaf.directories {
		if d.Path != p && within(p, d.Path) {
			lead = append(lead, d)
		}
	}
	for _, m := range leaf.members {
		if m.Kind == Directory && m.Path != p && within(p, m.Path) {
			m.Tar = nil // It is not read from there, as with those of the header.
			lead = append(lead, m.Member)
		}
	}
	return lead, nil
}

// lastAtOrBefore is the place of the block that a path is in, if it is in any.
func lastAtOrBefore(refs []pathRefAt, p string) int {
	return max(0, sort.Search(len(refs), func(i int) bool { return ComparePaths(refs[i].path, p) > 0 })-1)
}

// pathScan is one pass over members.
type pathScan struct {
	*PathReader
	start string
	past  func(string) bool
	yield func(PathMember, error) bool
	// last is the path of the last member that was read.
	last string
}

// level passes over blocks of a level, and says whether there is more to be had behind them.
func (s *pathScan) level(ctx context.Context, level int, blocks []pathRefAt) (more bool, err error) {
	if level == 0 {
		return s.leaves(ctx, blocks)
	}
	for _, b := range blocks {
		refs, err := s.refsOf(ctx, level, b)
		if err != nil {
			return false, err
		}
		refs = refs[lastAtOrBefore(refs, s.start):]
		wanted := refs[:1]
		for _, r := range refs[1:] {
			if s.past(r.path) {
				break
			}
			wanted = refs[:len(wanted)+1]
		}
		if more, err := s.level(ctx, level-1, wanted); !more || err != nil {
			return false, err
		}
		if len(wanted) < len(refs) {
			return false, nil
		}
	}
	return true, nil
}

// leaves hands on the members of blocks of level 0, several of which one request reads.
func (s *pathScan) leaves(ctx context.Context, blocks []pathRefAt) (more bool, err error) {
	for len(blocks) > 0 {
		for leaf, err := range s.leavesOf(ctx, blocks[:adjacent(blocks)]) {
			if err != nil {
				return false, err
			}
			block := blocks[0].PathBlock
			blocks = blocks[1:]
			if first := leaf.members[0].Path; s.last != "" && ComparePaths(s.last, first) >= 0 {
				return false, s.damaged(0, block, fmt.Errorf("%q comes after %q", first, s.last))
			}
			s.last = leaf.members[len(leaf.members)-1].Path
			for _, m := range leaf.members {
				switch {
				case ComparePaths(m.Path, s.start) < 0:
				case s.past(m.Path), !s.yield(m, nil):
					return false, nil
				}
			}
		}
	}
	return true, nil
}

// adjacent counts the blocks, from the first on, that follow each other in one object and that one
// request reads.
func adjacent(blocks []pathRefAt) int {
	first := blocks[0]
	for n, b := range blocks[1:] {
		last := blocks[n]
		if b.Object != first.Object || b.Offset != last.Offset+last.Length || b.Offset+b.Length-first.Offset > maxPathRun {
			return n + 1
		}
	}
	return len(blocks)
}

// leavesOf reads blocks of level 0 that follow each other, and expands one after the other.
func (r *PathReader) leavesOf(ctx context.Context, blocks []pathRefAt) iter.Seq2[pathLeaf, error] {
	return func(yield func(pathLeaf, error) bool) {
		if len(blocks) == 1 {
			yield(r.leafOf(ctx, blocks[0]))
			return
		}
		first, last := blocks[0], blocks[len(blocks)-1]
		data, err := r.read(ctx, r.layout.PathsKey(0, first.Object), first.Offset, last.Offset+last.Length-first.Offset)
		if err != nil {
			yield(pathLeaf{}, err)
			return
		}
		for _, b := range blocks {
			at := b.Offset - first.Offset
			raw, err := r.expand(0, b.PathBlock, data[at:at+b.Length])
			var leaf pathLeaf
			if err == nil {
				leaf, err = r.decodeLeaf(b, raw)
			}
			if !yield(leaf, err) || err != nil {
				return
			}
		}
	}
}

func (r *PathReader) leafOf(ctx context.Context, b pathRefAt) (pathLeaf, error) {
	if r.leaf.block == b {
		return r.leaf.value, nil
	}
	raw, err := r.block(ctx, 0, b.PathBlock)
	if err != nil {
		return pathLeaf{}, err
	}
	leaf, err := r.decodeLeaf(b, raw)
	if err == nil {
		r.leaf = cachedBlock[pathLeaf]{b, leaf}
	}
	return leaf, err
}

// decodeLeaf reads a block of level 0, which begins with the path that it is referred to by.
func (r *PathReader) decodeLeaf(b pathRefAt, raw []byte) (pathLeaf, error) {
	leaf, err := decodeLeaf(r.layout, raw)
	if err == nil {
		err = b.begins(leaf.members[0].Path)
	}
	return leaf, r.damaged(0, b.PathBlock, err)
}

func (r *PathReader) refsOf(ctx context.Context, level int, b pathRefAt) ([]pathRefAt, error) {
	if cached := r.refs[level]; cached.block == b {
		return cached.value, nil
	}
	raw, err := r.block(ctx, level, b.PathBlock)
	if err != nil {
		return nil, err
	}
	refs, err := decodeRefs(raw)
	if err == nil {
		err = b.begins(refs[0].path)
	}
	if err == nil {
		r.refs[level] = cachedBlock[[]pathRefAt]{b, refs}
	}
	return refs, r.damaged(level, b.PathBlock, err)
}

// begins returns an error unless a block begins with the path that it is referred to by: then no
// block is part of an index twice, which could be made endless.
func (b pathRefAt) begins(first string) error {
	if b.path != "" && b.path != first {
		return fmt.Errorf("it begins with %q, and is said to begin with %q", first, b.path)
	}
	return nil
}

// block reads a block.
func (r *PathReader) block(ctx context.Context, level int, b PathBlock) ([]byte, error) {
	data, err := r.read(ctx, r.layout.PathsKey(level, b.Object), b.Offset, b.Length)
	if err != nil {
		return nil, err
	}
	return r.expand(level, b, data)
}

// expand checks that data is a block, and expands it.
func (r *PathReader) expand(level int, b PathBlock, data []byte) ([]byte, error) {
	if got := Digest(sha256.Sum256(data)).String(); got != b.SHA256 {
		return nil, r.damaged(level, b, fmt.Errorf("the SHA-256 of %d bytes from %d on is %s, not %s: it was modified", b.Length, b.Offset, got, b.SHA256))
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPathBlock))
	if err != nil {
		return nil, fmt.Errorf("start zstd decoder: %w", err)
	}
	defer dec.Close()
	raw, err := dec.DecodeAll(data, nil)
	return raw, r.damaged(level, b, err)
}

func (r *PathReader) damaged(level int, b PathBlock, err error) error {
	if err == nil {
		return nil
	}
	if _, already := errors.AsType[*PathIndexError](err); already {
		return err
	}
	return &PathIndexError{r.layout.PathsKey(level, b.Object), err}
}

// decodeLeaf reads a block of level 0. It names only objects of the archives, and files, that it
// says to have them; see CheckManifest.
func decodeLeaf(l Layout, raw []byte) (leaf pathLeaf, err error) {
	var head pathHead
	for line := range bytes.Lines(raw) {
		if head.Version == 0 {
			if leaf.directories, err = decodePathHead(l, line, &head); err != nil {
				return leaf, err
			}
			continue
		}
		m, err := decodePathLine(l, head, line)
		if err != nil {
			return leaf, fmt.Errorf("member %d: %w", len(leaf.members), err)
		}
		if n := len(leaf.members); n > 0 && ComparePaths(leaf.members[n-1].Path, m.Path) >= 0 {
			return leaf, fmt.Errorf("%q does not come in order", m.Path)
		}
		leaf.members = append(leaf.members, m)
	}
	if len(leaf.members) == 0 {
		return leaf, errors.New("it has no members")
	}
	return leaf, nil
}

func decodePathHead(l Layout, line []byte, head *pathHead) (directories []Member, err error) {
	if err := json.Unmarshal(line, head); err != nil {
		return nil, notJSON(err)
	}
	if head.Version < firstPathVersion || head.Version > FormatVersion {
		return nil, fmt.Errorf("unknown version %d", head.Version)
	}
	for _, a := range head.Archives {
		if l.Index(a.Prefix) < 0 || a.Number < 0 || a.Object != nil && !l.mayBeArchive(a.Object.Key, a.Prefix) {
			return nil, fmt.Errorf("archive %d of prefix %q is not one of the run", a.Number, a.Prefix)
		}
	}
	for _, d := range head.Directories {
		m, err := d.member(wireHead{})
		if err != nil {
			return nil, err
		}
		directories = append(directories, m)
	}
	return directories, nil
}

func decodePathLine(l Layout, head pathHead, line []byte) (PathMember, error) {
	var w pathLine
	if err := json.Unmarshal(line, &w); err != nil {
		return PathMember{}, notJSON(err)
	}
	if w.Archive < 0 || w.Archive >= len(head.Archives) {
		return PathMember{}, fmt.Errorf("there is no archive %d", w.Archive)
	}
	a := head.Archives[w.Archive]
	m, err := w.member(wireHead{Object: a.Object})
	if err != nil {
		return PathMember{}, err
	}
	if err := cmp.Or(m.stored(), l.checkMember(m, a.Prefix)); err != nil {
		return PathMember{}, err
	}
	return PathMember{a.Prefix, a.Number, a.Object, m}, nil
}

// decodeRefs reads a block of a level above 0, which has a line at least.
func decodeRefs(raw []byte) ([]pathRefAt, error) {
	var refs []pathRefAt
	for line := range bytes.Lines(raw) {
		var w pathRef
		if err := json.Unmarshal(line, &w); err != nil {
			return nil, notJSON(err)
		}
		p, err := w.name()
		if err == nil {
			err = w.check()
		}
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", len(refs), err)
		}
		if n := len(refs); n > 0 && ComparePaths(refs[n-1].path, p) >= 0 {
			return nil, fmt.Errorf("block %d: %q does not come in order", n, p)
		}
		refs = append(refs, pathRefAt{p, w.PathBlock})
	}
	if len(refs) == 0 {
		return nil, errors.New("it has no blocks")
	}
	return refs, nil
}
