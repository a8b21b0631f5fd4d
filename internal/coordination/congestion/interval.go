package congestion

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// shortestRound bounds how often the law is applied.
	shortestRound = 400 * time.Millisecond
	// roundLatencies is the length of a round in median attempts: most requests
	// sent in a round should come back in it.
	roundLatencies = 1.5
	// earlyThrottling ends a round at once.
	earlyThrottling = 0.05
)

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
	down := false
	for _, g := range c.groups {
		if g.rate.state == protocol.Recovery {
			down = true
		} else if g.signal.Accepted > 0 {
			return false
		}
	}
	return down
}

// Over tells that the round has seen enough to judge: all but scatter of the windows was reported
// on under the grants of this round, or it has waited for enough times its length. The first of all begins with
// what comes back first, and none is cut short before anything was accepted: 503s
// come back at once, what is accepted only after the service time.
func (c *GlobalCongestionController) Over(now time.Time, interval time.Duration, coverage float64) bool {
	if c.completions == 0 {
		if !c.begun {
			c.began = now
		}
		return false
	}
	if c.measured && c.throttles >= enough &&
		float64(c.throttles) > earlyThrottling*float64(c.completions) {
		return true
	}
	elapsed, length := now.Sub(c.began), c.length(interval)
	return elapsed >= length && (coverage >= 1-scatter && c.turned() || elapsed >= enough*length)
}

// turned tells that what was in flight before the round has ended: the first to end are the
// fastest, and so tell nothing of the latency. In an outage there is
// no latency to wait for.
func (c *GlobalCongestionController) turned() bool {
	if !c.begun {
		return c.completions >= int64(c.window.size)
	}
	inFlight := min(c.last.Busy, float64(c.last.InFlight))
	return c.recovering() || float64(c.completions) >= (1+scatter)*inFlight
}

// Elapsed is how long the round has gone on.
func (c *GlobalCongestionController) Elapsed(now time.Time) time.Duration { return now.Sub(c.began) }

// Begin starts a round.
func (c *GlobalCongestionController) Begin(now time.Time) {
	c.began = now
	c.completions, c.throttles = 0, 0
}
