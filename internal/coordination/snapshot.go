package coordination

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// maxMembers bounds the prefixes recorded with their groups. Groups that do not fit
// are found again.
const maxMembers = 4096

// snapshot records the window and the rates.
func (c *GlobalCongestionController) snapshot() (*PathSnapshot, []GroupSnapshot) {
	w := &c.window
	path := &PathSnapshot{
		Window: int(w.size), State: w.state, Threshold: int(w.threshold), GoodWindow: int(w.good),
		Profile: c.path.NetworkProfile,
	}
	var groups []GroupSnapshot
	members := 0
	for i, g := range c.groups {
		s := GroupSnapshot{Name: g.name, State: g.rate.state, Rate: g.rate.perSecond, GoodRate: g.rate.good}
		for _, l := range g.lanes {
			if i > 0 {
				s.Members = append(s.Members, Member{l.transfer.spec.ID, l.name})
			}
		}
		if members+len(s.Members) <= maxMembers {
			groups = append(groups, s)
			members += len(s.Members)
		}
	}
	return path, groups
}

// restore takes over what an earlier leader recorded.
func (c *PipelineCoordinator) restore(now time.Time, s Snapshot) error {
	if err := s.validate(); err != nil {
		return err
	}
	k := c.control
	k.begun, k.recorded = true, s.Path.Window
	k.path.restore(now, s.Path.Profile)
	k.measured = k.path.base() > 0
	w := &k.window
	w.size, w.good = float64(s.Path.Window), float64(min(max(s.Path.GoodWindow, 0), maxWindow))
	w.threshold = float64(min(max(s.Path.Threshold, 1), maxWindow))
	// One that was cutting goes on in congestion avoidance: what it waited for is over.
	if w.state = s.Path.State; w.state != SlowStart && w.state != Recovery {
		k.avoid()
	}
	k.remembered = map[Member]*group{}
	for i, r := range s.Groups {
		g := k.groups[0]
		if i > 0 {
			g = k.addGroup()
		}
		g.active = now
		g.rate.restore(now, r, k.view(Signal{}))
		for _, m := range r.Members {
			k.remembered[m] = g
		}
	}
	return nil
}

func (s Snapshot) validate() error {
	p := s.Path.Profile
	finite := []float64{p.Bandwidth, p.RequestRate, p.Trend, p.Confidence}
	members := 0
	for _, g := range s.Groups {
		finite = append(finite, g.Rate, g.GoodRate)
		if g.Rate < 0 || g.GoodRate < 0 {
			return fmt.Errorf("restore group %s: a rate is negative", g.Name)
		}
		members += len(g.Members)
	}
	for _, x := range finite {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("restore what epoch %d recorded: a number of it is not finite", s.Epoch)
		}
	}
	if s.Path.Window < 1 || s.Path.Window > maxWindow || len(s.Groups) > maxGroups || members > maxMembers {
		return fmt.Errorf("restore what epoch %d recorded: window %d, %d groups or %d members are out of bounds",
			s.Epoch, s.Path.Window, len(s.Groups), members)
	}
	return nil
}

// restore takes over a recorded rate. One that was recovering begins with half of
// what was good.
func (r *rateLaw) restore(now time.Time, s GroupSnapshot, v pathView) {
	r.perSecond, r.good = s.Rate, s.GoodRate
	if r.state = CongestionAvoidance; s.State == Recovery {
		r.state, r.goal, r.resume = Recovery, s.GoodRate, s.GoodRate
	}
	r.scheduleProbe(now, v)
}

// admit puts a lane into the group that it was recorded in, else into the first.
func (c *GlobalCongestionController) admit(l *lane) {
	g := c.remembered[Member{l.transfer.spec.ID, l.name}]
	if g == nil || !slices.Contains(c.groups, g) { // it has been given up
		g = c.groups[0]
	}
	g.join(l)
}
