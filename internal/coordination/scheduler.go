package coordination

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// TransferScheduler is one transfer's claim on the domain: its prefixes, its
// queues, its workers, and the strategy by which prefixes share its window.
type TransferScheduler struct {
	spec    protocol.Transfer
	tenant  *tenant
	lanes   []*lane
	byName  map[string]*lane
	workers []*worker // by ID
	removed bool

	planning bool
	planner  *worker
	spare    []*holding // to be used again
	offers   []offer    // scratch of refill

	terms lease.Terms // of the leases of its workers
	share fairshare.Transfer

	ready []*worker // in this tick
	free  []*worker // those of ready that can be given archives
	// outlook of this tick.
	outlook outlook
	drain   float64 // seconds until its slowest prefix is empty; 0 unknown
}

// register finds or makes a lane.
func (t *TransferScheduler) register(name string) (*lane, error) {
	if l := t.byName[name]; l != nil {
		return l, nil
	}
	if name == "" || len(name) > protocol.MaxPrefixLength {
		return nil, fmt.Errorf("register prefix of transfer %s: its name has %d bytes, must have 1 to %d",
			t.spec.ID, len(name), protocol.MaxPrefixLength)
	}
	if len(t.lanes) >= protocol.MaxPrefixes {
		return nil, fmt.Errorf("register prefix %s of transfer %s: there are %d prefixes already",
			name, t.spec.ID, protocol.MaxPrefixes)
	}
	l := &lane{name: name, index: len(t.lanes), transfer: t, held: map[int64]*holding{}}
	l.model = congestion.NewPrefixModel()
	l.share = fairshare.Prefix{Transfer: &t.share, Index: l.index, Slots: fairshare.Unlimited}
	t.lanes = append(t.lanes, l)
	t.share.Prefixes = append(t.share.Prefixes, &l.share)
	t.byName[name] = l
	return l, nil
}

// coordinated tells that the transfer's windows are controlled and charged.
func (t *TransferScheduler) coordinated() bool { return !t.spec.Config.Uncoordinated }

// activate chooses the lanes that may hold a window: those that did go on until
// nothing remains of them, then the waiting ones follow in their order.
func (t *TransferScheduler) activate() {
	active := 0
	for _, l := range t.lanes {
		l.active = l.active && l.remaining() > 0 || len(l.held) > 0
		if l.active {
			active++
		}
	}
	for _, l := range t.lanes {
		if active < t.spec.Config.MaxActivePrefixes && !l.active && l.queued() > 0 {
			l.active = true
			active++
		}
	}
}

// choosePlanner keeps one live worker on the planning duty. A planner that is
// blocked keeps it: what blocks it, most likely blocks every worker.
func (t *TransferScheduler) choosePlanner(now time.Time) {
	fit := func(w *worker) bool { return w.live(now) && !w.leaving() && !w.drained }
	needed := t.planning && !t.spec.Suspended
	if !needed || t.planner != nil && !fit(t.planner) {
		t.planner = nil
	}
	if !needed || t.planner != nil {
		return
	}
	if i := slices.IndexFunc(t.workers, func(w *worker) bool { return w.lease.MayPlan() }); i >= 0 {
		// Two must not plan at once; this one may, so it can as well go on.
		if w := t.workers[i]; fit(w) {
			t.planner = w
		}
		return
	}
	for _, w := range t.workers {
		if fit(w) && !w.blocked {
			t.planner = w
			return
		}
	}
}

// add and drop keep the workers ordered by ID.
func (t *TransferScheduler) add(w *worker) {
	i, _ := slices.BinarySearchFunc(t.workers, w.id, compareWorker)
	t.workers = slices.Insert(t.workers, i, w)
}

func (t *TransferScheduler) drop(w *worker) {
	if i, ok := slices.BinarySearchFunc(t.workers, w.id, compareWorker); ok {
		t.workers = slices.Delete(t.workers, i, i+1)
	}
	if t.planner == w {
		t.planner = nil
	}
}

func compareWorker(w *worker, id protocol.WorkerID) int { return cmp.Compare(w.id, id) }
