package coordination

import (
	"slices"
	"sort"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/coordination/schedule"
)

// worker is one worker, as each of the packages below knows it, and what it last said.
type worker struct {
	id       protocol.WorkerID
	transfer *transfer
	lease    lease.Ledger
	share    fairshare.Worker
	work     *schedule.Worker
	// cells are the worker's prefixes, by lane index; one stands as long as the worker.
	cells []*cell

	given, told int // requests it can have in flight: by AddWorker, by its report; 0 unknown
	blocked     bool
	draining    bool
	removing    bool // gone from the API, perhaps not yet dead
	drained     bool

	round  workerRound
	checks int64 // reports checked
}

// cell is one worker's part of one lane.
type cell struct {
	lane   *lane
	worker *worker
	share  fairshare.Part
	hand   *schedule.Hand

	// entitled: a grant has named the lane. What else the worker counts there is not
	// believed.
	entitled bool

	counters protocol.PrefixCounters
	rates    congestion.Rates // over the last interval
	round    cellRound
	useful   float64 // slots of a slow worker that do not wait for it; 0 while it is not slow
	checked  int64   // the last of the worker's checks that met it
}

// cell finds the worker's part of a lane, or nil.
func (w *worker) cell(l *lane) *cell {
	if i, ok := w.find(l); ok {
		return w.cells[i]
	}
	return nil
}

// ensure finds or makes the worker's part of a lane.
func (w *worker) ensure(l *lane) *cell {
	i, ok := w.find(l)
	if !ok {
		c := &cell{lane: l, worker: w, hand: w.work.Join(l.work)}
		c.share = fairshare.Part{Prefix: &l.share, Worker: &w.share, Demand: fairshare.Unlimited}
		w.cells = slices.Insert(w.cells, i, c)
		w.share.Insert(i, &c.share)
	}
	return w.cells[i]
}

func (w *worker) find(l *lane) (int, bool) {
	i := sort.Search(len(w.cells), func(i int) bool { return w.cells[i].lane.index >= l.index })
	return i, i < len(w.cells) && w.cells[i].lane == l
}

// capacity is the most requests the worker can have in flight.
func (w *worker) capacity() int {
	switch {
	case w.told == 0:
		return w.given
	case w.given == 0:
		return w.told
	}
	return min(w.told, w.given)
}

// leaving tells that the worker shall end.
func (w *worker) leaving() bool { return w.draining || w.removing || w.transfer.removed }

// ready tells that the worker can be given work.
func (w *worker) ready(now time.Time) bool {
	return !w.leaving() && !w.drained && w.live(now) && !w.silent(now)
}

// release gives the worker's archives back to their queues. Those of a worker
// that ended in good order have lost no attempt.
func (w *worker) release(orderly bool) {
	w.work.Grant = w.lease.Grant().ID()
	w.work.Release(orderly)
	for _, c := range w.cells {
		c.share.Window, c.share.Target, c.share.Rate = 0, 0, 0
	}
}
