package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// ErrNoPathIndex says that a run gets no path index. It is whole without.
var ErrNoPathIndex = errors.New("no path index can be made")

// objectsAtOnce is how many objects of the path index are written at a time.
const objectsAtOnce = 4

// pathWriter writes the path index of a run. It has a block and an object of each level in memory,
// and the objects that are being written.
type pathWriter struct {
	store   Store
	layout  Layout
	encoder *zstd.Encoder
	sizes   pathSizes
	levels  []*pathLevel
	members int64
	// writing writes the objects that are complete.
	writing *errgroup.Group

	// head and lines are those of the block of level 0 that is being made, first and last its
	// paths; archives are the places of the head's archives in it.
	head        pathHead
	archives    map[pathArchiveID]int
	lines       bytes.Buffer
	first, last string
	// lead are the directories that the last member is in, or is itself.
	lead []pathDirectory
}

type pathArchiveID struct {
	prefix string
	number int64
}

// pathDirectory is a directory, and its size as a line.
type pathDirectory struct {
	path string
	line wireMember
	size int
}

// pathLevel is what is yet to be written of a level.
type pathLevel struct {
	// object is the number of the next object, data what it has so far.
	object int64
	data   []byte
	blocks int64
	last   PathBlock
	// refs are the lines of the block that is being made, of a level above 0; first is
	// the first path of that, and count their number.
	refs  bytes.Buffer
	count int
	first wireName
}

func newPathWriter(s Store, l Layout, sizes pathSizes) (*pathWriter, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(recordLevel), zstd.WithWindowSize(pathBlock))
	if err != nil {
		return nil, fmt.Errorf("start zstd encoder: %w", err)
	}
	w := &pathWriter{store: s, layout: l, encoder: e, sizes: sizes, writing: new(errgroup.Group)}
	w.writing.SetLimit(objectsAtOnce)
	return w, nil
}

// add takes in the next member by path.
func (w *pathWriter) add(ctx context.Context, m PathMember) error {
	if w.members > 0 && ComparePaths(w.last, m.Path) >= 0 {
		return fmt.Errorf("%w: %q comes after %q", ErrNoPathIndex, m.Path, w.last)
	}
	if w.lines.Len() == 0 {
		if err := w.begin(m); err != nil {
			return err
		}
	}
	line := pathLine{w.archive(m), toWireMember(m.Member)}
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("encode %q: %w", m.Path, err)
	}
	if len(text) > maxRecord {
		return fmt.Errorf("%w: %q takes %d bytes", ErrNoPathIndex, m.Path, len(text))
	}
	w.lines.Write(append(text, '\n'))
	w.members, w.last = w.members+1, m.Path
	w.follow(m.Member, line.wireMember, len(text))
	if w.lines.Len() < w.sizes.block {
		return nil
	}
	return w.flush(ctx)
}

// begin begins a block with its first member.
func (w *pathWriter) begin(m PathMember) error {
	w.first, w.head, w.archives = m.Path, pathHead{Version: FormatVersion}, map[pathArchiveID]int{}
	size := 0
	for _, d := range w.lead {
		if !within(m.Path, d.path) {
			break
		}
		w.head.Directories = append(w.head.Directories, d.line)
		size += d.size
	}
	if size > maxPathLead {
		return fmt.Errorf("%w: the directories of %q take %d bytes", ErrNoPathIndex, m.Path, size)
	}
	return nil
}

// archive returns the place of a member's archive in the head.
func (w *pathWriter) archive(m PathMember) int {
	id := pathArchiveID{m.Prefix, m.Number}
	at, known := w.archives[id]
	if !known {
		at = len(w.head.Archives)
		w.archives[id] = at
		w.head.Archives = append(w.head.Archives, pathArchive{m.Prefix, m.Number, m.Object})
	}
	return at
}

// follow keeps the directories that the next member may be in.
func (w *pathWriter) follow(m Member, line wireMember, size int) {
	for n := len(w.lead); n > 0 && !within(m.Path, w.lead[n-1].path); n-- {
		w.lead = w.lead[:n-1]
	}
	if m.Kind == Directory {
		line.Tar = nil // It is not read from there.
		w.lead = append(w.lead, pathDirectory{m.Path, line, size})
	}
}

// flush ends the block of level 0.
func (w *pathWriter) flush(ctx context.Context) error {
	if w.lines.Len() == 0 {
		return nil
	}
	head, err := json.Marshal(w.head)
	if err != nil {
		return fmt.Errorf("encode a block of the path index: %w", err)
	}
	raw := append(append(head, '\n'), w.lines.Bytes()...)
	w.lines.Reset()
	return w.put(ctx, 0, toWireName(w.first), raw)
}

// put adds a block to a level, and refers to it in the level above.
func (w *pathWriter) put(ctx context.Context, level int, first wireName, raw []byte) error {
	l := w.level(level)
	if len(l.data) >= w.sizes.object {
		w.write(ctx, level)
	}
	start := len(l.data)
	l.data = w.encoder.EncodeAll(raw, l.data)
	sum := sha256.Sum256(l.data[start:])
	l.blocks++
	l.last = PathBlock{l.object, int64(start), int64(len(l.data) - start), Digest(sum).String()}
	if l.last.Length > maxPathBlock || len(raw) > maxPathBlock {
		return fmt.Errorf("%w: a block takes %d bytes", ErrNoPathIndex, len(raw))
	}
	text, err := json.Marshal(pathRef{first, l.last})
	if err != nil {
		return fmt.Errorf("encode a block of the path index: %w", err)
	}
	above := w.level(level + 1)
	if above.refs.Len() == 0 {
		above.first = first
	}
	above.refs.Write(append(text, '\n'))
	above.count++
	// A level has at most half the blocks of the one below, however long its lines are.
	if above.count < 2 || above.refs.Len() < w.sizes.block {
		return nil
	}
	return w.flushRefs(ctx, level+1)
}

// write begins to write the object of a level, and begins the next one.
func (w *pathWriter) write(ctx context.Context, level int) {
	l := w.level(level)
	key, data := w.layout.PathsKey(level, l.object), l.data
	l.object, l.data = l.object+1, nil
	w.writing.Go(func() error {
		if err := w.store.Put(ctx, key, data); err != nil {
			return fmt.Errorf("write the path index: %w", err)
		}
		return nil
	})
}

func (w *pathWriter) flushRefs(ctx context.Context, level int) error {
	l := w.level(level)
	raw := bytes.Clone(l.refs.Bytes())
	l.refs.Reset()
	l.count = 0
	return w.put(ctx, level, l.first, raw)
}

func (w *pathWriter) level(n int) *pathLevel {
	for len(w.levels) <= n {
		w.levels = append(w.levels, &pathLevel{})
	}
	return w.levels[n]
}

// close writes what is left, level by level up to the one that is a single block. Of a run without
// members there is no index.
func (w *pathWriter) close(ctx context.Context) (*PathIndex, error) {
	if w.members == 0 {
		return nil, nil
	}
	if err := w.flush(ctx); err != nil {
		return nil, err
	}
	for level := 0; ; level++ {
		l := w.level(level)
		if level > 0 && l.refs.Len() > 0 {
			if err := w.flushRefs(ctx, level); err != nil {
				return nil, err
			}
		}
		w.write(ctx, level)
		if l.blocks == 1 {
			if err := w.writing.Wait(); err != nil {
				return nil, err
			}
			p := &PathIndex{Levels: level + 1, Members: w.members, Root: l.last}
			if err := p.check(); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrNoPathIndex, err)
			}
			return p, nil
		}
	}
}
