package restore

import (
	"context"
	"slices"
	"sync"

	"cargoship.dev/operator/internal/archive"
)

const (
	// keptBlocks is how many blocks of the path index are kept, and keptBlock the most that one of them
	// has, in bytes: those on the way to a path or two.
	keptBlocks = 8
	keptBlock  = 128 << 10
)

// blocks reads blocks of a path index and keeps the last ones, since a selection is looked up
// again and again: for patterns that are paths, for the room there is, for what it takes.
type blocks struct {
	read archive.RangeReader

	mu sync.Mutex
	// last are the blocks that were read, the newest first.
	last []block
}

type block struct {
	key    string
	offset int64
	data   []byte
}

// get reads a block unless it is kept.
func (b *blocks) get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if data := b.find(key, offset, length); data != nil {
		return data, nil
	}
	data, err := b.read(ctx, key, offset, length)
	if err == nil && length <= keptBlock {
		b.keep(block{key, offset, data})
	}
	return data, err
}

func (b *blocks) find(key string, offset, length int64) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.last {
		if one.key == key && one.offset == offset && int64(len(one.data)) == length {
			return one.data
		}
	}
	return nil
}

func (b *blocks) keep(one block) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = slices.Insert(b.last, 0, one)
	b.last = b.last[:min(keptBlocks, len(b.last))]
}
