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
	// prefixes are the worker's prefixes, by the index of the prefix; one stands as long as the worker.
	prefixes []*workerPrefix

	given, told int // requests it can have in flight: by AddWorker, by its report; 0 unknown
	blocked     bool
	draining    bool
	removing    bool // gone from the API, perhaps not yet dead
	drained     bool
	// halved: it was silent, and half of its windows were taken from it.
	halved bool
	// active: it sends, or is to; listens: it was seen to report as often as those do. In a small
	// fleet all do.
	active, listens bool
	// awaited: it was never heard, and is to be active once it is.
	awaited bool
	due     bool // its grant may be written again, in this tick

	pace protocol.Pace // to be granted
	used usage

	round  workerRound
	checks int64 // reports checked
}

// workerPrefix is one worker's part of one prefix.
type workerPrefix struct {
	prefix *prefix
	worker *worker
	share  fairshare.Part
	work   *schedule.Holdings

	// entitled: a grant has named the prefix. What else the worker counts there is not
	// believed.
	entitled bool
	// judgment tells which of its requests the last decision on the prefix allowed.
	judgment lease.Judgment

	counters protocol.PrefixCounters
	rates    congestion.Rates // over the last interval
	round    prefixRound
	useful   float64 // slots of a slow worker that do not wait for it; 0 while it is not slow
	checked  int64   // the last of the worker's checks that met it
}

// ensure finds or makes the worker's part of a prefix.
func (w *worker) ensure(l *prefix) *workerPrefix {
	i, ok := w.find(l)
	if !ok {
		c := &workerPrefix{prefix: l, worker: w, work: w.work.Join(l.work)}
		c.share = fairshare.Part{Prefix: &l.share, Worker: &w.share, Demand: fairshare.Unlimited}
		w.prefixes = slices.Insert(w.prefixes, i, c)
		w.share.Insert(i, &c.share)
	}
	return w.prefixes[i]
}

func (w *worker) find(l *prefix) (int, bool) {
	i := sort.Search(len(w.prefixes), func(i int) bool { return w.prefixes[i].prefix.index >= l.index })
	return i, i < len(w.prefixes) && w.prefixes[i].prefix == l
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
	t := w.terms()
	return !w.leaving() && !w.drained && w.lease.Live(now, t) && !w.lease.Silent(now, t)
}

// release gives the worker's archives back to their queues. Those of a worker
// that ended in good order have lost no attempt.
func (w *worker) release(orderly bool) {
	w.work.Grant = w.lease.Grant().ID()
	w.work.Release(orderly)
	for _, c := range w.prefixes {
		c.share.Window, c.share.Target, c.share.Rate = 0, 0, 0
	}
}
