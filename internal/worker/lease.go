package worker

import "time"

// driftDivisor bounds how much slower the worker's clock may run than the
// manager's: a lease ends a hundredth early.
const driftDivisor = 100

// phase says what a lease lets the worker do.
type phase int

const (
	// phasePending: no report of this process has been acknowledged, so the grant
	// may be older than the process and nothing may be sent on it yet.
	phasePending phase = iota
	// phaseHeld: the grant holds.
	phaseHeld
	// phaseExpired: only the floor is left.
	phaseExpired
)

// lease knows until when a grant holds. It counts from the moment the worker
// sent the report that the manager acknowledged, so it ends before the manager
// believes that it has ended, however long messages take.
type lease struct {
	started time.Time
	// first and last bound the sequences of the reports this process has sent; an
	// acknowledgement outside belongs to a process before it.
	first, last int64
	// sent holds, oldest first, the reports that could still prolong the lease.
	sent  []sentReport
	acked int64
	// since is when the acknowledged report was sent, duration that of the newest
	// grant, less the drift.
	since    time.Time
	duration time.Duration
}

type sentReport struct {
	sequence int64
	at       time.Time
}

// newLease returns the lease of a process that began now, and whose reports
// follow the sequence after.
func newLease(now time.Time, after int64) lease {
	return lease{started: now, first: after + 1, last: after}
}

// send takes down that the next report leaves now, and returns its sequence.
func (l *lease) send(now time.Time) int64 {
	l.last++
	l.sent = append(l.sent, sentReport{sequence: l.last, at: now})
	// A report older than the lease is long cannot prolong it. Without this the
	// list would grow for as long as the manager is away.
	for len(l.sent) > 1 && l.duration > 0 && now.Sub(l.sent[0].at) > l.duration {
		l.sent = l.sent[1:]
	}
	return l.last
}

// acknowledge takes in a grant's acknowledgement and duration. It returns the
// sequence up to which reports of this process are acknowledged; 0 for none.
func (l *lease) acknowledge(sequence int64, duration time.Duration) int64 {
	l.duration = duration - duration/driftDivisor
	if sequence < l.first || sequence > l.last {
		return l.acked
	}
	l.acked = max(l.acked, sequence)
	for len(l.sent) > 0 && l.sent[0].sequence <= sequence {
		l.since = l.sent[0].at
		l.sent = l.sent[1:]
	}
	return l.acked
}

// phase returns what the lease allows now.
func (l *lease) phase(now time.Time) phase {
	switch {
	case !now.Before(l.end()):
		return phaseExpired
	case l.acked > 0:
		return phaseHeld
	default:
		return phasePending
	}
}

// end returns when the lease ends. One that never began ends a whole duration
// after the process did begin: by then the manager is known to be away.
func (l *lease) end() time.Time {
	if l.acked > 0 {
		return l.since.Add(l.duration)
	}
	return l.started.Add(l.duration)
}

// remaining returns how long the phase lasts if nothing is heard, and 0 when it
// lasts until something is.
func (l *lease) remaining(now time.Time) time.Duration {
	return max(0, l.end().Sub(now))
}
