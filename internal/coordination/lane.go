package coordination

import (
	"strings"
	"time"
)

// lane is one prefix of one transfer: its archives, and what was measured of it.
type lane struct {
	name     string
	index    int // order of registration within the transfer
	transfer *TransferScheduler
	path     string
	expected float64 // bytes per second; 0 unknown

	known    Ranges // ever queued
	finished Ranges
	queue    archiveQueue
	stale    int // entries of queue that finished since they were queued
	count    int64
	bytes    int64     // estimated, of all that were ever queued
	passed   int       // archives taken in a row that were not the first in turn
	served   time.Time // when an archive was last taken, or none was queued
	held     map[int64]*holding

	done, failed, skipped Tally
	failedArchives        int64
	failures              []FailedArchive

	group   *group
	signal  Signal // of the last round
	fate    fate
	slots   int       // that its rate can use, in this tick
	active  bool      // may hold a window
	window  int       // allocated by the last tick
	since   time.Time // of its last change between some slots and none
	sharing int       // workers with a window, in this tick
	pace    pace
	weight  laneWeight
	share   laneShare
	drain   float64 // seconds until it is empty at its throughput; 0 unknown
}

// archive is one queued archive.
type archive struct {
	number   int64
	priority int
	size     int64
	files    int64
	attempts int // workers that had it
	moves    int // of these, the ones that gave it back in good order
}

// holding is an archive in the hands of a worker.
type holding struct {
	archive
	worker *worker
	// granted: a grant names it; epoch and sequence are of the first that does.
	// Older outcomes are of an earlier attempt. Both are 0 for an adopted archive.
	granted         bool
	epoch, sequence int64
	// recall is the first grant that does not name it any more; zero while none was
	// written, or while it is not recalled.
	recall fence
}

// queued counts archives that no worker holds.
func (l *lane) queued() int { return len(l.queue) - l.stale }

// remaining counts archives that are not finished.
func (l *lane) remaining() int { return l.queued() + len(l.held) }

// meanSize of an archive in bytes, at least 1.
func (l *lane) meanSize() float64 { return max(1, float64(l.bytes)/max(1, float64(l.count))) }

// schedule queues an archive unless it is known already.
func (l *lane) schedule(a archive) {
	a.priority = min(max(a.priority, -maxPriority), maxPriority)
	if l.finished.Contains(a.number) {
		return
	}
	if h := l.held[a.number]; h != nil {
		h.priority, h.size, h.files = a.priority, a.size, a.files
		l.known.Add(a.number)
		return
	}
	if l.known.Add(a.number) {
		l.count++
		l.bytes = saturate(l.bytes, a.size)
		l.queue.push(a)
	}
}

// finish takes over archives that ended before.
func (l *lane) finish(numbers Ranges) {
	l.finished.Merge(numbers)
	for n, h := range l.held {
		if l.finished.Contains(n) {
			h.drop(l)
		}
	}
	l.stale = 0
	for _, a := range l.queue {
		if l.finished.Contains(a.number) {
			l.stale++
		}
	}
}

// take removes the archive that is to be sent next: the most urgent one, or
// among the last few, the longest.
func (l *lane) take() (archive, bool) {
	for len(l.queue) > 0 {
		next := 0
		if len(l.queue) <= l.transfer.tail() && l.passed < maxTail {
			next = l.queue.longest()
		}
		l.passed++
		if next == 0 {
			l.passed = 0
		}
		a := l.queue.remove(next)
		if !l.finished.Contains(a.number) {
			return a, true
		}
		l.stale--
	}
	return archive{}, false
}

// putBack queues an archive that a worker gave up.
func (l *lane) putBack(a archive) {
	l.known.Add(a.number)
	l.queue.push(a)
}

// settle counts an outcome once and for all.
func (l *lane) settle(a archive, o Outcome) {
	l.finished.Add(a.number)
	l.done.add(o.Done)
	l.failed.add(o.Failed)
	l.skipped.add(o.Skipped)
	if o.Failed.Files > 0 {
		l.blame(a.number, o.Reason, o.Message)
	}
}

// exhaust counts an archive as failed after its last attempt.
func (l *lane) exhaust(a archive, reason, message string) {
	l.finished.Add(a.number)
	l.failed.add(Tally{Files: a.files, Bytes: a.size})
	l.blame(a.number, reason, message)
}

func (l *lane) blame(number int64, reason, message string) {
	l.failedArchives++
	if len(l.failures) < maxFailures {
		l.failures = append(l.failures, FailedArchive{number, reason, truncate(message, maxMessage)})
	}
}

func (t *Tally) add(other Tally) {
	t.Files = saturate(t.Files, other.Files)
	t.Bytes = saturate(t.Bytes, other.Bytes)
}

// saturate adds counts that are not negative.
func saturate(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return maxNumber
}

func truncate(text string, length int) string {
	if len(text) <= length {
		return text
	}
	return strings.ToValidUTF8(text[:length], "")
}
