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
	served   time.Time // when an archive was last taken, or none was queued
	held     map[int64]*holding

	done, failed, skipped Tally
	failedArchives        int64
	failures              []FailedArchive

	group   *group
	active  bool // may hold a window
	window  int  // allocated by the last tick
	sharing int  // workers with a window, in this tick
	pace    pace
	weight  laneWeight
	share   laneShare
}

// archive is one queued archive.
type archive struct {
	number   int64
	priority int
	size     int64
	files    int64
	attempts int // workers that had it
	moves    int // of these, the ones that gave it back before they began
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

// archiveQueue is a heap: higher priority first, then lower number.
type archiveQueue []archive

func (q archiveQueue) before(i, j int) bool {
	if q[i].priority != q[j].priority {
		return q[i].priority > q[j].priority
	}
	return q[i].number < q[j].number
}

func (q *archiveQueue) push(a archive) {
	*q = append(*q, a)
	for child := len(*q) - 1; child > 0; {
		parent := (child - 1) / 2
		if !q.before(child, parent) {
			return
		}
		(*q)[child], (*q)[parent] = (*q)[parent], (*q)[child]
		child = parent
	}
}

// pop takes the first of a queue that is not empty.
func (q *archiveQueue) pop() archive {
	first, last := (*q)[0], len(*q)-1
	(*q)[0] = (*q)[last]
	*q = (*q)[:last]
	for parent := 0; ; {
		child := 2*parent + 1
		if child+1 < last && q.before(child+1, child) {
			child++
		}
		if child >= last || !q.before(child, parent) {
			return first
		}
		(*q)[child], (*q)[parent] = (*q)[parent], (*q)[child]
		parent = child
	}
}

// queued counts archives that no worker holds.
func (l *lane) queued() int { return len(l.queue) - l.stale }

// remaining counts archives that are not finished.
func (l *lane) remaining() int { return l.queued() + len(l.held) }

// meanSize of an archive in bytes, at least 1.
func (l *lane) meanSize() float64 { return max(1, float64(l.bytes)/max(1, float64(l.count))) }

// schedule queues an archive unless it is known already.
func (l *lane) schedule(a archive) {
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

// take removes the most urgent archive from the queue.
func (l *lane) take() (archive, bool) {
	for len(l.queue) > 0 {
		a := l.queue.pop()
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
