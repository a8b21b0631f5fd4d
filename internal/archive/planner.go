package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	// A shard is written when it has as many archives as its turn allows: 1, 2,
	// 4 and so on, so that work can start at once and yet few objects are made.
	maxShardArchives = 1024
	// maxShardFiles keeps shards near 1 MiB, compressed.
	maxShardFiles = 64 << 10

	defaultFlushInterval = time.Second
	// flushFraction of the time that planning has taken so far is the least that
	// an archive waits: a slow walk of hours thus makes no more than a few
	// thousand shards for each prefix.
	flushFraction = 1000
)

// Planner writes the inventory of a source into the bucket. One at a time may
// run for a transfer.
type Planner struct {
	Source *Source
	Store  Store
	// Layout needn't be resolved.
	Layout Layout
	// Include and Exclude are those of WalkOptions.
	Include, Exclude []string
	// FlushInterval is how long a finished archive waits at first to be listed
	// together with others; 0 means one second.
	FlushInterval time.Duration

	bounds bounds
}

// Run walks the source and lists its archives, continuing where an earlier run
// that was cut short has left off: what is listed stays as it is, and files
// that have appeared in its midst since are not looked for. It calls progress,
// never twice at a time, whenever more archives are listed.
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

// begin returns the plan that stands, or decides the layout and writes one.
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

// list walks in one goroutine and writes shards in the caller's, since shards
// have to be written also while a slow source yields nothing. When it returns,
// the walk has ended.
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

// write takes archives until there are no more.
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
		Resume: map[string]Cursor{},
	}
	for i, lane := range w.lanes {
		if lane.listed.Archives > 0 {
			o.Resume[w.prefixes[i]] = Cursor{lane.listed.Archives, lane.after}
		}
	}
	return o
}

// shardWriter gathers archives into shards and puts them into the bucket.
type shardWriter struct {
	store    Store
	layout   Layout
	prefixes []string
	lanes    []shardLane
	encoder  *zstd.Encoder
	// total sums up what is listed and gathered.
	total PlannedPrefix
	// written counts shards.
	written int
}

// shardLane is the shard of one prefix that is being gathered.
type shardLane struct {
	// listed sums up the shards that stand; after is the last path in them.
	listed PlannedPrefix
	after  string
	// target is the number of archives at which the shard is written.
	target   int
	archives []shardArchive
	files    int64
	frames   []byte
	oldest   time.Time
}

// openWriter finds out which shards an earlier run has written.
func (p *Planner) openWriter(ctx context.Context, l Layout) (*shardWriter, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("start zstd encoder: %w", err)
	}
	w := &shardWriter{store: p.Store, layout: l, prefixes: l.Prefixes(), encoder: enc}
	w.lanes = make([]shardLane, len(w.prefixes))
	for i, prefix := range w.prefixes {
		if w.lanes[i], err = resumeLane(ctx, p.Store, l, i); err != nil {
			return nil, err
		}
		w.lanes[i].listed.Name = prefix
		w.total.add(w.lanes[i].listed)
	}
	return w, nil
}

func resumeLane(ctx context.Context, store Store, l Layout, index int) (shardLane, error) {
	lane := shardLane{target: 1}
	firsts, err := listShards(ctx, store, l, index)
	if err != nil || len(firsts) == 0 {
		return lane, err
	}
	s, err := readShard(ctx, store, l, index, firsts[len(firsts)-1])
	if err != nil {
		return lane, err
	}
	last, err := s.archive(s.next() - 1)
	if err != nil {
		return lane, fmt.Errorf("inventory of prefix %q: %w", s.header.Prefix, err)
	}
	lane.listed = s.totals()
	lane.after = last.Entries[len(last.Entries)-1].Path
	return lane, nil
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
	lane := &w.lanes[index]
	if len(lane.archives) == 0 {
		lane.oldest = time.Now()
	}
	lane.archives = append(lane.archives, shardArchive{int64(len(frame)), a.Files(), a.Bytes()})
	lane.frames = append(lane.frames, frame...)
	lane.files += a.Files()
	if len(lane.archives) < lane.target && lane.files < maxShardFiles {
		return nil
	}
	return w.write(ctx, index)
}

// flush writes the shards whose oldest archive has waited for age.
func (w *shardWriter) flush(ctx context.Context, age time.Duration) error {
	for i := range w.lanes {
		if lane := &w.lanes[i]; len(lane.archives) > 0 && time.Since(lane.oldest) >= age {
			if err := w.write(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *shardWriter) write(ctx context.Context, index int) error {
	lane := &w.lanes[index]
	s := shard{header: shardHeader{
		Prefix:      w.prefixes[index],
		First:       lane.listed.Archives,
		FilesBefore: lane.listed.Files,
		BytesBefore: lane.listed.Bytes,
		Archives:    lane.archives,
	}}
	data, err := encodeShard(s.header, lane.frames)
	if err != nil {
		return err
	}
	if err := w.store.Put(ctx, w.layout.ShardKey(index, s.header.First), data); err != nil {
		return fmt.Errorf("write inventory of prefix %q: %w", w.prefixes[index], err)
	}
	for _, a := range lane.archives {
		lane.listed.Archives++
		lane.listed.Files += a.Files
		lane.listed.Bytes += a.Bytes
	}
	*lane = shardLane{listed: lane.listed, target: min(2*lane.target, maxShardArchives)}
	w.written++
	return nil
}

// planned sums up what is written, for the prefixes that have archives.
func (w *shardWriter) planned() []PlannedPrefix {
	var all []PlannedPrefix
	for _, lane := range w.lanes {
		if lane.listed.Archives > 0 {
			all = append(all, lane.listed)
		}
	}
	return all
}
