package congestion

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// observed begins a decision: what the round tells, and window and rates as they were in it.
func (c *GlobalCongestionController) observed(s Signal) protocol.Decision {
	d := protocol.Decision{
		Round: protocol.RoundView{
			Length: s.Length, Median: s.Latency, Latency: seconds(c.path.current()), BaseLatency: seconds(c.path.base()),
			InFlight: s.InFlight, Queue: c.queue(s), QueueTarget: c.queueTarget(), SenderLimited: s.SenderLimited,
			RequestRates: s.requestRates(),
		},
		Window: protocol.WindowDecision{Before: int(c.window.size)},
	}
	for _, g := range c.groups {
		d.Groups = append(d.Groups, protocol.GroupDecision{
			Group: g.name, Before: g.rate.perSecond, State: c.state(g), LimitedBy: c.limitedBy(g, s), RequestRates: g.signal.requestRates(),
		})
	}
	return d
}

// limitedBy is what kept a group from sending more.
func (c *GlobalCongestionController) limitedBy(g *group, s Signal) protocol.Bottleneck {
	switch {
	case s.PolicyLimited:
		return protocol.ByPolicy
	case g.rate.perSecond > 0 && g.rate.binds(g.signal):
		return protocol.ByRate
	case c.idle(s):
		return protocol.BySource
	case !c.slack(s):
		return protocol.ByWindow
	}
	return ""
}

// conclude completes a decision by window and rates as they are now. What changes the
// state of a group is its rate, if that polices it before or after, else the window.
func (c *GlobalCongestionController) conclude(now time.Time, d *protocol.Decision) {
	w := &d.Window
	w.Window, w.State, w.BaseLatency = int(c.window.size), c.window.state, seconds(c.path.base())
	for i, g := range c.groups {
		x := &d.Groups[i]
		before, cause := x.State, w.Reason
		if x.Rate, x.State = g.rate.perSecond, c.state(g); g.policed || g.rate.polices() {
			cause = x.Reason
		}
		g.decided = x.Rate != x.Before || !c.config.AdvancedFlowControl
		x.NextProbe = g.rate.nextProbe(now)
		if x.State != before {
			d.Transitions = append(d.Transitions, protocol.Transition{Group: g.name, From: before, To: x.State, Cause: cause})
		}
	}
}

// undecided is the decision of a round without completions: it changes nothing.
func (c *GlobalCongestionController) undecided(now time.Time, s Signal) protocol.Decision {
	d := c.observed(s)
	d.Window.Reason = ReasonNoCompletions
	for i := range d.Groups {
		g := &d.Groups[i]
		g.Reason, g.LimitedBy, g.RequestRates = ReasonNoCompletions, "", protocol.RequestRates{}
	}
	c.conclude(now, &d)
	return d
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (s Signal) requestRates() protocol.RequestRates {
	return protocol.RequestRates{Started: s.Started, Accepted: s.Accepted, Throttled: s.Throttled, Failed: s.Failed}
}
