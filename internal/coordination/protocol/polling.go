package protocol

import "time"

// What a worker does whatever its grant says. Workers and the simulator's share it.
const (
	// MaxFinished is how many ended archives a report can hold. A worker whose reports are not
	// acknowledged begins nothing beyond that.
	MaxFinished = 256
	// FilesAhead is how many files beyond the window are under way on a prefix, so that one is
	// open and read when a request ends.
	FilesAhead = 2
	// ArchivesAhead is how many archives of a prefix have files yet to begin: one whose files are
	// begun, and one that is fetched meanwhile.
	ArchivesAhead = 2
	// MaxTroubles is after how many failures that another attempt may get over an attempt begins no
	// more files: the destination is plainly unwell.
	MaxTroubles = 3
	// ReportSpacing is the least time between reports that are worth more than usual.
	ReportSpacing = 200 * time.Millisecond
	// FirstInterval is how often to report before a grant has said so.
	FirstInterval = 2 * time.Second
	// FirstRead is how soon a lease that is not there yet is looked for again.
	FirstRead = 200 * time.Millisecond
)

const (
	// lastRead is how seldom a lease that is not there is looked for at last: a thousand workers that
	// wait ask some 300 times a second, which leaves the API server the time to take in their leases.
	lastRead = 4 * time.Second
	// pendingRead is how soon a worker looks whether its first report has been answered, later by
	// pendingPart of the interval where that is more, and twice as late each time that it has not.
	pendingRead = 1500 * time.Millisecond
	pendingPart = 8
	// The first report into a lease that it opens is spread over openingPart of the interval, and
	// openingMost at most: a thousand workers that begin together then send 143 a second, and those that
	// are waited for are answered soon.
	openingPart = 5
	openingMost = 7 * time.Second
	// againMost bounds the pause after calls that failed or took long.
	againMost = 5 * time.Second
	// A worker rests restAfter times as long as its last read took, so that a fleet that waits for its
	// leases leaves the API server the time to take in their grants.
	restAfter = 4
	// callTimeout bounds a call to the API server, in time for the next report.
	callTimeout = 5 * time.Second
	// longestTimeout bounds the calls where reports are rare, and those before one was answered: where
	// a thousand workers begin together the last is answered late, and asking again would only make it
	// later.
	longestTimeout = 20 * time.Second
)

// Random gives a number from 0 up to below n.
type Random func(n int64) int64

// CallTimeout bounds a call of a worker whose lease has it report at an interval, 0 while that is
// not known.
func CallTimeout(interval time.Duration) time.Duration {
	if interval <= 0 {
		return longestTimeout
	}
	return min(max(callTimeout, interval/2), longestTimeout)
}

// OpeningWait is how long to wait with the first report of a lease with a report interval where the
// lease is opened by it: nothing is granted yet, so it can leave the API server to those that are
// waited for.
func OpeningWait(interval time.Duration, random Random) time.Duration {
	return time.Duration(random(int64(min(interval/openingPart, openingMost)) + 1))
}

// AfterFailure is how long after a report that failed the next is due, where the worker reports at an
// interval: one that reports rarely has no lease yet, or loses it.
func AfterFailure(interval time.Duration, random Random) time.Duration {
	return min(interval, jittered(againMost, random))
}

// Reads says when a worker reads its lease. The zero value is that of a process that has not read it.
type Reads struct{ looks, failures, pending int }

// Read is one read of a lease, and what is known after it.
type Read struct {
	Took   time.Duration
	Failed bool // the API server did not tell whether there is a lease
	// Lease: the worker knows its lease. Interval is between the reports that it asks for, and
	// Awaited that it acknowledges none of this process yet.
	Lease, Awaited bool
	Interval       time.Duration
}

// Next gives the pause between a read and the next.
func (r *Reads) Next(last Read, random Random) time.Duration {
	if r.failures++; !last.Failed {
		r.failures = 0
	}
	pause := max(r.regular(last, random), min(restAfter*last.Took, againMost))
	if r.failures > 0 {
		pause = min(pause<<min(r.failures, 10), againMost)
	}
	r.looks++
	return pause
}

// regular is the pause where the API server answers at once. Workers that began together shall not
// ask together.
func (r *Reads) regular(last Read, random Random) time.Duration {
	switch {
	case !last.Lease:
		return jittered(min(FirstRead<<min(r.looks, 10), lastRead), random)
	case last.Interval <= 0:
		return FirstRead
	}
	pause := ReadInterval(last.Interval)
	if last.Awaited && r.pending < ReadsPerReport {
		pause = min(pause, jittered(max(pendingRead, last.Interval/pendingPart)<<r.pending, random))
		r.pending++
	}
	return pause
}

// jittered is a pause of which up to half is left out.
func jittered(pause time.Duration, random Random) time.Duration {
	return pause - time.Duration(random(int64(pause/2)))
}
