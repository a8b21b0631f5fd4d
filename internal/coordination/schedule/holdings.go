package schedule

import (
	"slices"
	"sort"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Worker is one worker, what it holds and how fast it sends. The caller sets the exported
// fields at each tick.
type Worker struct {
	id       protocol.WorkerID
	transfer *TransferScheduler
	holdings []*Holdings // by the index of their prefix

	// Capacity is what the worker can have in flight. Ready: it can be given work. Missed:
	// a report is overdue. Blocked: it can do nothing for now.
	Capacity               int
	Ready, Missed, Blocked bool
	// Grant names its newest grant.
	Grant protocol.GrantID

	held int     // archives of all prefixes
	load float64 // bytes of these that are still to be sent, in this tick
	// lost are the archives that others may have been given meanwhile, each with the
	// last grant that named it: until the worker acts on a later one it may yet
	// finish them.
	lost map[lostArchive]protocol.GrantID

	sent           int64   // bytes that the report being taken in tells of
	speed          float64 // bytes per second while it had enough to send
	tried          bool    // it had, at least once
	serves         int     // prefixes on which it has a window, in this tick
	granting       int     // the sum of these windows
	completionRate float64 // archives ended per second
	handed         int     // archives it held when it was last given some
	starved        bool    // it has sent the most of them, and sends too little
}

type lostArchive struct {
	prefix *Prefix
	number int64
}

// Holdings is what one worker holds of one prefix. The caller sets the exported fields, Sent
// with each report and the others at each tick.
type Holdings struct {
	prefix *Prefix
	worker *Worker

	// Window in requests in flight and Target, what it should be; MaxInFlight were in flight.
	Window, Target, MaxInFlight int
	// Sent counts the bytes that the worker's process has sent there.
	Sent int64

	held []*holding
	// recalled archives are no longer granted; the worker has yet to give them back.
	recalled []*holding
	// reserve are the archives that it may go on with while nobody leads, returned those that
	// are no longer; coasted: it may have begun some.
	reserve  protocol.Ranges
	returned []returned
	coasted  bool
	lost     []lostRun
	settled  int64   // Sent at the last outcome
	jitter   float64 // of its score
}

// Join makes the worker's holdings of a prefix.
func (w *Worker) Join(l *Prefix) *Holdings {
	i, ok := w.find(l)
	if !ok {
		w.holdings = slices.Insert(w.holdings, i, &Holdings{prefix: l, worker: w, jitter: jitter(w.id, l.name)})
	}
	return w.holdings[i]
}

// on finds the worker's holdings of a prefix, or nil.
func (w *Worker) on(l *Prefix) *Holdings {
	if i, ok := w.find(l); ok {
		return w.holdings[i]
	}
	return nil
}

func (w *Worker) find(l *Prefix) (int, bool) {
	i := sort.Search(len(w.holdings), func(i int) bool { return w.holdings[i].prefix.index >= l.index })
	return i, i < len(w.holdings) && w.holdings[i].prefix == l
}

// Held counts the archives that the worker holds in all.
func (w *Worker) Held() int { return w.held }

// recalled counts those that it has yet to give back.
func (w *Worker) recalled() int {
	sum := 0
	for _, c := range w.holdings {
		sum += len(c.recalled)
	}
	return sum
}

// Held counts those of one prefix.
func (c *Holdings) Held() int { return len(c.held) }

// hold adds an archive to what the worker holds.
func (w *Worker) hold(c *Holdings, a archive) {
	a.attempts++
	h := w.transfer.holding()
	*h = holding{archive: a, worker: w}
	c.held = append(c.held, h)
	c.prefix.held[a.number] = h
	w.held++
	w.load += c.unsent(len(c.held)-1, a.size)
}

// drop takes an archive from the worker that holds it. The holding keeps what it says
// until the next archive is held.
func (h *holding) drop(l *Prefix) {
	c := h.worker.on(l)
	delete(l.held, h.number)
	held := len(c.held)
	c.held = slices.DeleteFunc(c.held, func(x *holding) bool { return x == h })
	c.recalled = slices.DeleteFunc(c.recalled, func(x *holding) bool { return x == h })
	h.worker.held -= held - len(c.held)
	c.settled = c.Sent
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

// Release gives the worker's archives back to their queues. Those of a worker
// that ended in good order have lost no attempt, but are numbered as another one: the
// next worker looks for what this one has sent of them.
func (w *Worker) Release(orderly bool) {
	for _, c := range w.holdings {
		for _, h := range append(c.held, c.recalled...) {
			delete(c.prefix.held, h.number)
			w.giveBack(c.prefix, h, orderly)
		}
		c.held, c.recalled = nil, nil
		if !orderly {
			w.loseReserve(c)
		}
		c.releaseReserve()
		c.Window, c.Target = 0, 0
	}
	w.held = 0
	w.ForgetCompletionRate()
}

// ForgetCompletionRate forgets how fast the worker ends archives.
func (w *Worker) ForgetCompletionRate() { w.completionRate, w.handed, w.starved = 0, 0, false }

func (w *Worker) giveBack(l *Prefix, h *holding, orderly bool) {
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
func (w *Worker) lose(l *Prefix, h *holding) {
	if w.lost == nil {
		w.lost = map[lostArchive]protocol.GrantID{}
	}
	w.lost[lostArchive{l, h.number}] = w.Grant
}

// loseReserve remembers the same of its reserve.
func (w *Worker) loseReserve(c *Holdings) {
	for _, r := range append(c.returned, returned{numbers: c.reserve}) {
		for first, last := range r.numbers.Runs() {
			c.lost = append(c.lost, lostRun{first, last, w.Grant})
		}
	}
}

// lostRun are consecutive archives of a reserve that the worker has lost, with the last grant
// that may have named it.
type lostRun struct {
	first, last int64
	named       protocol.GrantID
}

// Reasons that the coordinator itself gives for a failed archive.
const (
	reasonWorkerLost   = "WorkerLost"
	reasonCountsDiffer = "CountsDiffer"
)

// retry queues an archive again, or fails it after its last attempt.
func (l *Prefix) retry(a archive, reason, message string) {
	if a.attempts-a.moves < l.transfer.Config.MaxAttempts {
		l.putBack(a)
		return
	}
	l.exhaust(a, reason, message)
}
