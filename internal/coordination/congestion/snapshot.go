package congestion

import (
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Snapshot records the window, that of before while a drain goes on, and the rates.
func (c *GlobalCongestionController) Snapshot() (*protocol.PathSnapshot, []protocol.GroupSnapshot) {
	w := &c.window
	path := &protocol.PathSnapshot{
		Window: int(w.size * c.Undrained()), State: w.state, Threshold: int(w.threshold), GoodWindow: int(w.good),
		Profile: c.path.NetworkProfile,
	}
	var groups []protocol.GroupSnapshot
	members := 0
	for i, g := range c.groups {
		s := protocol.GroupSnapshot{Name: g.name, State: g.rate.state, Rate: g.rate.perSecond, GoodRate: g.rate.good}
		for _, l := range g.members {
			if i > 0 {
				s.Members = append(s.Members, l.ID)
			}
		}
		if members+len(s.Members) <= protocol.MaxMembers {
			groups = append(groups, s)
			members += len(s.Members)
		}
	}
	return path, groups
}

// Restore takes over what an earlier leader recorded, which has a path.
func (c *GlobalCongestionController) Restore(now time.Time, s protocol.Snapshot) error {
	if err := s.Validate(); err != nil {
		return err
	}
	c.begun, c.recorded = true, s.Path.Window
	c.path.restore(now, s.Path.Profile)
	c.measured = c.path.base() > 0
	w := &c.window
	w.size, w.good = float64(s.Path.Window), float64(min(max(s.Path.GoodWindow, 0), protocol.MaxWindow))
	w.threshold = float64(min(max(s.Path.Threshold, 1), protocol.MaxWindow))
	// One that was cutting goes on in congestion avoidance: what it waited for is over.
	if w.state = s.Path.State; w.state != protocol.SlowStart && w.state != protocol.Recovery {
		c.avoid()
	}
	c.remembered = map[protocol.Member]*group{}
	for i, r := range s.Groups {
		g := c.groups[0]
		if i > 0 {
			g = c.addGroup()
		}
		g.active = now
		g.rate.restore(now, r, c.view(Signal{}))
		for _, m := range r.Members {
			c.remembered[m] = g
		}
	}
	return nil
}

// restore takes over a recorded rate. One that was recovering begins with half of
// what was good.
func (r *rateLaw) restore(now time.Time, s protocol.GroupSnapshot, v pathView) {
	r.perSecond, r.good = s.Rate, s.GoodRate
	if r.state = protocol.CongestionAvoidance; s.State == protocol.Recovery {
		r.state, r.goal, r.resume = protocol.Recovery, s.GoodRate, s.GoodRate
	}
	r.scheduleUnpaid(now, v)
}

// Admit puts a prefix into the group that it was recorded in, else into the first.
func (c *GlobalCongestionController) Admit(l *Member) {
	g := c.remembered[l.ID]
	if g == nil || !slices.Contains(c.groups, g) { // it has been given up
		g = c.groups[0]
	}
	g.join(l)
}

// Remember has a controller that has judged nothing yet begin with what the destination is
// known for.
func (c *GlobalCongestionController) Remember(p protocol.NetworkProfile) {
	c.memory = &p
	c.Configure(c.config)
}

// first is the window of the first round.
func (c *GlobalCongestionController) first(cold int) int {
	if c.memory == nil {
		return cold
	}
	return c.memory.Window(cold)
}

// Known is what the destination is known for by now.
func (c *GlobalCongestionController) Known() *protocol.NetworkProfile {
	if own := c.path.NetworkProfile; own.Samples >= protocol.EnoughSamples || c.memory == nil && own.Samples > 0 {
		return &own
	}
	return c.memory
}
