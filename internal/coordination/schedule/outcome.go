package schedule

import (
	"math"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Result is what an outcome came to.
type Result int

// The results.
const (
	// Ignored: the outcome counts for nothing.
	Ignored Result = iota
	// Retried: the archive waits for another attempt, or has used up the last.
	Retried
	// Finished: the archive has ended.
	Finished
)

// Finish takes in how an archive ended. Only the worker that holds it counts;
// or one that lost it with its lease and completed it all the same.
func (w *Worker) Finish(r protocol.Report, o protocol.Outcome) Result {
	l := w.transfer.byName[o.Archive.Prefix]
	if l == nil || o.Archive.Transfer != w.transfer.id || l.finished.Contains(o.Archive.Number) {
		return Ignored
	}
	h := l.held[o.Archive.Number]
	if h == nil || h.worker != w {
		return w.finishLate(l, h, o)
	}
	if r.ActsOn().Before(h.first) {
		return Ignored // of an earlier attempt by the same worker
	}
	h.drop(l)
	switch {
	case o.Retry:
		l.retry(h.archive, o.Reason, o.Message)
		return Retried
	case !l.fits(o):
		l.retry(h.archive, reasonCountsDiffer, "a worker counted more files or bytes than the inventory lists")
		return Ignored
	}
	l.settle(h.archive, o)
	return Finished
}

// finishLate counts an archive that a worker completed after it had gone back
// to the queue, perhaps to another worker, which is then told to leave it.
func (w *Worker) finishLate(l *Prefix, h *holding, o protocol.Outcome) Result {
	if _, lost := w.lost[lostArchive{l, o.Archive.Number}]; !lost || o.Retry || o.Failed.Files > 0 || !l.fits(o) {
		return Ignored
	}
	a := archive{number: o.Archive.Number}
	if h != nil {
		a = h.archive
		h.drop(l)
	} else {
		l.backlog.heap.drop(a.number)
	}
	l.settle(a, o)
	return Finished
}

// MeasureCompletionRate smooths how many archives the worker sends whole per second, over about
// a base interval.
func (w *Worker) MeasureCompletionRate(ended int, elapsed time.Duration, first bool) {
	if seconds := elapsed.Seconds(); !first && seconds > 0 {
		weight := 1 - math.Exp(-seconds/w.transfer.BaseInterval.Seconds())
		w.completionRate += weight * (float64(ended)/seconds - w.completionRate)
	}
}

// Starved tells that the worker has run out of what it was handed, or ends most of it
// before it is given more at the base interval.
func (w *Worker) Starved() bool {
	return w.starved || w.handed > 0 && w.completionRate*w.transfer.BaseInterval.Seconds() > float64(w.handed)/2
}

// MeasureRest notes whether the worker, which had too little to send if limited, has
// ended the most of what it was handed.
func (w *Worker) MeasureRest(limited bool) {
	w.starved = limited && w.handed > 0 && 2*w.held <= w.handed
}
