package pace

import "time"

const (
	// refractory is the time between two cuts: requests started before a cut are
	// still throttled for about this long (a 503 takes 20 to 30 ms).
	refractory = 100 * time.Millisecond
	// prior counts as requests that were accepted before the first that ended
	// since the last cut, so that a single 503 does not cut deep.
	prior = 16
	// memory is how many ended requests the share of 503s covers.
	memory = 64
	// deepest is the least part of the rate that one cut leaves.
	deepest = 0.5
	// deepestRun of requests throttled in a row cut as deep as a cut may; outageRun of
	// them are an outage rather than a limit, and leave only the slowest rate.
	deepestRun = 4
	outageRun  = 12
	// collisionRun of them, across grants, may be due to others that start at the same
	// moments.
	collisionRun = 2
	// slowest is the least rate that a cut leaves, in requests per second, so that
	// a pacer always finds out when it is let through again.
	slowest = 1.0
	// A cut holds for shortestHold, twice as long if nothing was accepted since the cut
	// before it, then grows back by regrowth of the rate before it per second.
	shortestHold = 500 * time.Millisecond
	longestHold  = 8 * time.Second
	regrowth     = 0.2
	// regrowthAlone is the same without a manager, which else lowers the rate that a cut grows
	// back to: the cut itself is then the only one who finds out how much is accepted.
	regrowthAlone = 0.02
)

// cut is a rate below the granted one that 503s have imposed.
type cut struct {
	// rate just after the cut, in requests per second; 0 when there is none.
	rate float64
	// before is the rate of starts when the first of these cuts was made.
	before float64
	at     time.Time
	hold   time.Duration
	// ended and throttled count requests since the cut, run the last of them in a row
	// that were throttled.
	ended, throttled, run float64
	// served: some request was accepted since the cut.
	served bool
}

// rate in force, in requests per second; 0 for none. A cut grows back to the
// granted rate and never above it; without one, to the rate from before it, where
// it is over.
func (p *Pacer) rate(now time.Time) float64 {
	c := &p.cut
	if c.rate == 0 {
		return p.granted.Rate
	}
	grown, growth := c.rate, regrowth
	if p.alone {
		growth = regrowthAlone
	}
	if since := now.Sub(c.at) - c.hold; since > 0 {
		grown += growth * c.before * since.Seconds()
	}
	switch {
	case p.granted.Rate > 0:
		return min(grown, p.granted.Rate)
	case grown >= c.before:
		return 0
	}
	return grown
}

// Accepted reports that a request succeeded.
func (p *Pacer) Accepted() {
	p.cut.count(0)
	p.cut.run, p.cut.served, p.throttled = 0, true, 0
}

// Throttled reports that the destination answered 503 SlowDown. What it still accepts is
// its capacity, so the rate is cut to about the share of the started requests that were
// not throttled.
func (p *Pacer) Throttled(now time.Time) {
	p.cut.count(1)
	p.cut.run++
	p.throttled++
	if p.cut.rate > 0 && now.Sub(p.cut.at) < refractory {
		return
	}
	started := p.starts.perSecond(now)
	current := p.rate(now)
	over := p.cut.rate == 0 || current == p.granted.Rate
	if current > 0 {
		started = min(started, current)
	}
	rate := max(started*p.cut.kept(), slowest)
	if p.granted.Rate > 0 {
		// The slowest rate must never lift a grant that is slower still.
		rate = min(rate, p.granted.Rate)
	}
	before := max(p.cut.before, rate)
	if over {
		before = max(started, rate)
	}
	p.cut = cut{rate: rate, before: before, at: now, hold: p.cut.nextHold(), run: p.cut.run}
	if p.throttled >= collisionRun {
		p.jitter()
	}
	p.next = p.soonest(rate)
}

func (c *cut) count(throttled float64) {
	if c.ended >= memory {
		c.ended, c.throttled = c.ended/2, c.throttled/2
	}
	c.ended++
	c.throttled += throttled
}

// kept is the part of the rate that a cut leaves.
func (c *cut) kept() float64 {
	switch {
	case c.run >= outageRun:
		return 0
	case c.run >= deepestRun:
		return deepest
	}
	return max(deepest, 1-c.throttled/(c.ended+prior))
}

// relax ends a cut that has held for the shortest time. Another holds for no longer.
func (c *cut) relax(now time.Time) {
	if now.Sub(c.at) >= shortestHold {
		*c = cut{}
	}
	c.hold = min(c.hold, shortestHold)
}

// nextHold is how long the next cut holds.
func (c *cut) nextHold() time.Duration {
	if c.served || c.rate == 0 {
		return shortestHold
	}
	return min(2*c.hold, longestHold)
}
