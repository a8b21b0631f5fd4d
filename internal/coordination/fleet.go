package coordination

import (
	"slices"
	"sort"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// worker is one worker, what it holds and what it last said.
type worker struct {
	id       protocol.WorkerID
	transfer *TransferScheduler
	lease    lease.Ledger
	share    fairshare.Worker
	// cells are the worker's prefixes, by lane index; one stands as long as the worker.
	cells []*cell
	held  int     // archives over all cells
	load  float64 // bytes of these that are still to be sent, in this tick
	// lost are the archives that others may have been given meanwhile, each with the
	// last grant that named it: until the worker acts on a later one it may yet
	// finish them.
	lost map[lostArchive]protocol.GrantID

	sent  int64   // bytes that the report being taken in tells of
	speed float64 // bytes per second while it had enough to send
	tried bool    // it had, at least once

	given, told int // requests it can have in flight: by AddWorker, by its report; 0 unknown
	blocked     bool
	draining    bool
	removing    bool // gone from the API, perhaps not yet dead
	drained     bool

	serves   int // prefixes on which it has a window, in this tick
	granting int // the sum of these windows
	round    workerRound
	checks   int64   // reports checked
	turnover float64 // archives ended per second
	handed   int     // archives it held when it was last given some
	dry      bool    // it has sent the most of them, and sends too little
}

type lostArchive struct {
	lane   *lane
	number int64
}

// cell is one worker's part of one lane.
type cell struct {
	lane   *lane
	worker *worker
	held   []*holding
	// recalled archives are no longer granted; the worker has yet to let go of them.
	recalled []*holding
	settled  int64 // counters.Bytes at the last outcome

	// entitled: a grant has named the lane. What else the worker counts there is not
	// believed.
	entitled bool

	share fairshare.Part

	counters protocol.PrefixCounters
	rates    congestion.Rates // over the last interval
	round    cellRound
	jitter   float64 // of its score
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
		c := &cell{lane: l, worker: w, jitter: jitter(w.id, l.name)}
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

// hold takes an archive into the worker's hands.
func (w *worker) hold(c *cell, a archive) {
	a.attempts++
	h := w.transfer.holding()
	*h = holding{archive: a, worker: w}
	c.held = append(c.held, h)
	c.lane.held[a.number] = h
	w.held++
	w.load += c.unsent(len(c.held) - 1)
}

// drop takes an archive out of the hands that hold it. The holding keeps what it says
// until the next archive is held.
func (h *holding) drop(l *lane) {
	c := h.worker.cell(l)
	delete(l.held, h.number)
	held := len(c.held)
	c.held = slices.DeleteFunc(c.held, func(x *holding) bool { return x == h })
	c.recalled = slices.DeleteFunc(c.recalled, func(x *holding) bool { return x == h })
	h.worker.held -= held - len(c.held)
	c.settled = c.counters.Bytes
	h.worker.transfer.spare = append(h.worker.transfer.spare, h)
}

// holding gives one that was dropped, or a new one: archives come and go all the time.
func (t *TransferScheduler) holding() *holding {
	last := len(t.spare) - 1
	if last < 0 {
		return &holding{}
	}
	h := t.spare[last]
	t.spare = t.spare[:last]
	return h
}

// release gives the worker's archives back to their queues. Those of a worker
// that ended in good order have lost no attempt, but are numbered as another one: the
// next worker looks for what this one has sent of them.
func (w *worker) release(orderly bool) {
	for _, c := range w.cells {
		for _, h := range append(c.held, c.recalled...) {
			delete(c.lane.held, h.number)
			w.giveBack(c.lane, h, orderly)
		}
		c.held, c.recalled = nil, nil
		c.share.Window, c.share.Target, c.share.Rate = 0, 0, 0
	}
	w.held = 0
	w.forgetTurnover()
}

// forgetTurnover forgets how fast the worker ends archives.
func (w *worker) forgetTurnover() { w.turnover, w.handed, w.dry = 0, 0, false }

func (w *worker) giveBack(l *lane, h *holding, orderly bool) {
	switch {
	case !orderly:
		w.lose(l, h)
	case h.granted:
		h.moves++
	default:
		h.attempts--
	}
	l.retry(h.archive, reasonWorkerLost, "the workers that had the archive were lost")
}

// lose remembers that the worker may yet finish an archive that others may have.
func (w *worker) lose(l *lane, h *holding) {
	if w.lost == nil {
		w.lost = map[lostArchive]protocol.GrantID{}
	}
	w.lost[lostArchive{l, h.number}] = w.lease.Grant().ID()
}

// Reasons that the coordinator itself gives for a failed archive.
const (
	reasonWorkerLost   = "WorkerLost"
	reasonCountsDiffer = "CountsDiffer"
)

// retry queues an archive again, or fails it after its last attempt.
func (l *lane) retry(a archive, reason, message string) {
	if a.attempts-a.moves < l.transfer.spec.Config.MaxAttempts {
		l.putBack(a)
		return
	}
	l.exhaust(a, reason, message)
}
