package congestion

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// What follows puts a controller where the tests of those that use it want it to be.

// SetWindow sets the size of the window, which goes on as it would from there.
func (c *GlobalCongestionController) SetWindow(size int) { c.window.size = float64(size) }

// Settle has the window been judged well at a size, in a state.
func (c *GlobalCongestionController) Settle(size int, state protocol.State) {
	c.begun = true
	c.window.state, c.window.size, c.window.good = state, float64(size), float64(size)
}

// SetPath sets the smallest latency and the present one.
func (c *GlobalCongestionController) SetPath(now time.Time, base, latency time.Duration) {
	c.path.bases[c.path.SizeClass] = baseLatency{seconds: base.Seconds(), at: now}
	c.path.latency = latency.Seconds()
}

// SetRate gives a group, by its place among Groups, a rate.
func (c *GlobalCongestionController) SetRate(group int, rate float64) {
	c.groups[group].rate.perSecond = rate
}

// Part moves prefixes of the first group into one of their own.
func (c *GlobalCongestionController) Part(now time.Time, members ...*Member) {
	c.part(now, c.groups[0], members)
}

// Began is when the present round did.
func (c *GlobalCongestionController) Began() time.Time { return c.began }
