package coordination

import (
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// maxFailures is how many failed archives of a prefix are kept with their reason.
	maxFailures = 32
	// maxMessage is the longest message kept, in bytes.
	maxMessage = 512
)

// lane is one prefix of one transfer: its archives, and what was measured of it.
type lane struct {
	name     string
	index    int // order of registration within the transfer
	transfer *TransferScheduler

	backlog backlog
	passed  int       // archives taken in a row that were not the first in turn
	served  time.Time // when an archive was last taken, or none could be
	held    map[int64]*holding

	finished              protocol.Ranges
	done, failed, skipped protocol.Tally
	// exhausted archives used up their attempts: nobody reported what they held.
	exhausted      int64
	failedArchives int64
	failures       []protocol.FailedArchive

	member  *congestion.Member // by which its group is known
	active  bool               // may hold a window
	sharing int                // workers with a window, in this tick
	model   congestion.PrefixModel
	share   fairshare.Prefix
	drain   float64 // seconds until it is empty at its throughput; 0 unknown
}

// archive is one archive that was handed out, or waits to be.
type archive struct {
	number   int64
	size     int64
	attempts int // workers that had it
	moves    int // of these, the ones that gave it back in good order
}

// holding is an archive in the hands of a worker.
type holding struct {
	archive
	worker *worker
	// granted: a grant names it; first is the first that does. Older outcomes are of an
	// earlier attempt. It is zero for an adopted archive.
	granted bool
	first   protocol.GrantID
	// recall is the first grant that does not name it any more; zero while none was
	// written, or while it is not recalled.
	recall protocol.GrantID
}

// queued counts archives that no worker holds.
func (l *lane) queued() int { return l.backlog.count() }

// next gives the archive that is first in turn, if one can be handed out now.
func (l *lane) next() (archive, bool) { return l.backlog.peek(l.transfer.mostUnfinished()) }

func (l *lane) available() bool {
	_, ok := l.next()
	return ok
}

// remaining counts archives that are not finished.
func (l *lane) remaining() int { return l.queued() + len(l.held) }

// meanSize of an archive in bytes, at least 1.
func (l *lane) meanSize() float64 { return max(1, float64(l.backlog.meanSize())) }

// restore takes over what an earlier leader has recorded.
func (l *lane) restore(r protocol.Recorded) {
	l.finished = r.Finished.Clone()
	l.done, l.failed, l.skipped, l.exhausted = r.Done, r.Failed, r.Skipped, r.Exhausted
	l.backlog.restore(r)
}

// take removes the archive that is to be sent next: the first in turn, or
// among the last few, the longest.
func (l *lane) take() (archive, bool) {
	tail := l.queued() <= l.transfer.tail() && l.passed < maxTail
	a, first, ok := l.backlog.take(l.transfer.mostUnfinished(), tail)
	l.passed++
	if first {
		l.passed = 0
	}
	return a, ok
}

// putBack queues an archive that a worker gave up.
func (l *lane) putBack(a archive) { l.backlog.heap.push(a) }

// settle counts an outcome once and for all.
func (l *lane) settle(a archive, o protocol.Outcome) {
	l.end(a.number)
	l.done, l.failed, l.skipped = l.done.Plus(o.Done), l.failed.Plus(o.Failed), l.skipped.Plus(o.Skipped)
	if o.Failed.Files > 0 {
		l.blame(a.number, o.Reason, o.Message)
	}
}

// exhaust counts an archive as failed after its last attempt. How many files it holds
// is known to the inventory only: the plan's residual tells, once all others have ended.
func (l *lane) exhaust(a archive, reason, message string) {
	l.end(a.number)
	l.exhausted++
	l.blame(a.number, reason, message)
}

func (l *lane) end(number int64) {
	l.finished.Add(number)
	l.backlog.ended++
}

func (l *lane) blame(number int64, reason, message string) {
	l.failedArchives++
	if len(l.failures) < maxFailures {
		l.failures = append(l.failures, protocol.FailedArchive{Number: number, Reason: reason, Message: protocol.Truncate(message, maxMessage)})
	}
}

// residual is what is planned and not counted yet.
func (l *lane) residual() protocol.Tally {
	planned, ended := l.backlog.planned, l.done.Plus(l.failed).Plus(l.skipped)
	return protocol.Tally{Files: planned.Files - ended.Files, Bytes: planned.Bytes - ended.Bytes}
}

// fits tells that an outcome counts no more than what is left of the plan.
func (l *lane) fits(o protocol.Outcome) bool {
	all, left := o.Done.Plus(o.Failed).Plus(o.Skipped), l.residual()
	return all.Files <= left.Files && all.Bytes <= left.Bytes
}
