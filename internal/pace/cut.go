package pace

import "time"

const (
	// refractory is the time between two cuts: requests started before a cut are
	// still refused for about so long (a 503 takes 20 to 30 ms).
	refractory = 100 * time.Millisecond
	// prior counts as requests that were accepted before the first that ended
	// since the last cut, so that a single refusal does not cut deep.
	prior = 16
	// memory is how many ended requests the share of refusals looks back.
	memory = 64
	// deepest is the least part of the rate that one cut leaves.
	deepest = 0.5
	// suspectRun of requests refused in a row cut as deep as a cut may; darkRun of
	// them are an outage rather than a limit, and only the slowest rate is left.
	suspectRun = 4
	darkRun    = 12
	// herdRun of them, whatever was granted meanwhile, may be due to others that start
	// at the same moments.
	herdRun = 2
	// slowest is the least rate that a cut leaves, in requests per second, so that
	// a lane always finds out when it is let through again.
	slowest = 1.0
	// A cut stands for shortestHold, twice as long after each cut that nothing was
	// accepted since, then grows back by regrowth of the rate before it per second.
	shortestHold = 500 * time.Millisecond
	longestHold  = 8 * time.Second
	regrowth     = 0.3
)

// cut is a rate below the granted one that refusals have imposed.
type cut struct {
	// rate just after the cut, in requests per second; 0 when there is none.
	rate float64
	// before is the rate of starts when the first of these cuts was made.
	before float64
	at     time.Time
	hold   time.Duration
	// ended and refused count requests since the cut, run the last of them in a row
	// that were refused.
	ended, refused, run float64
	// served: some request was accepted since the cut.
	served bool
}

// rate in force, in requests per second; 0 for none. A cut grows back to the
// granted rate and never above it; without one, to the rate from before it, where
// it is over.
func (l *Lane) rate(now time.Time) float64 {
	c := &l.cut
	if c.rate == 0 {
		return l.granted.Rate
	}
	grown := c.rate
	if since := now.Sub(c.at) - c.hold; since > 0 {
		grown += regrowth * c.before * since.Seconds()
	}
	switch {
	case l.granted.Rate > 0:
		return min(grown, l.granted.Rate)
	case grown >= c.before:
		return 0
	}
	return grown
}

// Accepted tells that a request succeeded.
func (l *Lane) Accepted() {
	l.cut.count(0)
	l.cut.run, l.cut.served, l.refused = 0, true, 0
}

// Throttled tells that the destination refused a request for being too many. What
// it goes on accepting is its capacity, so the rate is cut to about that part of
// what was started which was not refused.
func (l *Lane) Throttled(now time.Time) {
	l.cut.count(1)
	l.cut.run++
	l.refused++
	if l.cut.rate > 0 && now.Sub(l.cut.at) < refractory {
		return
	}
	started := l.starts.perSecond(now)
	current := l.rate(now)
	over := l.cut.rate == 0 || current == l.granted.Rate
	if current > 0 {
		started = min(started, current)
	}
	rate := max(started*l.cut.kept(), slowest)
	if l.granted.Rate > 0 {
		// The slowest rate must never lift a grant that is slower still.
		rate = min(rate, l.granted.Rate)
	}
	before := max(l.cut.before, rate)
	if over {
		before = max(started, rate)
	}
	l.cut = cut{rate: rate, before: before, at: now, hold: l.cut.nextHold(), run: l.cut.run}
	if l.refused >= herdRun {
		l.putOff()
	}
	l.next = l.soonest(rate)
}

func (c *cut) count(refused float64) {
	if c.ended >= memory {
		c.ended, c.refused = c.ended/2, c.refused/2
	}
	c.ended++
	c.refused += refused
}

// kept is the part of the rate that a cut leaves.
func (c *cut) kept() float64 {
	switch {
	case c.run >= darkRun:
		return 0
	case c.run >= suspectRun:
		return deepest
	}
	return max(deepest, 1-c.refused/(c.ended+prior))
}

// nextHold is how long the next cut stands.
func (c *cut) nextHold() time.Duration {
	if c.served || c.rate == 0 {
		return shortestHold
	}
	return min(2*c.hold, longestHold)
}
