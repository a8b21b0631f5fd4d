package schedule

import (
	"errors"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Prefix is one prefix of one transfer: its archives and their outcomes. The caller sets the
// exported fields at each tick.
type Prefix struct {
	name     string
	index    int // order of registration within the transfer
	transfer *TransferScheduler

	// Latency of the prefix's requests at present and BaseLatency, the smallest, are in
	// seconds, Bandwidth in bytes per second; 0 while that is unknown. Failures is the part
	// of the requests that did not succeed.
	Latency, BaseLatency, Bandwidth, Failures float64

	backlog backlog
	passed  int       // archives taken in a row that were not the first in turn
	served  time.Time // when an archive was last taken, or none could be
	held    map[int64]*holding

	finished              protocol.Ranges
	done, failed, skipped protocol.Tally
	// exhausted archives used up their attempts: no outcome of their files was reported.
	exhausted      int64
	failedArchives int64
	failures       []protocol.FailedArchive

	active  bool    // may hold a window
	sharing int     // workers with a window, in this tick
	drain   float64 // seconds until it is empty at its throughput; 0 unknown
}

// Name of the prefix within its transfer.
func (l *Prefix) Name() string { return l.name }

// Index is its place in the order of registration.
func (l *Prefix) Index() int { return l.index }

// Active tells that the prefix may hold a window.
func (l *Prefix) Active() bool { return l.active }

// Planned is what the inventory lists of it; it may grow.
func (l *Prefix) Planned() protocol.Planned { return l.backlog.planned }

// Plan takes over what the inventory lists now, which was checked.
func (l *Prefix) Plan(p protocol.Planned) { l.backlog.plan(p) }

// Holder returns the worker that holds an archive, and the number of its attempt; no worker
// and 0 if nobody holds it.
func (l *Prefix) Holder(number int64) (id protocol.WorkerID, attempt int) {
	if h := l.held[number]; h != nil {
		return h.worker.id, h.attempts
	}
	return "", 0
}

// Sharing is how many workers have a window on it, in this tick.
func (l *Prefix) Sharing() int { return l.sharing }

// Schedule queues one archive with a size of its own, where the prefix is not planned as
// a whole.
func (l *Prefix) Schedule(u protocol.Upload) error {
	if l.backlog.limit > 0 {
		return errors.New("the prefix is planned as a whole")
	}
	if h := l.held[u.Archive.Number]; !l.backlog.schedule(u) && h != nil {
		h.size = u.Bytes
	}
	return nil
}

// Progress is how far the prefix is, without what is measured of it. Once the plan is
// final, what archives that used up their attempts held is known when all others have ended.
func (l *Prefix) Progress(final bool) protocol.PrefixProgress {
	p := protocol.PrefixProgress{
		Prefix: l.name, Planned: l.backlog.planned,
		Queued: int64(l.Queued()) + l.backlog.reserved, Assigned: int64(len(l.held)), Finished: l.finished.Clone(),
		Done: l.done, Failed: l.failed, Skipped: l.skipped, Exhausted: l.exhausted,
		FailedArchives: l.failedArchives, Failures: slices.Clone(l.failures),
	}
	if left := l.residual(); final && l.Remaining() == 0 && l.exhausted > 0 && left.Files >= 0 && left.Bytes >= 0 {
		p.Failed = p.Failed.Plus(left)
	}
	return p
}

// archive is one archive that was handed out, or waits to be.
type archive struct {
	number   int64
	size     int64
	attempts int // workers that had it
	moves    int // of these, the ones that gave it back in good order
}

// holding is an archive that a worker holds.
type holding struct {
	archive
	worker *Worker
	// granted: a grant names it; first is the first that does. Older outcomes are of an
	// earlier attempt. It is zero for an adopted archive.
	granted bool
	first   protocol.GrantID
	// recall is the first grant that does not name it any more; zero while none was
	// written, or while it is not recalled.
	recall protocol.GrantID
}

// Queued counts archives that no worker holds.
func (l *Prefix) Queued() int { return l.backlog.count() }

// next gives the archive that is first in turn, if one can be handed out now.
func (l *Prefix) next() (archive, bool) { return l.backlog.peek(l.admits()) }

func (l *Prefix) available() bool {
	_, ok := l.next()
	return ok
}

// Remaining counts archives that are not finished.
func (l *Prefix) Remaining() int { return l.Queued() + int(l.backlog.reserved) + len(l.held) }

// meanSize of an archive in bytes, at least 1.
func (l *Prefix) meanSize() float64 { return max(1, float64(l.backlog.meanSize())) }

// Restore takes over what an earlier leader has recorded.
func (l *Prefix) Restore(r protocol.Recorded) {
	l.finished = r.Finished.Clone()
	l.done, l.failed, l.skipped, l.exhausted = r.Done, r.Failed, r.Skipped, r.Exhausted
	l.backlog.restore(r)
}

// take removes the archive that is to be sent next: the first in turn, or
// among the last few, the longest.
func (l *Prefix) take() (archive, bool) {
	tail := l.Queued() <= l.transfer.tail() && l.passed < maxTail
	before := l.backlog.underWay()
	a, first, ok := l.backlog.take(l.admits(), tail)
	l.transfer.record.free -= archiveBits * (l.backlog.underWay() - before)
	l.passed++
	if first {
		l.passed = 0
	}
	return a, ok
}

// putBack queues an archive that a worker gave up.
func (l *Prefix) putBack(a archive) { l.backlog.queue.push(a) }

// settle counts an outcome once and for all.
func (l *Prefix) settle(a archive, o protocol.Outcome) {
	l.end(a.number)
	l.done, l.failed, l.skipped = l.done.Plus(o.Done), l.failed.Plus(o.Failed), l.skipped.Plus(o.Skipped)
	if o.Failed.Files > 0 {
		l.recordFailure(a.number, o.Reason, o.Message)
	}
}

// exhaust counts an archive as failed after its last attempt. How many files it holds
// is known to the inventory only: the plan's residual tells, once all others have ended.
func (l *Prefix) exhaust(a archive, reason, message string) {
	l.end(a.number)
	l.exhausted++
	l.recordFailure(a.number, reason, message)
}

func (l *Prefix) end(number int64) {
	l.finished.Add(number)
	l.backlog.ended++
}

func (l *Prefix) recordFailure(number int64, reason, message string) {
	l.failedArchives++
	if len(l.failures) < protocol.MaxFailures {
		l.failures = append(l.failures, protocol.FailedArchive{Number: number, Reason: reason, Message: protocol.Truncate(message, protocol.MaxMessage)})
	}
}

// residual is what is planned and not counted yet.
func (l *Prefix) residual() protocol.Tally {
	planned, ended := l.backlog.planned, l.done.Plus(l.failed).Plus(l.skipped)
	return protocol.Tally{Files: planned.Files - ended.Files, Bytes: planned.Bytes - ended.Bytes}
}

// fits tells that an outcome counts no more than what is left of the plan.
func (l *Prefix) fits(o protocol.Outcome) bool {
	all, left := o.Done.Plus(o.Failed).Plus(o.Skipped), l.residual()
	return all.Files <= left.Files && all.Bytes <= left.Bytes
}
