package protocol

import (
	"slices"
	"time"
)

// State is a state of the congestion controller of a group.
type State string

const (
	SlowStart           State = "SlowStart"
	CongestionAvoidance State = "CongestionAvoidance"
	FastRecovery        State = "FastRecovery"
	Recovery            State = "Recovery"
)

// known is the state, or congestion avoidance where it is none.
func (s State) known() State {
	switch s {
	case SlowStart, CongestionAvoidance, FastRecovery, Recovery:
		return s
	}
	return CongestionAvoidance
}

// Assignment hands an archive to a worker.
type Assignment struct {
	Archive ArchiveID
	// Attempt counts the workers that were given the archive, from 1.
	Attempt int
}

// PrefixGrant is what a worker may do on one prefix.
type PrefixGrant struct {
	Prefix string
	// Window in requests in flight.
	Window int
	// Rate in requests started per second; 0 means that only the window limits.
	Rate        float64
	Assignments []Assignment
	// Reserve are the numbers of further archives, which the worker begins only if the grant is
	// not renewed and it has begun all that is assigned to it.
	Reserve Ranges
	// Recalled were assignments under a grant before, Withdrawn were in a reserve, and the worker
	// may not have learned that they are no longer: the next leader gives them to nobody else
	// until it has.
	Recalled  []Assignment
	Withdrawn Ranges
}

// Gives tells that the grant allows anything on the prefix. One that does not only tells what it
// no longer allows.
func (p PrefixGrant) Gives() bool {
	return p.Window > 0 || len(p.Assignments) > 0 || p.Reserve.Spans() > 0
}

// Grant is what a worker may do. A worker acts on one grant at a time: it starts
// no request while it has as many in flight as all windows of the newest one
// sum to, those begun under an earlier grant included.
type Grant struct {
	Worker   WorkerID
	Transfer TransferID
	// Epoch and Sequence order grants; lower ones are ignored.
	Epoch, Sequence int64
	// AcknowledgedReport is the last report processed. The lease runs for
	// Duration from the moment the worker sent it.
	AcknowledgedReport int64
	// Instance is the worker process that sent that report. Any other holds no
	// lease by this grant: sequences of two processes do not compare. A grant that Opens names none.
	Instance string
	Duration time.Duration
	// Coasting is for how long after the lease the worker may go on without a manager.
	Coasting time.Duration
	// Charged is what the worker may do under this grant or one before it that it had not left when this
	// one was given; for the next leader.
	Charged        Charge
	ReportInterval time.Duration
	// CoastingWindow is the sum of the windows for a worker that coasts, where that is more than what they
	// sum to: they are lowered for a moment, to see how fast the path is when nothing waits.
	CoastingWindow int
	// Drain: stop sending and exit.
	Drain bool
	// Plan: this worker walks the source and writes the inventory.
	Plan     bool
	Prefixes []PrefixGrant
	// Pace is what the worker may send in all, by a policy.
	Pace Pace
}

// ID gives the grant's place in the order of the grants of its worker.
func (g Grant) ID() GrantID { return GrantID{g.Epoch, g.Sequence} }

// FirstReport is the sequence of the first report that is ever sent into a lease.
const FirstReport = 1

// Opens tells that the grant acknowledges the first report of its worker before that has sent
// it, whichever process that will be. Such a grant allows nothing but to hold a lease, so that
// nothing has to be written for a worker that is given nothing yet.
func (g Grant) Opens() bool { return OpensLease(g.Instance, g.AcknowledgedReport) }

// OpensLease tells the same by the process and the report that a grant acknowledges.
func OpensLease(instance string, report int64) bool { return instance == "" && report == FirstReport }

// Window sums the windows.
func (g Grant) Window() int {
	sum := 0
	for _, p := range g.Prefixes {
		sum += p.Window
	}
	return sum
}

// Coasted is the sum of the windows for a worker that coasts.
func (g Grant) Coasted() int { return max(g.Window(), g.CoastingWindow) }

// LimitsAs tells whether two grants differ in archives at most.
func (g Grant) LimitsAs(h Grant) bool {
	return g.Epoch == h.Epoch && slices.EqualFunc(open(g.Prefixes), open(h.Prefixes), func(p, q PrefixGrant) bool {
		return p.Prefix == q.Prefix && p.Window == q.Window && p.Rate == q.Rate
	})
}

// open are the prefixes on which requests may start: one without a window is limited as one that is not
// named.
func open(prefixes []PrefixGrant) []PrefixGrant {
	return slices.DeleteFunc(slices.Clone(prefixes), func(p PrefixGrant) bool { return p.Window == 0 })
}

// Plan is the result of a tick: the desired state of all grants, and the decision that they
// follow from, if a round ended.
type Plan struct {
	Grants   []Grant
	Decision Decision
}

// DriftBound is the drift of a clock that is tolerated, relative to true time.
const DriftBound = 0.01

// Lifetime is how long a grant may hold by the manager's clock: it runs fast,
// the worker's slow, each by the drift bound.
func Lifetime(duration time.Duration) time.Duration {
	return time.Duration(float64(duration) * (1 + DriftBound) / (1 - DriftBound))
}

// GrantID names a grant among those of one worker, and orders it.
type GrantID struct{ Epoch, Sequence int64 }

// Before orders grants: by epoch, then by sequence.
func (g GrantID) Before(o GrantID) bool {
	return g.Epoch < o.Epoch || g.Epoch == o.Epoch && g.Sequence < o.Sequence
}

const (
	// ReadsPerReport is how often a worker reads its lease between two reports: a grant is then
	// known within a quarter of the interval.
	ReadsPerReport = 3
	// LargeInterval is the shortest report interval of a large fleet.
	LargeInterval = 2500 * time.Millisecond
)

// ReadInterval is the time between reads of a lease where reports come at an interval. Where that
// is of a large fleet there is one read between two reports, since a read costs the API server
// nearly what a report does.
func ReadInterval(reports time.Duration) time.Duration {
	if reports >= LargeInterval {
		return reports / 2
	}
	return reports / (ReadsPerReport + 1)
}
