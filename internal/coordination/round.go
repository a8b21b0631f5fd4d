package coordination

import (
	"math"
	"time"
)

const (
	// shortestRound bounds how often the law is applied.
	shortestRound = time.Second
	// roundLatencies is the length of a round in median attempts: most requests
	// sent in a round should come back in it.
	roundLatencies = 1.5
	// roundCoverage of the window must have been reported on, under the grants of
	// this round, before it ends; patience is how many times its length it waits.
	roundCoverage = 0.9
	roundPatience = 3
	// earlyThrottling ends a round at once.
	earlyThrottling = 0.05
)

// group is a set of prefixes that share fate: what throttles one throttles all.
type group struct {
	name       string
	lanes      []*lane
	controller *GlobalCongestionController

	began       time.Time // of the round
	latencies   latencySketch
	completions int64
	throttles   int64
	last        Signal // of the round before

	// While learning, the window is bounded by what was recorded and adopted.
	learning bool
	until    time.Time
	recorded int
	adopted  int
	reserve  int
}

// workerRound sums a worker's reports of one round.
type workerRound struct {
	seconds                                           float64
	started, accepted, throttled, failed, bytes, busy float64
	inFlight                                          int
	limited                                           bool
	settled                                           bool // it acted on its newest grant
	last                                              workerRates
}

// workerRates are per second; busy is the mean number of requests in flight.
type workerRates struct{ started, accepted, throttled, failed, bytes, busy float64 }

// bound is the largest sum of windows that may be granted.
func (g *group) bound() int {
	window := g.controller.decision("").Window
	if g.learning {
		window = min(window, min(g.recorded, g.adopted)+g.reserve)
	}
	return window
}

// observe adds what a worker reported on one lane to the round.
func (g *group) observe(d PrefixCounters) {
	g.completions += d.Accepted + d.Throttled + d.Failed
	g.throttles += d.Throttled
	g.latencies.add(d.latency(), float64(d.Accepted))
}

// length is the shortest the round may last.
func (g *group) length(interval time.Duration) time.Duration {
	latency := g.controller.path.current() * float64(time.Second)
	return max(shortestRound, time.Duration(roundLatencies*latency), interval*9/10)
}

// over tells that the round has seen enough to judge.
func (g *group) over(now time.Time, interval time.Duration, coverage float64) bool {
	if g.completions == 0 {
		return false
	}
	if g.throttles >= enoughThrottles && !g.controller.settling &&
		float64(g.throttles) > earlyThrottling*float64(g.completions) {
		return true
	}
	elapsed, length := now.Sub(g.began), g.length(interval)
	return elapsed >= length && (coverage >= roundCoverage || elapsed >= roundPatience*length)
}

// begin starts a round.
func (g *group) begin(now time.Time) {
	g.began = now
	g.latencies.reset()
	g.completions, g.throttles = 0, 0
}

// endRounds ends the round when it has seen enough, and applies the law to it.
func (c *PipelineCoordinator) endRounds(now time.Time) {
	g := c.group
	if !g.over(now, c.interval(), c.coverage(now)) {
		return
	}
	signal := c.signal(now)
	elapsed := now.Sub(g.began)
	before := g.controller.state
	decision := g.controller.Round(now, signal)
	if decision.Cause != "" {
		c.transitions = append(c.transitions, Transition{g.name, before, decision.State, decision.Cause})
	}
	for _, l := range g.lanes {
		l.endRound(now, elapsed, decision.State)
	}
	c.metrics.endRound(c, now, signal)
	g.last = signal
	g.begin(now)
}

// interval is the shortest report interval of the transfers with windows.
func (c *PipelineCoordinator) interval() time.Duration {
	interval := time.Minute
	for _, t := range c.transfers {
		if t.coordinated() && t.window > 0 {
			interval = min(interval, t.interval)
		}
	}
	return interval
}

// coverage is the part of the granted windows that was reported on by workers
// that acted on their newest grant.
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

// signal sums the round over the workers. A rate is taken over the time that a
// worker's reports span, not over the round: the two do not begin together.
func (c *PipelineCoordinator) signal(now time.Time) Signal {
	g := c.group
	s := Signal{
		Completions: g.completions, Throttles: g.throttles,
		Latency: g.latencies.quantile(0.5),
	}
	var windows, limited int
	for _, w := range c.coordinatedWorkers() {
		if w.blocked {
			w.round = workerRound{}
			continue
		}
		r := w.endRound(now)
		s.Started += r.started
		s.Accepted += r.accepted
		s.Throttled += r.throttled
		s.Failed += r.failed
		s.Bytes += r.bytes
		s.InFlight += w.round.inFlight
		window := w.window()
		windows += window
		if w.round.limited {
			limited += window
		}
		w.round = workerRound{last: r}
	}
	s.SenderLimited = windows > 0 && 2*limited >= windows
	return s
}

// endRound gives the worker's rates in the round. One that did not report in it
// counts as it last did, unless it has fallen silent.
func (w *worker) endRound(now time.Time) workerRates {
	r := &w.round
	switch {
	case r.seconds > 0:
		r.last = workerRates{
			r.started / r.seconds, r.accepted / r.seconds, r.throttled / r.seconds,
			r.failed / r.seconds, r.bytes / r.seconds, r.busy / r.seconds,
		}
	case w.silent(now):
		r.last = workerRates{}
	}
	return r.last
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
