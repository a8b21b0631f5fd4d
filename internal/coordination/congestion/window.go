package congestion

import (
	"math"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// WindowFloor is the smallest window, in requests.
	WindowFloor = 4
	// A drain ends after drainMost, or drainLatencies, if no round tells before.
	drainMost      = 3 * time.Second
	drainLatencies = 5
	// Where queueCheckShare is left of what was in flight, and the latency has not fallen by more
	// than scatter, there was no queue.
	queueCheckShare = 0.6
	// fillShare of the pipe fills it and lets a little queue show; a doubling by which less than
	// that is accepted has found it full (BBR).
	fillShare = 1.25
	// pacedHeadroom times what paced rates have in flight is the window that lets
	// the rates, and the longest step of a probe, through.
	pacedHeadroom = 1.5
)

// windowLaw bounds the requests in flight over all groups, so that the path is full
// and its queue small. Where no rates are used it answers 503s as well.
type windowLaw struct {
	state     protocol.State
	size      float64
	threshold float64 // slow start doubles up to it whatever it measures

	good      float64 // the window of the last round that was clean and loaded
	proven    float64 // of the last such round with many requests of which hardly any failed
	resume    float64 // what was proven before an outage that goes on, or 0
	best      float64 // accepted rate that a doubling must exceed by a quarter
	plateau   int     // rounds in which it did not
	stride    float64 // next growth in congestion avoidance
	draining  bool    // this round empties the queue
	drained   float64 // window to return to after it
	steady    bool    // it was the same in the round before
	drainEnds time.Time
	overfull  int     // rounds in a row with twice the queue that there should be
	carried   float64 // the most per second before and during it
	found     float64 // the most accepted per second in the slow start that has just ended, or 0
	starved   int     // rounds with completions but no success
	late      int     // rounds in a row in which most requests timed out
	regaining bool    // slow start after an outage
	cuts      int64
	// overloaded: even the floor may be more than the path carries in time, as it was at
	// relieved, when the window was cut to ceiling.
	overloaded bool
	relieved   time.Time
	ceiling    float64

	queueCheck queueCheck
}

// floor is the smallest window; a smaller configured start is respected.
func (c *GlobalCongestionController) floor() float64 {
	if c.window.overloaded {
		return 1
	}
	return float64(min(WindowFloor, c.config.GlobalCongestionWindow))
}

// fastReporting tells that the window moves fast.
func (w *windowLaw) fastReporting() bool {
	return w.state == protocol.SlowStart || w.draining || w.stride > 1 || math.Abs(w.size-w.good) > scatter*w.good
}

// steer sets the window after a round. Where requests timed out at a window below the floor, it
// stays small for a while, unless there are several tenants, of whom one may only say so.
func (c *GlobalCongestionController) steer(now time.Time, s Signal) protocol.Reason {
	reason := c.applyWindowLaw(now, s)
	w := &c.window
	w.size = min(max(w.size, c.floor()), protocol.MaxWindow)
	if w.overloaded && w.size > w.ceiling && now.Sub(w.relieved) < outdated && c.known < 2 {
		w.size, reason = w.ceiling, ReasonRecentTimeouts
	}
	w.overloaded = w.overloaded && w.size < WindowFloor
	return reason
}

func (c *GlobalCongestionController) applyWindowLaw(now time.Time, s Signal) protocol.Reason {
	w := &c.window
	if !c.config.AdvancedFlowControl && (s.congested(c.config) || s.Accepted == 0 || w.state == protocol.FastRecovery || w.state == protocol.Recovery) {
		return c.answerThrottling(s)
	}
	w.starved = 0
	queueChecked := w.queueCheck
	w.queueCheck = queueCheck{}
	switch {
	case s.Accepted == 0:
		return ReasonAwaitingSuccess // an outage is for the rates
	case w.overflows(now, s):
		return ReasonDraining
	}
	w.drainEnds = time.Time{}
	switch {
	case w.draining:
		return c.endDrain(now, s)
	case c.unpacedThrottled(s):
		// Its rate is about to be set, and is what should limit.
		w.size = min(w.size, max(c.filled(), pacedHeadroom*s.Accepted*c.path.current()))
		return ReasonRatePending
	case s.PolicyLimited:
		return ReasonPolicyLimited
	case c.idle(s):
		return ReasonSenderLimited
	case c.slack(s):
		reason := c.followRates(s)
		w.proven = min(w.proven, w.size)
		return reason
	}
	w.steady = w.good == w.size
	w.good = w.size
	if s.acceptances() >= manyRequests && s.Failed < exceptions*s.Accepted {
		w.proven = w.size
	}
	if w.state == protocol.SlowStart {
		return c.slowStart(now, s)
	}
	w.queueCheck = queueChecked
	return c.follow(now, s)
}

// unpacedThrottled tells that groups without a rate were throttled, and that of what was
// accepted they had half or more: else the window grows on for the others.
func (c *GlobalCongestionController) unpacedThrottled(s Signal) bool {
	accepted, throttled := 0.0, false
	for _, g := range c.groups {
		if g.rate.perSecond == 0 && g.signal.congested(c.config) {
			accepted += g.signal.Accepted
			throttled = true
		}
	}
	return throttled && accepted >= s.Accepted/2
}

// followRates keeps the window a multiple of what is in flight where rates limit:
// large enough for them to grow, small enough for nothing to flood the path
// should they be lifted.
func (c *GlobalCongestionController) followRates(s Signal) protocol.Reason {
	wanted := pacedHeadroom*float64(s.InFlight) + WindowFloor
	paced := false
	for _, g := range c.groups {
		if g.rate.state != protocol.CongestionAvoidance {
			return ReasonAwaitingRecovery // what an outage leaves in flight says nothing of what comes after
		}
		paced = paced || g.rate.perSecond > 0
	}
	if !paced {
		return ReasonWindowUnderused
	}
	c.window.size = max(wanted, 0.9*c.window.size)
	return ReasonRateLimited
}

func (c *GlobalCongestionController) slowStart(now time.Time, s Signal) protocol.Reason {
	w := &c.window
	if w.regaining {
		return c.regain()
	}
	if s.Accepted >= fillShare*w.best {
		w.best, w.plateau = s.Accepted, 0
	} else if w.plateau++; c.bounded(s) {
		w.plateau = 0
	}
	reason := ReasonSlowStart
	if c.queue(s) > max(6, 0.3*w.size) {
		reason = ReasonQueueGrowth
	} else if w.plateau >= enough {
		reason = ReasonPlateau
	}
	switch {
	case reason == ReasonSlowStart:
		w.size *= 2
	case w.size < w.threshold:
		w.size *= 2
		return ReasonBelowThreshold
	default:
		w.size, w.found = min(w.size, c.filled()), c.path.rates.max()
		w.drainEnds = now.Add(c.drainPatience())
		c.avoid()
	}
	return reason
}

// bounded tells that rates limited the round.
func (c *GlobalCongestionController) bounded(s Signal) bool {
	bound := 0.0
	for _, g := range c.groups {
		if g.rate.perSecond == 0 {
			return false
		}
		switch {
		case g.signal.Started == 0: // idle
		case g.rate.probe.active: // the senders may not have followed yet
			bound += g.rate.probe.from
		default:
			bound += g.rate.perSecond
		}
	}
	return s.Started >= bindingShare*bound
}

// filled is a window that fills the path and lets a little queue show.
func (c *GlobalCongestionController) filled() float64 { return fillShare*c.path.pipe() + 2 }

// avoid enters congestion avoidance.
func (c *GlobalCongestionController) avoid() {
	w := &c.window
	w.state, w.regaining = protocol.CongestionAvoidance, false
	w.plateau, w.best, w.stride = 0, 0, 1
}

// queueTarget is the most requests that may wait. A path that is full by the last
// request alone is idle whenever one is late, so some always do.
func (c *GlobalCongestionController) queueTarget() float64 {
	return max(2*math.Sqrt(c.window.size), 1.5*(1-c.config.CongestionSensitivity)*c.window.size)
}

// follow steers the window by the queue that it causes.
func (c *GlobalCongestionController) follow(now time.Time, s Signal) protocol.Reason {
	w := &c.window
	c.baseProbed(now, s)
	target := c.queueTarget()
	queue := c.queue(s)
	if c.falseQueue(now, s, queue > target) {
		w.overfull = 0
		return ReasonFalseQueue
	}
	reason := c.answerQueue(s, queue, target)
	if queue <= 2*target {
		w.overfull = 0
	} else {
		w.overfull++
	}
	if doubt, doubted := c.doubt(now); doubted && !c.without.Has(Drain) {
		c.drain(now, s)
		return doubt
	}
	return reason
}

// answerQueue moves the window towards one whose queue is on target.
func (c *GlobalCongestionController) answerQueue(s Signal, queue, target float64) protocol.Reason {
	w := &c.window
	switch {
	case queue > 2*target:
		// So long a queue is no scatter: what is accepted is what the path carries.
		w.size = max(w.size/2, min(w.size, fillShare*s.Accepted*c.path.base()+2))
		w.stride = 1
		return ReasonLongQueue
	case queue > target:
		w.size -= 0.7 * (queue - 0.85*target)
		w.stride = 1
		return ReasonQueueAboveTarget
	case queue >= 0.7*target:
		w.stride = 1
		return ReasonQueueOnTarget
	case s.rampingUp():
		return ReasonRampingUp
	case !c.path.sound() && !w.steady:
		return ReasonBaseUnconfirmed
	}
	return c.stretch()
}

// doubt tells why the base latency should be measured anew, if it should. A queue that
// stays though the window shrank may be none.
func (c *GlobalCongestionController) doubt(now time.Time) (reason protocol.Reason, doubted bool) {
	w := &c.window
	switch {
	case w.overfull >= enough:
		return ReasonDrainLongQueue, true
	case !c.path.sound() && w.steady:
		return ReasonDrainUnconfirmedBase, true
	case c.path.baseAge(now) > outdated:
		return ReasonDrainStaleBase, true
	}
	return "", false
}

// stretch grows a window that causes no queue, faster each time: the path may have
// grown by any factor.
func (c *GlobalCongestionController) stretch() protocol.Reason {
	w := &c.window
	w.stride = max(w.stride, firstStep*w.size)
	w.size += min(w.stride, w.size)
	if c.config.AdvancedFlowControl {
		w.stride = min(2*w.stride, protocol.MaxWindow)
	}
	return ReasonQueueBelowTarget
}
