package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	// The shards of a prefix hold 1, 2, 4 and so on archives, up to this many, so that
	// transfer can start at once and yet few objects are written.
	maxShardArchives = 1024
	// maxShardFiles keeps shards near 1 MiB, compressed.
	maxShardFiles = 64 << 10

	defaultFlushInterval = time.Second
	// An archive waits at least this fraction of the time spent planning so far, so
	// that a slow walk of hours writes at most a few thousand shards per prefix.
	flushFraction = 1000
)

// Planner writes the inventory of a source to the bucket. Only one may run for a
// transfer at a time.
type Planner struct {
	Source *Source
	Store  Store
	// Layout needn't be resolved.
	Layout Layout
	// Include and Exclude are those of WalkOptions.
	Include, Exclude []string
	// FlushInterval is how long a complete archive initially waits for others to share
	// a shard with; 0 means one second.
	FlushInterval time.Duration

	bounds bounds
}

// Run walks the source and lists its archives, resuming an interrupted run: shards
// that exist are kept, and files created since among those already listed are
// ignored. It calls progress, never concurrently, whenever more archives are listed.
func (p *Planner) Run(ctx context.Context, progress func(Plan)) (Plan, error) {
	plan, err := p.begin(ctx)
	if err != nil {
		return plan, err
	}
	if plan.Complete {
		progress(plan)
		return plan, nil
	}
	w, err := p.openWriter(ctx, plan.Layout)
	if err != nil {
		return plan, err
	}
	report := func() {
		plan.Prefixes = w.planned()
		progress(plan)
	}
	report()
	if err := p.list(ctx, w, report); err != nil {
		return plan, err
	}
	plan.Complete = true
	plan.Prefixes = w.planned()
	if err := plan.Write(ctx, p.Store); err != nil {
		return plan, err
	}
	progress(plan)
	return plan, nil
}

// begin returns the existing plan, or decides the layout and writes one.
func (p *Planner) begin(ctx context.Context) (Plan, error) {
	plan, found, err := ReadPlan(ctx, p.Store, p.Layout)
	if found || err != nil {
		return plan, err
	}
	if plan.Layout, err = p.Source.Resolve(ctx, p.Layout, p.Include, p.Exclude); err != nil {
		return plan, err
	}
	return plan, plan.Write(ctx, p.Store)
}

// list walks in a goroutine of its own and writes shards in the caller's, so that
// shards are written even while a slow source yields nothing. The walk has ended
// when list returns.
func (p *Planner) list(ctx context.Context, w *shardWriter, report func()) error {
	// The walk has a context of its own: it ends before the last shard is written.
	walking, stop := context.WithCancel(ctx)
	archives := make(chan Archive)
	walked := make(chan error, 1)
	go func() {
		defer close(archives)
		_, err := p.Source.Walk(walking, p.walkOptions(w), func(a Archive) error {
			select {
			case archives <- a:
				return nil
			case <-walking.Done():
				return fmt.Errorf("walk source: %w", context.Cause(walking))
			}
		})
		walked <- err
	}()
	err := p.write(ctx, w, archives, report)
	stop()
	if walkErr := <-walked; err == nil {
		err = walkErr
	}
	if err != nil {
		return err
	}
	defer report()
	return w.flush(ctx, 0)
}

// write writes archives until the walk ends.
func (p *Planner) write(ctx context.Context, w *shardWriter, archives <-chan Archive, report func()) error {
	interval := p.FlushInterval
	if interval <= 0 {
		interval = defaultFlushInterval
	}
	ticker := time.NewTicker(max(interval/4, time.Millisecond))
	defer ticker.Stop()
	start := time.Now()
	for {
		before := w.written
		select {
		case a, more := <-archives:
			if !more {
				return nil
			}
			if err := w.add(ctx, a); err != nil {
				return err
			}
		case <-ticker.C:
			if err := w.flush(ctx, max(interval, time.Since(start)/flushFraction)); err != nil {
				return err
			}
		}
		if w.written > before {
			report()
		}
	}
}

func (p *Planner) walkOptions(w *shardWriter) WalkOptions {
	o := WalkOptions{
		Include: p.Include, Exclude: p.Exclude, Layout: w.layout, bounds: p.bounds,
		Resume: map[string]Cursor{}, Listed: NewInventory(p.Store, w.layout),
	}
	for i, next := range w.pending {
		if next.listed.Archives > 0 {
			o.Resume[w.prefixes[i]] = Cursor{next.listed.Archives, next.after}
		}
	}
	return o
}

// shardWriter collects archives into shards and writes them to the bucket.
type shardWriter struct {
	store    Store
	layout   Layout
	prefixes []string
	pending  []pendingShard
	encoder  *zstd.Encoder
	// total sums up what is listed or pending.
	total PlannedPrefix
	// written counts shards.
	written int
}

// pendingShard is the next shard of one prefix.
type pendingShard struct {
	// listed sums up the shards written so far; after is the last path in them.
	listed PlannedPrefix
	after  string
	// target is the number of archives at which the shard is written.
	target   int
	archives []shardArchive
	files    int64
	frames   []byte
	oldest   time.Time
}

// openWriter resumes after the shards that an earlier run has written.
func (p *Planner) openWriter(ctx context.Context, l Layout) (*shardWriter, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(recordLevel))
	if err != nil {
		return nil, fmt.Errorf("start zstd encoder: %w", err)
	}
	w := &shardWriter{store: p.Store, layout: l, prefixes: l.Prefixes(), encoder: enc}
	w.pending = make([]pendingShard, len(w.prefixes))
	for i, prefix := range w.prefixes {
		if w.pending[i], err = resumePrefix(ctx, p.Store, l, i); err != nil {
			return nil, err
		}
		w.pending[i].listed.Name = prefix
		w.total.add(w.pending[i].listed)
	}
	return w, nil
}

func resumePrefix(ctx context.Context, store Store, l Layout, index int) (pendingShard, error) {
	next := pendingShard{target: 1}
	firsts, err := listShards(ctx, store, l, index)
	if err != nil || len(firsts) == 0 {
		return next, err
	}
	s, err := readShard(ctx, store, l, index, firsts[len(firsts)-1])
	if err != nil {
		return next, err
	}
	last, err := s.archive(s.next() - 1)
	if err != nil {
		return next, fmt.Errorf("inventory of prefix %q: %w", s.header.Prefix, err)
	}
	next.listed = s.totals()
	next.after = last.Entries[len(last.Entries)-1].Path
	return next, nil
}

// add puts an archive into the shard of its prefix, and writes it when it is full.
func (w *shardWriter) add(ctx context.Context, a Archive) error {
	w.total.add(PlannedPrefix{Archives: 1, Files: a.Files(), Bytes: a.Bytes()})
	if err := w.total.tooLarge(); err != nil {
		return err
	}
	frame, err := encodeFrame(w.encoder, a)
	if err != nil {
		return err
	}
	index := w.layout.Index(a.Prefix)
	next := &w.pending[index]
	if len(next.archives) == 0 {
		next.oldest = time.Now()
	}
	next.archives = append(next.archives, shardArchive{int64(len(frame)), a.Files(), a.Bytes()})
	next.frames = append(next.frames, frame...)
	next.files += a.Files()
	if len(next.archives) < next.target && next.files < maxShardFiles {
		return nil
	}
	return w.write(ctx, index)
}

// flush writes the shards whose oldest archive has waited for age.
func (w *shardWriter) flush(ctx context.Context, age time.Duration) error {
	for i := range w.pending {
		if next := &w.pending[i]; len(next.archives) > 0 && time.Since(next.oldest) >= age {
			if err := w.write(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *shardWriter) write(ctx context.Context, index int) error {
	next := &w.pending[index]
	s := shard{header: shardHeader{
		Prefix:      w.prefixes[index],
		First:       next.listed.Archives,
		FilesBefore: next.listed.Files,
		BytesBefore: next.listed.Bytes,
		Archives:    next.archives,
	}}
	data, err := encodeShard(s.header, next.frames)
	if err != nil {
		return err
	}
	if err := w.store.Put(ctx, w.layout.ShardKey(index, s.header.First), data); err != nil {
		return fmt.Errorf("write inventory of prefix %q: %w", w.prefixes[index], err)
	}
	for _, a := range next.archives {
		next.listed.Archives++
		next.listed.Files += a.Files
		next.listed.Bytes += a.Bytes
	}
	*next = pendingShard{listed: next.listed, target: min(2*next.target, maxShardArchives)}
	w.written++
	return nil
}

// planned sums up the shards written, for prefixes that have archives.
func (w *shardWriter) planned() []PlannedPrefix {
	var all []PlannedPrefix
	for _, next := range w.pending {
		if next.listed.Archives > 0 {
			all = append(all, next.listed)
		}
	}
	return all
}
