package coordination

import (
	"cmp"
	"math"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
)

const (
	// baselinePeriod is the longest that the baseline is measured, and the shortest that
	// what came after it is, to be compared with it.
	baselinePeriod = 10 * time.Second
	// A baseline is of baselineRequests that were accepted, and of baselineTurns for each
	// in flight: the first of a connection takes longer than those behind it.
	baselineRequests = 100
	baselineTurns    = 3
	// mostChange bounds the figures of the comparison: ten times as much or more says
	// that the first window was none to compare with.
	mostChange = 9
)

// PerformanceBaseline is what the domain gave under the windows that it began
// with: the mean over the first rounds, until the law changed the window or ten
// seconds were measured. It is what as many requests in flight, left alone, give
// on this path at that time: by Little's law, since of the first round a part goes by
// before anything can come back. After a change of leader the windows that it began
// with are those that the former one had found.
type PerformanceBaseline struct {
	// Measured is false until then and for ten seconds more, and for good if too few
	// requests were accepted to compare with.
	Measured bool
	// Throughput in bytes per second, RequestRate in accepted requests per second.
	Throughput, RequestRate float64
	// ThrottledShare from 0 to 1 of the completed requests.
	ThrottledShare float64
	// Latency is the mean of the rounds' median attempts, by accepted requests.
	Latency time.Duration
}

// comparison sums the rounds under the first windows and those after.
type comparison struct {
	first, bound int // the window of the domain: the first, and of the last tick
	began        time.Time
	judged       bool // a round has ended
	over         bool // the baseline is complete
	before       roundSums
	since        roundSums
}

// roundSums are sums over rounds that the senders did not limit.
type roundSums struct {
	seconds, bytes, accepted, throttled, completed float64
	latency, timed                                 float64 // seconds times requests, requests
	busy, slots                                    float64 // seconds of requests, seconds times slots in use
}

// grant takes in the window that the domain is granted from now on. Until a
// round was judged it is the one to begin with.
func (c *comparison) grant(bound int) {
	c.bound = bound
	if !c.judged {
		c.first = bound
	}
}

// endRound adds a round, which was sent under the window of the last tick.
func (c *comparison) endRound(now time.Time, s congestion.Signal) {
	elapsed := now.Sub(c.began).Seconds()
	first := c.began.IsZero()
	c.began, c.judged = now, true
	c.over = c.over || c.bound != c.first || c.before.seconds >= baselinePeriod.Seconds()
	switch {
	case s.SenderLimited:
	case c.over:
		c.since.add(elapsed, s)
	case first:
		c.before.add(cmp.Or(s.Length.Seconds(), 1), s)
	default:
		c.before.add(elapsed, s)
	}
}

// add weighs the rates of a round by its length in seconds.
func (r *roundSums) add(seconds float64, s congestion.Signal) {
	r.seconds += seconds
	r.bytes += seconds * s.Bytes
	r.accepted += seconds * s.Accepted
	r.throttled += seconds * s.Throttled
	r.completed += seconds * (s.Accepted + s.Throttled + s.Failed)
	r.busy += seconds * s.Busy
	r.slots += seconds * float64(s.InFlight)
	if s.Latency > 0 {
		r.latency += seconds * s.Accepted * s.Latency.Seconds()
		r.timed += seconds * s.Accepted
	}
}

func (r roundSums) mean() PerformanceBaseline {
	return PerformanceBaseline{
		Throughput: ratio(r.bytes, r.seconds), RequestRate: ratio(r.accepted, r.seconds),
		ThrottledShare: ratio(r.throttled, r.completed),
		Latency:        duration(ratio(r.latency, r.timed)),
	}
}

// steady is the mean as it would be if the slots had been in use from the beginning.
func (r roundSums) steady() PerformanceBaseline {
	b := r.mean()
	if filled := ratio(r.slots, r.busy); filled > 1 {
		b.Throughput, b.RequestRate = b.Throughput*filled, b.RequestRate*filled
	}
	return b
}

// enough tells that a baseline is one.
func (r roundSums) enough() bool {
	return r.accepted >= baselineRequests && r.accepted*r.seconds >= baselineTurns*r.slots
}

// result compares what came after the baseline with it.
func (c *comparison) result() (baseline PerformanceBaseline, improvement, latencyReduction float64) {
	if !c.over || !c.before.enough() || c.since.seconds < baselinePeriod.Seconds() {
		return baseline, 0, 0
	}
	baseline, since := c.before.steady(), c.since.mean()
	baseline.Measured = true
	if baseline.Throughput > 0 {
		improvement = min(since.Throughput/baseline.Throughput-1, mostChange)
	}
	if baseline.Latency > 0 && since.Latency > 0 {
		latencyReduction = max(1-since.Latency.Seconds()/baseline.Latency.Seconds(), -mostChange)
	}
	return baseline, improvement, latencyReduction
}

// duration converts seconds, of which there may be more than a Duration holds.
func duration(seconds float64) time.Duration {
	return time.Duration(min(seconds*float64(time.Second), math.MaxInt64/2))
}
