package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
)

// ErrNotListed says that the inventory doesn't hold the archive, or not yet.
var ErrNotListed = errors.New("not in the inventory")

// inventoryCacheBytes bounds the compressed shards kept in memory; a full
// shard is about 1 MiB.
const inventoryCacheBytes = 16 << 20

// Inventory reads the archives that a Planner has listed. It is safe for
// concurrent use.
type Inventory struct {
	store  Store
	layout Layout
	lists  []shardList
	cache  shardCache
}

// shardList is the known shards of one prefix. Its lock is held during requests to the
// store, so that many archives of a new shard cost one request.
type shardList struct {
	sync.Mutex
	// firsts are the numbers with which the shards begin, ascending.
	firsts []int64
}

// NewInventory reads the inventory of a transfer; the layout is that of its plan.
func NewInventory(s Store, l Layout) *Inventory {
	return &Inventory{
		store:  s,
		layout: l,
		lists:  make([]shardList, len(l.Prefixes())),
		cache:  shardCache{limit: inventoryCacheBytes},
	}
}

// Archive returns one archive. The error matches ErrNotListed when the
// inventory doesn't hold it.
func (i *Inventory) Archive(ctx context.Context, prefix string, number int64) (Archive, error) {
	s, err := i.shardOf(ctx, prefix, number)
	if err != nil {
		return Archive{}, fmt.Errorf("archive %d of prefix %q: %w", number, prefix, err)
	}
	a, err := s.archive(number)
	if err != nil {
		return Archive{}, fmt.Errorf("inventory of prefix %q: %w", prefix, err)
	}
	return a, nil
}

// shardOf looks the archive up in the known shards, then lists the shards in the store and
// looks again.
func (i *Inventory) shardOf(ctx context.Context, prefix string, number int64) (*shard, error) {
	index := i.layout.Index(prefix)
	if index < 0 || number < 0 {
		return nil, ErrNotListed
	}
	list := &i.lists[index]
	list.Lock()
	defer list.Unlock()
	if s, err := i.lookUp(ctx, index, number); s != nil || err != nil {
		return s, err
	}
	var err error
	if list.firsts, err = listShards(ctx, i.store, i.layout, index); err != nil {
		return nil, err
	}
	s, err := i.lookUp(ctx, index, number)
	if s == nil && err == nil {
		err = ErrNotListed
	}
	return s, err
}

// lookUp returns the known shard that holds the archive, or nil.
func (i *Inventory) lookUp(ctx context.Context, index int, number int64) (*shard, error) {
	firsts := i.lists[index].firsts
	at := sort.Search(len(firsts), func(k int) bool { return firsts[k] > number }) - 1
	if at < 0 {
		return nil, nil
	}
	s, err := i.shard(ctx, index, firsts[at])
	if err != nil || !s.holds(number) {
		return nil, err
	}
	return s, nil
}

// shard returns the shard that begins with the archive first.
func (i *Inventory) shard(ctx context.Context, index int, first int64) (*shard, error) {
	key := i.layout.ShardKey(index, first)
	if s := i.cache.get(key); s != nil {
		return s, nil
	}
	s, err := readShard(ctx, i.store, i.layout, index, first)
	if err != nil {
		return nil, err
	}
	i.cache.put(key, s)
	return s, nil
}

// Find returns the number of the archive that holds a path, and its entry. The
// error matches ErrNotListed when none does. Together with Layout.Locate it
// decides whether an object belongs to the transfer.
func (i *Inventory) Find(ctx context.Context, prefix, p string) (int64, Entry, error) {
	a, _, err := i.archiveAt(ctx, prefix, p)
	if err != nil {
		return 0, Entry{}, err
	}
	at, found := slices.BinarySearchFunc(a.Entries, p, func(e Entry, p string) int { return ComparePaths(e.Path, p) })
	if !found {
		return 0, Entry{}, fmt.Errorf("path %q of prefix %q: %w", p, prefix, ErrNotListed)
	}
	return a.Number, a.Entries[at], nil
}

// archiveAt returns the last archive whose first entry isn't after p; false if there is none.
func (i *Inventory) archiveAt(ctx context.Context, prefix, p string) (a Archive, found bool, err error) {
	index := i.layout.Index(prefix)
	if index < 0 {
		return a, false, nil
	}
	list := &i.lists[index]
	list.Lock()
	defer list.Unlock()
	if list.firsts, err = listShards(ctx, i.store, i.layout, index); err != nil {
		return a, false, err
	}
	s, err := i.shardBefore(ctx, index, p)
	if s == nil || err != nil {
		return a, false, err
	}
	if a, err = s.archiveBefore(p); err != nil {
		return a, false, fmt.Errorf("inventory of prefix %q: %w", prefix, err)
	}
	return a, true, nil
}

// shardBefore returns the last shard whose first entry isn't after p; nil if there is none.
func (i *Inventory) shardBefore(ctx context.Context, index int, p string) (*shard, error) {
	firsts := i.lists[index].firsts
	var failed error
	at := sort.Search(len(firsts), func(k int) bool {
		s, err := i.shard(ctx, index, firsts[k])
		var after bool
		if err == nil {
			after, err = s.startsAfter(s.header.First, p)
		}
		failed = errors.Join(failed, err)
		return after
	})
	if failed != nil || at == 0 {
		return nil, failed
	}
	return i.shard(ctx, index, firsts[at-1])
}

// startsAfter says that the first entry of an archive is after p.
func (s *shard) startsAfter(number int64, p string) (bool, error) {
	a, err := s.archive(number)
	return err == nil && ComparePaths(a.Entries[0].Path, p) > 0, err
}

// archiveBefore returns the last archive whose first entry isn't after p. The first archive
// of the shard is one.
func (s *shard) archiveBefore(p string) (Archive, error) {
	var failed error
	at := sort.Search(len(s.ends), func(k int) bool {
		after, err := s.startsAfter(s.header.First+int64(k), p)
		failed = errors.Join(failed, err)
		return after
	})
	if failed != nil {
		return Archive{}, failed
	}
	return s.archive(s.header.First + int64(max(at-1, 0)))
}

// listShards returns the numbers with which the shards of a prefix begin, ascending.
func listShards(ctx context.Context, store Store, l Layout, index int) ([]int64, error) {
	keys, err := store.List(ctx, l.ShardPrefix(index))
	if err != nil {
		return nil, fmt.Errorf("list inventory: %w", err)
	}
	var firsts []int64
	for _, key := range keys {
		if n, ok := numberInKey(key, l.ShardPrefix(index), shardSuffix); ok {
			firsts = append(firsts, n)
		}
	}
	slices.Sort(firsts)
	// Some servers list a key twice, at the end of a page and on the next.
	return slices.Compact(firsts), nil
}

func readShard(ctx context.Context, store Store, l Layout, index int, first int64) (*shard, error) {
	key := l.ShardKey(index, first)
	data, err := store.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	s, err := decodeShard(data)
	if err == nil && (s.header.First != first || l.Index(s.header.Prefix) != index) {
		err = fmt.Errorf("it is that of prefix %q from archive %d on", s.header.Prefix, s.header.First)
	}
	if err != nil {
		return nil, fmt.Errorf("inventory shard %s is damaged: %w", key, err)
	}
	return s, nil
}

// shardCache keeps the most recently used shards.
type shardCache struct {
	limit int

	mu     sync.Mutex
	shards []cachedShard // most recently used last
	size   int
}

type cachedShard struct {
	key   string
	shard *shard
}

func (c *shardCache) get(key string) *shard {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.shards, func(s cachedShard) bool { return s.key == key })
	if at < 0 {
		return nil
	}
	s := c.shards[at]
	c.shards = append(slices.Delete(c.shards, at, at+1), s)
	return s.shard
}

func (c *shardCache) put(key string, s *shard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shards = append(c.shards, cachedShard{key, s})
	c.size += len(s.frames)
	for len(c.shards) > 1 && c.size > c.limit {
		c.size -= len(c.shards[0].shard.frames)
		c.shards = slices.Delete(c.shards, 0, 1)
	}
}
