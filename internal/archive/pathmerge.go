package archive

import (
	"cmp"
	"container/heap"
	"context"
	"crypto/sha256"
	"fmt"

	"golang.org/x/sync/errgroup"
)

const (
	// mergeBatch is how many members are handed on at a time.
	mergeBatch = 64
	// mergeAhead is how many batches of a prefix are decoded ahead.
	mergeAhead = 1
	// manifestsAhead is how many compressed manifests are held at a time over all prefixes:
	// 1,600 a second from a store that answers in 20 ms.
	manifestsAhead = 32
)

// AddPaths writes the path index of the run from its manifests, whose digests are given by
// prefix and number. The members of a prefix follow each other by path, so the prefixes
// are merged in memory that does not grow with their size: manifestsAhead compressed
// manifests, or one of each prefix, and a few hundred members of each. The error is ErrNoPathIndex if there can be none.
func (i *Index) AddPaths(ctx context.Context, s Store, digests map[string][]Digest) error {
	return i.addPaths(ctx, s, digests, pathSizes{pathBlock, pathObject}, mergeHooks{})
}

// mergeHooks are called while manifests are merged; either may be nil.
type mergeHooks struct {
	// each is called with every member, merged once all manifests have been read and only the last
	// objects are being written.
	each   func(PathMember)
	merged func()
}

func (i *Index) addPaths(ctx context.Context, s Store, digests map[string][]Digest, sizes pathSizes, h mergeHooks) error {
	w, err := newPathWriter(s, i.Layout, sizes)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, working := errgroup.WithContext(ctx)
	ahead := max(1, manifestsAhead/max(1, len(digests)))
	var sources merging
	for _, prefix := range i.Layout.Prefixes() {
		if len(digests[prefix]) == 0 {
			continue
		}
		source := &mergeSource{batches: make(chan []PathMember, mergeAhead)}
		sources = append(sources, source)
		p := prefixManifests{s, i.Layout, prefix, digests[prefix], ahead}
		group.Go(func() error {
			defer close(source.batches)
			return p.stream(working, source.batches)
		})
	}
	paths, err := sources.write(working, w, h)
	cancel()
	_ = w.writing.Wait() // close has said it.
	if streamErr := group.Wait(); streamErr != nil && (err == nil || working.Err() != nil && ctx.Err() == nil) {
		err = streamErr
	}
	if err == nil {
		i.Paths = paths
	}
	return err
}

// mergeSource is one prefix.
type mergeSource struct {
	batches chan []PathMember
	batch   []PathMember
}

// next makes the first member of the batch the next one, and is false behind the last.
func (s *mergeSource) next() bool {
	if len(s.batch) > 1 {
		s.batch = s.batch[1:]
		return true
	}
	s.batch = <-s.batches
	return len(s.batch) > 0
}

// merging is a heap of prefixes by their next members.
type merging []*mergeSource

func (m merging) Len() int           { return len(m) }
func (m merging) Less(a, b int) bool { return ComparePaths(m[a].batch[0].Path, m[b].batch[0].Path) < 0 }
func (m merging) Swap(a, b int)      { m[a], m[b] = m[b], m[a] }
func (m *merging) Push(x any)        { *m = append(*m, x.(*mergeSource)) }

// Pop implements heap.Interface.
func (m *merging) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

// write merges all prefixes.
func (m merging) write(ctx context.Context, w *pathWriter, h mergeHooks) (*PathIndex, error) {
	var left merging
	for _, s := range m {
		if s.next() {
			left = append(left, s)
		}
	}
	heap.Init(&left)
	for len(left) > 0 {
		if h.each != nil {
			h.each(left[0].batch[0])
		}
		if err := w.add(ctx, left[0].batch[0]); err != nil {
			return nil, err
		}
		if left[0].next() {
			heap.Fix(&left, 0)
		} else {
			heap.Pop(&left)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if h.merged != nil {
		h.merged()
	}
	return w.close(ctx)
}

// prefixManifests are the manifests of a prefix.
type prefixManifests struct {
	store   Store
	layout  Layout
	prefix  string
	digests []Digest
	// ahead is how many are fetched while one is decoded, at least 1.
	ahead int
}

// stream hands on their members in batches. It reads manifests while it decodes the ones
// before, and nothing any more once it has returned.
func (p prefixManifests) stream(ctx context.Context, to chan<- []PathMember) error {
	ctx, cancel := context.WithCancel(ctx)
	queue := make([]<-chan fetched, 0, p.ahead)
	defer func() {
		cancel()
		for _, begun := range queue {
			for range begun {
			}
		}
	}()
	for number, begun := 0, 0; number < len(p.digests); number++ {
		for ; begun < len(p.digests) && len(queue) < p.ahead; begun++ {
			queue = append(queue, p.fetch(ctx, begun))
		}
		data := <-queue[0]
		queue = queue[1:]
		if data.err != nil {
			return data.err
		}
		if err := p.decode(ctx, int64(number), data.body, to); err != nil {
			return fmt.Errorf("manifest %d of prefix %q: %w", number, p.prefix, cmp.Or(ctx.Err(), err))
		}
	}
	return nil
}

type fetched struct {
	body []byte
	err  error
}

// fetch begins to read a manifest; the channel that tells of it is closed when that has ended.
func (p prefixManifests) fetch(ctx context.Context, number int) <-chan fetched {
	done := make(chan fetched, 1)
	go func() {
		defer close(done)
		body, err := p.store.Get(ctx, p.layout.ManifestKey(p.layout.Index(p.prefix), int64(number)))
		if err == nil && sha256.Sum256(body) != p.digests[number] {
			err = fmt.Errorf("manifest %d of prefix %q: it was modified since it was counted", number, p.prefix)
		}
		done <- fetched{body, err}
	}()
	return done
}

// decode hands on the members of one manifest.
func (p prefixManifests) decode(ctx context.Context, number int64, data []byte, to chan<- []PathMember) error {
	var batch []PathMember
	send := func() error {
		if len(batch) == 0 {
			return nil
		}
		select {
		case to <- batch:
			batch = nil
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, err := scanManifest(data, func(h wireHead, m Member) error {
		batch = append(batch, PathMember{p.prefix, number, h.Object, m})
		if len(batch) < mergeBatch {
			return nil
		}
		return send()
	})
	if err != nil {
		return err
	}
	return send()
}
