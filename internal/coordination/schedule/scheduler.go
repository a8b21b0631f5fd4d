package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// TransferScheduler schedules one transfer: its prefixes, its queues, and its workers. The
// caller sets the exported fields as they change.
type TransferScheduler struct {
	id       protocol.TransferID
	prefixes []*Prefix
	byName   map[string]*Prefix
	workers  []*Worker // by ID

	Config protocol.Config
	// BaseInterval is the interval between the reports of its workers while nothing asks for faster ones.
	BaseInterval time.Duration
	// Large: in a large fleet a lease with many archives costs the API server too much, so that
	// PipelineDepth is for all prefixes of a worker together.
	Large bool

	spare  []*holding // to be used again
	offers []offer    // scratch of refill
	ready  []*Worker  // in this tick
	free   []*Worker  // those of ready that can be given archives
	// forecast of this tick.
	forecast forecast
	drain    float64 // seconds until its slowest prefix is empty; 0 unknown

	record  record // in this tick
	sharing int    // windows that workers have on prefixes, likewise
}

// New gives the scheduler of a transfer.
func New(id protocol.TransferID, config protocol.Config) *TransferScheduler {
	return &TransferScheduler{id: id, Config: config, byName: map[string]*Prefix{}}
}

// AddWorker adds a worker.
func (t *TransferScheduler) AddWorker(id protocol.WorkerID) *Worker {
	w := &Worker{id: id, transfer: t}
	i, _ := slices.BinarySearchFunc(t.workers, id, compareWorker)
	t.workers = slices.Insert(t.workers, i, w)
	return w
}

// RemoveWorker drops a worker that holds nothing any more.
func (t *TransferScheduler) RemoveWorker(w *Worker) {
	if i, ok := slices.BinarySearchFunc(t.workers, w.id, compareWorker); ok {
		t.workers = slices.Delete(t.workers, i, i+1)
	}
}

func compareWorker(w *Worker, id protocol.WorkerID) int { return cmp.Compare(w.id, id) }

// Prepare finds who can work on what in this tick.
func (t *TransferScheduler) Prepare() {
	t.ready, t.free = t.ready[:0], t.free[:0]
	for _, w := range t.workers {
		if !w.Ready {
			continue
		}
		t.ready = append(t.ready, w)
		w.measureLoad()
		if !w.Blocked {
			t.free = append(t.free, w)
		}
	}
	t.measureRecord()
	t.activate()
	t.forecast = t.look()
}

// Begin begins to assign: the holdings know their windows.
func (t *TransferScheduler) Begin(now time.Time) {
	t.measureDrains()
	t.sharing = 0
	for _, l := range t.prefixes {
		l.sharing = 0
		if !l.available() {
			l.served = now
		}
	}
	for _, w := range t.workers {
		w.serves, w.granting = 0, 0
		for _, c := range w.holdings {
			w.granting += c.Window
			if c.Window > 0 {
				c.prefix.sharing++
				w.serves++
				t.sharing++
			}
		}
	}
}

// Remaining tells that some archive has not ended.
func (t *TransferScheduler) Remaining() bool {
	return slices.ContainsFunc(t.prefixes, func(l *Prefix) bool { return l.Remaining() > 0 })
}

// Waiting tells that some archive is queued.
func (t *TransferScheduler) Waiting() bool {
	return slices.ContainsFunc(t.prefixes, func(l *Prefix) bool { return l.Queued() > 0 })
}

// Register finds or makes a prefix.
func (t *TransferScheduler) Register(name string) (*Prefix, error) {
	if l := t.byName[name]; l != nil {
		return l, nil
	}
	if name == "" || len(name) > protocol.MaxPrefixLength {
		return nil, fmt.Errorf("register prefix of transfer %s: its name has %d bytes, must have 1 to %d",
			t.id, len(name), protocol.MaxPrefixLength)
	}
	if len(t.prefixes) >= protocol.MaxPrefixes {
		return nil, fmt.Errorf("register prefix %s of transfer %s: there are %d prefixes already",
			name, t.id, protocol.MaxPrefixes)
	}
	l := &Prefix{name: name, index: len(t.prefixes), transfer: t, held: map[int64]*holding{}}
	t.prefixes = append(t.prefixes, l)
	t.byName[name] = l
	return l, nil
}

// activate chooses the prefixes that may hold a window: those that did go on until
// nothing remains of them, then the waiting ones follow in their order.
func (t *TransferScheduler) activate() {
	active := 0
	for _, l := range t.prefixes {
		l.active = l.active && l.Remaining() > 0 || len(l.held) > 0
		if l.active {
			active++
		}
	}
	for _, l := range t.prefixes {
		if active < t.Config.MaxActivePrefixes && !l.active && l.Queued() > 0 {
			l.active = true
			active++
		}
	}
}

// CheckPlan returns why a plan cannot follow the one that is known.
func (t *TransferScheduler) CheckPlan(p protocol.PlanProgress) error {
	named := map[string]bool{}
	var total protocol.Planned
	for _, next := range p.Prefixes {
		if named[next.Prefix] {
			return fmt.Errorf("the plan names prefix %q twice", next.Prefix)
		}
		named[next.Prefix] = true
		if err := t.checkGrowth(next); err != nil {
			return err
		}
		total.Add(next.Planned)
	}
	prefixes := len(named)
	for _, l := range t.prefixes {
		if !named[l.name] {
			total.Add(l.backlog.planned)
			prefixes++
		}
	}
	if prefixes > protocol.MaxPlannedPrefixes {
		return fmt.Errorf("the plan has %d prefixes, a transfer can have %d", prefixes, protocol.MaxPlannedPrefixes)
	}
	return total.Validate()
}

func (t *TransferScheduler) checkGrowth(next protocol.PlannedPrefix) error {
	if next.Prefix == "" || len(next.Prefix) > protocol.MaxPrefixLength {
		return fmt.Errorf("the name of a planned prefix has %d bytes, must have 1 to %d", len(next.Prefix), protocol.MaxPrefixLength)
	}
	if err := next.Validate(); err != nil {
		return fmt.Errorf("prefix %q: %w", next.Prefix, err)
	}
	var known protocol.Planned
	if l := t.byName[next.Prefix]; l != nil {
		known = l.backlog.planned
	}
	archives, files := next.Archives-known.Archives, next.Files-known.Files
	switch {
	case known == next.Planned:
		return nil
	case archives < 1 || files < archives || next.Bytes < known.Bytes:
		return fmt.Errorf("the plan of prefix %q goes from %d archives, %d files and %d bytes to %d, %d and %d", next.Prefix,
			known.Archives, known.Files, known.Bytes, next.Archives, next.Files, next.Bytes)
	}
	return nil
}
