package lease

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// driftDivisor is of how many parts of a lease the worker leaves one unused: its clock
// may run slower than the manager's by the drift bound.
const driftDivisor = 1 / protocol.DriftBound

// widenDivisor is of how many parts of a lease a worker that coasts waits for one more before it uses
// its coasting window: the drift of both clocks, and what passes between two looks of the manager.
const widenDivisor = 4

// Phase says what a lease lets the worker do.
type Phase int

const (
	// Pending: no report of this process has been acknowledged, so the grant
	// may be older than the process and nothing may be sent on it yet.
	Pending Phase = iota
	// Held: the grant holds.
	Held
	// Coasting: nobody renews the lease, but a moment ago the API held its grant still. So
	// nobody has given away what it grants, and all of it may be used.
	Coasting
	// Isolated: it isn't known what the API holds. Half may be used, which nobody is given
	// before the coasting time is over.
	Isolated
	// Expired: only the floor is left.
	Expired
)

// Holder knows until when a grant holds. It counts from the moment the worker
// sent the report that the manager acknowledged, so it ends before the manager
// believes that it has ended, however long messages take.
type Holder struct {
	started time.Time
	// first and last bound the sequences of the reports this process has sent; an
	// acknowledgment outside belongs to a process before it.
	first, last int64
	// sent holds, oldest first, the reports that could still prolong the lease.
	sent  []sentReport
	acked int64
	// opened: the lease was opened by a grant that acknowledges whatever is sent first.
	opened bool
	// since is when the acknowledged report was sent; duration and coasting are those of
	// the newest grant, less the drift.
	since              time.Time
	duration, coasting time.Duration
	// confirmed is when the last request was sent that found that grant in the API.
	confirmed time.Time
	// widened is from when on the manager charges a worker for what it may do coasting, and no longer
	// for what it may do under its lease.
	widened time.Time
}

type sentReport struct {
	sequence int64
	at       time.Time
}

// NewHolder returns the holder of a process that began now, and whose reports
// follow the sequence after.
func NewHolder(now time.Time, after int64) Holder {
	return Holder{started: now, first: after + 1, last: after}
}

// Started returns when the process began.
func (h *Holder) Started() time.Time { return h.started }

// Acked returns the last report of this process that was acknowledged; 0 for none.
func (h *Holder) Acked() int64 { return h.acked }

// Send records that the next report leaves now, and returns its sequence.
func (h *Holder) Send(now time.Time) int64 {
	h.last++
	h.sent = append(h.sent, sentReport{sequence: h.last, at: now})
	// A report older than the lease is long cannot prolong it. Without this the
	// list would grow for as long as the manager is away.
	for len(h.sent) > 1 && h.duration > 0 && now.Sub(h.sent[0].at) > h.duration {
		h.sent = h.sent[1:]
	}
	return h.last
}

// Acknowledge takes in now a grant's acknowledgment, its duration and its coasting time. It
// returns the sequence up to which reports of this process are acknowledged; 0 for none.
func (h *Holder) Acknowledge(now time.Time, sequence int64, duration, coasting time.Duration) int64 {
	h.hold(now, duration, coasting)
	if h.opened { // which holds for that grant alone
		h.opened, h.acked, h.since = false, 0, time.Time{}
	}
	if sequence < h.first || sequence > h.last {
		return h.acked
	}
	if sequence > h.acked {
		h.acked = sequence
		h.widen(now)
	}
	for len(h.sent) > 0 && h.sent[0].sequence <= sequence {
		h.since = h.sent[0].at
		h.sent = h.sent[1:]
	}
	return h.acked
}

// Take takes in now a grant that acknowledges a report of a process; own is the process that holds the
// lease. It returns the sequence as Acknowledge does.
func (h *Holder) Take(now time.Time, own, process string, report int64, duration, coasting time.Duration) int64 {
	switch {
	case protocol.OpensLease(process, report):
		return h.open(now, duration, coasting)
	case process != own:
		return h.Acknowledge(now, 0, duration, coasting)
	}
	return h.Acknowledge(now, report, duration, coasting)
}

// open takes in a grant that acknowledges the first report sent into the lease, by whichever
// process. It is a lease for the process that knows of none before it, from when it sent that
// report on, until another grant comes.
func (h *Holder) open(now time.Time, duration, coasting time.Duration) int64 {
	h.hold(now, duration, coasting)
	if h.acked == 0 && len(h.sent) > 0 && h.sent[0].sequence == protocol.FirstReport {
		h.opened, h.acked, h.since = true, protocol.FirstReport, h.sent[0].at
		h.widen(now)
	}
	return h.acked
}

// hold takes over the times of the newest grant.
func (h *Holder) hold(now time.Time, duration, coasting time.Duration) {
	longer := duration-duration/driftDivisor > h.duration
	h.duration, h.coasting = duration-duration/driftDivisor, coasting-coasting/driftDivisor
	if longer {
		h.widen(now)
	}
}

// widen takes in a grant for the first time: what it acknowledges was taken in before now.
func (h *Holder) widen(now time.Time) {
	h.widened = later(h.widened, now.Add(h.duration+h.duration/widenDivisor))
}

// Confirm tells that a request which was sent then found the newest grant in the API.
func (h *Holder) Confirm(sent time.Time) {
	if sent.After(h.confirmed) {
		h.confirmed = sent
	}
}

// Phase returns what the lease allows now.
func (h *Holder) Phase(now time.Time) Phase {
	switch {
	case now.Before(h.End()) && h.acked > 0:
		return Held
	case now.Before(h.End()):
		return Pending
	case !now.Before(h.floored()):
		return Expired
	case now.Before(h.confirmed.Add(h.duration)):
		return Coasting
	default:
		return Isolated
	}
}

// End returns when the lease ends. One that never began ends a whole duration
// after the process did begin: by then the manager is known to be away.
func (h *Holder) End() time.Time {
	if h.acked > 0 {
		return h.since.Add(h.duration)
	}
	return h.started.Add(h.duration)
}

// floored is when only the floor is left. A process to which nobody has granted anything
// does not coast: how long the one before it might is not known to it.
func (h *Holder) floored() time.Time {
	if h.acked == 0 {
		return h.End()
	}
	return h.End().Add(h.coasting)
}

// Window is what a worker that coasts may have in flight now: the sum of its granted windows, and from
// widened on the coasting window of its grant, if that is more.
func (h *Holder) Window(now time.Time, granted, coasting int) int {
	if granted == 0 || now.Before(h.widened) {
		return granted
	}
	return max(granted, coasting)
}

// Remaining returns how long the phase lasts if nothing is heard, and 0 when it
// lasts until something is.
func (h *Holder) Remaining(now time.Time) time.Duration {
	left := h.floored().Sub(now)
	for _, end := range []time.Time{h.End(), h.confirmed.Add(h.duration), h.widened} {
		if next := end.Sub(now); next > 0 && !end.Before(h.End()) {
			left = min(left, next)
		}
	}
	return max(0, left)
}
