package schedule

import (
	"math"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Result is how an outcome was counted.
type Result int

// The results.
const (
	// Ignored: the outcome does not count.
	Ignored Result = iota
	// Retried: the archive waits for another attempt, or has used up the last.
	Retried
	// Finished: the archive has ended.
	Finished
)

// Finish records how an archive ended. Only the outcome of the worker that holds it counts,
// or of one that lost it with its lease and completed it nevertheless.
func (w *Worker) Finish(r protocol.Report, o protocol.Outcome) Result {
	l := w.transfer.byName[o.Archive.Prefix]
	if l == nil || o.Archive.Transfer != w.transfer.id || l.finished.Contains(o.Archive.Number) {
		return Ignored
	}
	h := l.held[o.Archive.Number]
	if h == nil && w.on(l).takeReserved(o.Archive.Number) {
		return l.conclude(archive{number: o.Archive.Number, size: l.backlog.meanSize(), attempts: 1}, o)
	}
	if h == nil || h.worker != w {
		return w.finishLate(l, h, o)
	}
	if r.ActsOn().Before(h.first) {
		return Ignored // of an earlier attempt by the same worker
	}
	h.drop(l)
	return l.conclude(h.archive, o)
}

// conclude takes in how an archive ended that nobody holds any more.
func (l *Prefix) conclude(a archive, o protocol.Outcome) Result {
	switch {
	case o.Retry:
		l.retry(a, o.Reason, o.Message)
		return Retried
	case !l.fits(o):
		l.retry(a, reasonCountsDiffer, "a worker counted more files or bytes than the inventory lists")
		return Ignored
	}
	l.settle(a, o)
	return Finished
}

// finishLate counts an archive that a worker completed after it had gone back
// to the queue, perhaps to another worker, which is then told to leave it.
func (w *Worker) finishLate(l *Prefix, h *holding, o protocol.Outcome) Result {
	if !w.hasLost(l, o.Archive.Number) || o.Retry || o.Failed.Files > 0 || !l.fits(o) {
		return Ignored
	}
	a := archive{number: o.Archive.Number}
	if h != nil {
		a = h.archive
		h.drop(l)
	} else if !l.backlog.queue.drop(a.number) && !l.backlog.dropBack(a.number) {
		return Ignored // it is in somebody's reserve by now
	}
	l.settle(a, o)
	return Finished
}

// hasLost tells that the worker had an archive that others may have been given meanwhile.
func (w *Worker) hasLost(l *Prefix, number int64) bool {
	_, lost := w.lost[lostArchive{l, number}]
	c := w.on(l)
	return lost || c != nil && slices.ContainsFunc(c.lost, func(r lostRun) bool { return r.first <= number && number <= r.last })
}

// MeasureCompletionRate smooths how many archives the worker sends whole per second, over about
// a base interval.
func (w *Worker) MeasureCompletionRate(ended int, elapsed time.Duration, first bool) {
	if seconds := elapsed.Seconds(); !first && seconds > 0 {
		weight := 1 - math.Exp(-seconds/w.transfer.BaseInterval.Seconds())
		w.completionRate += weight * (float64(ended)/seconds - w.completionRate)
	}
}

// Starved tells whether the worker has run out of archives, or ends most of them before it
// is given more at the base interval.
func (w *Worker) Starved() bool {
	return w.starved || w.handed > 0 && w.completionRate*w.transfer.BaseInterval.Seconds() > float64(w.handed)/2
}

// MeasureRest notes whether the worker, which had too little to send if limited, has
// ended the most of what it was handed.
func (w *Worker) MeasureRest(limited bool) {
	w.starved = limited && w.handed > 0 && 2*w.held <= w.handed
}
