package coordination

import "time"

// baselinePeriod is the longest that the baseline is measured.
const baselinePeriod = 10 * time.Second

// PerformanceBaseline is what the domain gave under the windows that it began
// with: the mean over the first rounds, until the law changed the window or ten
// seconds were measured. It is what as many requests in flight, left alone, give
// on this path at that time. After a change of leader the windows that it began
// with are those that the former one had found.
type PerformanceBaseline struct {
	// Measured is false until then, and for good if only few requests were accepted.
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
func (c *comparison) endRound(now time.Time, s Signal) {
	elapsed := now.Sub(c.began).Seconds()
	first := c.began.IsZero()
	c.began, c.judged = now, true
	c.over = c.over || c.bound != c.first || c.before.seconds >= baselinePeriod.Seconds()
	switch {
	case s.SenderLimited:
	case c.over:
		c.since.add(elapsed, s)
	case first:
		c.before.add(1, s) // only its rates are known
	default:
		c.before.add(elapsed, s)
	}
}

// add weighs the rates of a round by its length in seconds.
func (r *roundSums) add(seconds float64, s Signal) {
	r.seconds += seconds
	r.bytes += seconds * s.Bytes
	r.accepted += seconds * s.Accepted
	r.throttled += seconds * s.Throttled
	r.completed += seconds * (s.Accepted + s.Throttled + s.Failed)
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

// result compares what came after the baseline with it.
func (c *comparison) result() (baseline PerformanceBaseline, improvement, latencyReduction float64) {
	if !c.over || c.before.accepted < fewRequests {
		return baseline, 0, 0 // so few of the first requests tell nothing of what they would have given
	}
	baseline, since := c.before.mean(), c.since.mean()
	baseline.Measured = true
	if baseline.Throughput > 0 && c.since.seconds > 0 {
		improvement = since.Throughput/baseline.Throughput - 1
	}
	if baseline.Latency > 0 && since.Latency > 0 {
		latencyReduction = 1 - since.Latency.Seconds()/baseline.Latency.Seconds()
	}
	return baseline, improvement, latencyReduction
}
