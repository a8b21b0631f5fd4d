package coordination

import (
	"math"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// shortestRound bounds how often the law is applied.
	shortestRound = 400 * time.Millisecond
	// roundLatencies is the length of a round in median attempts: most requests
	// sent in a round should come back in it.
	roundLatencies = 1.5
	// roundCoverage of the window must have been reported on, under the grants of
	// this round, before it ends; patience is how many times its length it waits.
	roundCoverage = 0.9
	roundPatience = 3
	// turnedShare of what was in flight in the round before must have ended in this one:
	// the first to end are the fastest, and so tell nothing of the latency.
	turnedShare = 1.1
	// earlyThrottling ends a round at once.
	earlyThrottling = 0.05
)

// workerRound sums a worker's reports of one round.
type workerRound struct {
	seconds  float64
	inFlight int
	limited  bool
	settled  bool // it acted on its newest limits
	last     requestRates
}

// cellRound sums the reports on one of a worker's prefixes in one round.
type cellRound struct {
	grew   bool // a report of this round told of the prefix
	growth protocol.PrefixCounters
	last   requestRates
}

// idle tells that nothing was sent in this round or the one before. Most prefixes that
// a worker ever had are that.
func (r *cellRound) idle() bool { return !r.grew && r.last == (requestRates{}) }

// requestRates are per second; busy is the mean number of requests in flight.
type requestRates struct{ started, accepted, throttled, failed, bytes, busy float64 }

// length is the shortest the round may last. What is waited for in an outage is any
// success, and the few requests that came back last took far longer than most will.
func (c *GlobalCongestionController) length(interval time.Duration) time.Duration {
	latency := c.path.current() * float64(time.Second)
	if c.recovering() {
		latency = 0
	}
	return max(shortestRound, time.Duration(roundLatencies*latency), interval*9/10)
}

// recovering tells that some group waits for an outage to be over, and that nothing of
// the others gets through.
func (c *GlobalCongestionController) recovering() bool {
	dark := false
	for _, g := range c.groups {
		if g.rate.state == protocol.Recovery {
			dark = true
		} else if g.signal.Accepted > 0 {
			return false
		}
	}
	return dark
}

// over tells that the round has seen enough to judge. The first of all begins with
// what comes back first, and none is cut short before anything was accepted: refusals
// come back at once, what is accepted only after the service time.
func (c *GlobalCongestionController) over(now time.Time, interval time.Duration, coverage float64) bool {
	if c.completions == 0 {
		if !c.begun {
			c.began = now
		}
		return false
	}
	if c.measured && c.throttles >= enoughThrottles && !c.settling() &&
		float64(c.throttles) > earlyThrottling*float64(c.completions) {
		return true
	}
	elapsed, length := now.Sub(c.began), c.length(interval)
	return elapsed >= length && (coverage >= roundCoverage && c.turned() || elapsed >= roundPatience*length)
}

// turned tells that what was in flight before the round has ended. In an outage there is
// no latency to wait for.
func (c *GlobalCongestionController) turned() bool {
	if !c.begun {
		return c.completions >= int64(c.window.size)
	}
	inFlight := min(c.last.Busy, float64(c.last.InFlight))
	return c.recovering() || float64(c.completions) >= turnedShare*inFlight
}

// settling tells that some of what comes back was sent before a cut.
func (c *GlobalCongestionController) settling() bool {
	for _, g := range c.groups {
		if g.rate.settling {
			return true
		}
	}
	return c.window.settling
}

// begin starts a round.
func (c *GlobalCongestionController) begin(now time.Time) {
	c.began = now
	c.completions, c.throttles = 0, 0
}

// endRounds ends the round when it has seen enough, and applies the law to it.
func (c *PipelineCoordinator) endRounds(now time.Time) {
	k := c.control
	c.weighEvidence()
	if !k.over(now, c.interval(), c.coverage(now)) {
		return
	}
	elapsed := now.Sub(k.began)
	signal := c.signal(now)
	signal.Length = elapsed
	c.transitions = append(c.transitions, k.Round(now, signal)...)
	for _, t := range c.transfers {
		for _, l := range t.lanes {
			l.endRound(now, elapsed, k.state(l.group))
		}
	}
	c.metrics.endRound(c, now, signal)
	k.begin(now)
	for _, t := range c.tenants {
		t.evidence.reset()
	}
}

// interval is the shortest report interval of the transfers with windows.
func (c *PipelineCoordinator) interval() time.Duration {
	interval := time.Minute
	for _, t := range c.transfers {
		if t.coordinated() && t.window > 0 {
			interval = min(interval, t.terms.Interval)
		}
	}
	return interval
}

// coverage is the part of the granted windows that was reported on by workers
// that acted on their newest limits.
func (c *PipelineCoordinator) coverage(now time.Time) float64 {
	var granted, settled float64
	for _, w := range c.coordinatedWorkers() {
		if w.blocked || w.silent(now) {
			continue
		}
		window := float64(w.window())
		granted += window
		if w.round.settled {
			settled += window
		}
	}
	if granted == 0 {
		return 1
	}
	return settled / granted
}

// window sums the worker's granted windows.
func (w *worker) window() int {
	sum := 0
	for _, cell := range w.cells {
		sum += cell.window
	}
	return sum
}

// signal sums the round over the workers, and over those of each lane. A rate is
// taken over the time that a worker's reports span, not over the round: the two do
// not begin together.
func (c *PipelineCoordinator) signal(now time.Time) Signal {
	s := Signal{Latency: c.medianLatency()}
	for _, t := range c.transfers {
		for _, l := range t.lanes {
			l.signal, l.ended = Signal{}, fate{}
		}
	}
	var windows, limited int
	for _, w := range c.coordinatedWorkers() {
		w.endRound(now)
		if w.blocked {
			continue
		}
		s.InFlight += w.round.inFlight
		window := w.window()
		windows += window
		if w.round.limited {
			limited += window
		}
		w.round = workerRound{last: w.round.last}
	}
	for _, t := range c.transfers {
		for _, l := range t.lanes {
			s.add(l.signal)
		}
	}
	s.SenderLimited = windows > 0 && 2*limited >= windows
	return s
}

// endRound adds the worker's rates in the round to those of its lanes. One that did
// not report in it counts as it last did, unless it has fallen silent.
func (w *worker) endRound(now time.Time) {
	w.round.last = requestRates{}
	for _, cell := range w.cells {
		r := &cell.round
		if r.idle() {
			continue
		}
		switch {
		case w.round.seconds > 0:
			r.last = ratesOf(r.growth, w.round.seconds)
		case w.silent(now):
			r.last = requestRates{}
		}
		if !w.blocked {
			cell.lane.signal.count(r, &w.transfer.tenant.evidence)
			cell.lane.ended.add(fateOf(r.growth))
			w.round.last.add(r.last)
		}
		r.grew, r.growth = false, protocol.PrefixCounters{}
	}
	if w.blocked {
		w.round = workerRound{}
	}
}

func ratesOf(p protocol.PrefixCounters, seconds float64) requestRates {
	return requestRates{
		float64(p.Started) / seconds, float64(p.Accepted) / seconds, float64(p.Throttled) / seconds,
		float64(p.Failed) / seconds, float64(p.Bytes) / seconds, p.Busy.Seconds() / seconds,
	}
}

func (r *requestRates) add(s requestRates) {
	r.started += s.started
	r.accepted += s.accepted
	r.throttled += s.throttled
	r.failed += s.failed
	r.bytes += s.bytes
	r.busy += s.busy
}

// count adds what was reported on a lane, with the weight of who reported it.
func (s *Signal) count(r *cellRound, e *evidence) {
	s.Started += e.weight * r.last.started
	s.Accepted += e.weight * r.last.accepted
	s.Throttled += e.weight * r.last.throttled
	s.Failed += e.weight * r.last.failed
	s.Bytes += e.bytesWeight * r.last.bytes
	s.Busy += e.busyWeight * r.last.busy
	s.Completions += e.weighted(r.growth.Accepted + r.growth.Throttled + r.growth.Failed)
	s.Throttles += e.weighted(r.growth.Throttled)
}

// latencySketch counts latencies in buckets of 2 % from 100 µs to 100 s, enough
// for medians over any number of workers in a fixed memory.
type latencySketch struct {
	buckets [latencyBuckets]float64
	weight  float64
}

const (
	latencyBuckets = 704
	latencyLowest  = 100e-6 // seconds
	latencyRatio   = 1.02
)

func (s *latencySketch) reset() { *s = latencySketch{} }

// merge adds another with a weight.
func (s *latencySketch) merge(other *latencySketch, weight float64) {
	for i, n := range other.buckets {
		s.buckets[i] += weight * n
	}
	s.weight += weight * other.weight
}

// add counts a latency with a weight; zero latencies are unmeasured.
func (s *latencySketch) add(latency time.Duration, weight float64) {
	if latency <= 0 || weight <= 0 {
		return
	}
	i := int(math.Log(latency.Seconds()/latencyLowest) / math.Log(latencyRatio))
	s.buckets[min(max(i, 0), latencyBuckets-1)] += weight
	s.weight += weight
}

// quantile interpolates within the bucket; 0 when nothing was counted.
func (s *latencySketch) quantile(q float64) time.Duration {
	if s.weight == 0 {
		return 0
	}
	wanted := q * s.weight
	for i, n := range s.buckets {
		if wanted > n || n == 0 {
			wanted -= n
			continue
		}
		seconds := latencyLowest * math.Pow(latencyRatio, float64(i)+wanted/n)
		return time.Duration(seconds * float64(time.Second))
	}
	return 0
}
