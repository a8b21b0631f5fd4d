package sim

import "time"

// leaseDrift is the part of a lease's duration that a worker leaves unused, as
// internal/worker does: its clock may run slow.
const leaseDrift = 100

// lease is a worker's view of how long its grant holds, as in internal/worker:
// from when it sent the report that the grant acknowledges. Times are by the
// worker's clock.
type lease struct {
	started     time.Duration
	first, last int64 // sequences of the reports of this process
	sent        []sentReport
	acked       int64
	since       time.Duration
	duration    time.Duration
}

type sentReport struct {
	sequence int64
	at       time.Duration
}

func newLease(now time.Duration, after int64) lease {
	return lease{started: now, first: after + 1, last: after}
}

func (l *lease) send(now time.Duration) int64 {
	l.last++
	l.sent = append(l.sent, sentReport{l.last, now})
	for len(l.sent) > 1 && l.duration > 0 && now-l.sent[0].at > l.duration {
		l.sent = l.sent[1:]
	}
	return l.last
}

func (l *lease) acknowledge(sequence int64, duration time.Duration) {
	l.duration = duration - duration/leaseDrift
	if sequence < l.first || sequence > l.last {
		return
	}
	l.acked = max(l.acked, sequence)
	for len(l.sent) > 0 && l.sent[0].sequence <= sequence {
		l.since = l.sent[0].at
		l.sent = l.sent[1:]
	}
}

// end is when the lease ends. One that never began ends a duration after the
// process did begin.
func (l *lease) end() time.Duration {
	if l.acked > 0 {
		return l.since + l.duration
	}
	return l.started + l.duration
}

func (l *lease) held(now time.Duration) bool    { return l.acked > 0 && now < l.end() }
func (l *lease) expired(now time.Duration) bool { return now >= l.end() }
