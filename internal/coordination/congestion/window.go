package congestion

import (
	"math"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// WindowFloor is the smallest window, in requests.
	WindowFloor = 4
	// plateauGrowth is the growth of the accepted rate below which doubling has
	// found the path full, three rounds in a row (BBR).
	plateauGrowth = 1.25
	plateauRounds = 3
	// drainAge is the age of the smallest latency at which one round is sent with
	// drainShare of the window, or with what leaves room on the path if that is less,
	// but drainLeast at least, so that the queue empties and T₀ shows again. The age
	// doubles with each drain that shows none lower, up to drainAgeMost.
	drainAge     = time.Minute
	drainAgeMost = 16 * time.Minute
	drainShare   = 0.55
	drainLeast   = 0.35
	// drainSlack times the window of the drain may have been in flight in a round
	// that tells; without one the drain ends after drainMost, or drainLatencies.
	drainSlack     = 1.1
	drainMost      = 3 * time.Second
	drainLatencies = 5
	// drainFall times the smallest latency, seen in a drain, says that there was a queue
	// in what it was measured from.
	drainFall = 0.9
	// emptyShare of what the path has carried says that it is not full.
	emptyShare = 0.85
	// drainRounds in a row with twice the queue that there should be call for a drain.
	drainRounds = 3
	// pressedShare of what was in flight, at more than pressedFall of the latency, is no
	// queue that shrinks.
	pressedShare = 0.6
	pressedFall  = 0.9
	// fillShare of the pipe fills it and lets a little queue show.
	fillShare = 1.25
	// movedShare is the change of the window by which it moves fast.
	movedShare = 0.1
	// strideShare of the window is the first step of its growth.
	strideShare = 1.0 / 8
	// pacedHeadroom times what paced rates have in flight is the window that lets
	// the rates, and the longest step of a probe, through.
	pacedHeadroom = 1.5
	// starvedRounds without any success are an outage.
	starvedRounds = 3
	// failedShare of what is accepted may fail where a window is well. On a thin path
	// requests time one another out at any window.
	failedShare = 0.1
	// unmeasuredRounds are, where nothing was ever accepted.
	unmeasuredRounds = 12
	// regainShare of the threshold is where slow start begins after an outage that
	// only the window can answer.
	regainShare = 0.25
)

// windowLaw bounds the requests in flight over all groups, so that the path is full
// and its queue small. Where no rates are used it answers refusals as well.
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
	emptied   bool    // the round before emptied the queue
	drainEnds time.Time
	overfull  int     // rounds in a row with twice the queue that there should be
	carried   float64 // the most per second before and during it
	drainWait time.Duration
	found     float64 // the most accepted per second in the slow start that has just ended, or 0
	starved   int     // rounds with completions but no success
	late      int     // rounds in a row in which most requests timed out
	regaining bool    // slow start after an outage
	cuts      int64
	// overloaded: even the floor may be more than the path carries in time.
	overloaded bool

	press press
}

// floor is the smallest window; a smaller configured start is respected.
func (c *GlobalCongestionController) floor() float64 {
	if c.window.overloaded {
		return 1
	}
	return float64(min(WindowFloor, c.config.GlobalCongestionWindow))
}

// relieve answers an outage without refusals, and requests that time out. If the path
// is gone, half the window is soon regained; if it is so thin that its requests time
// out one another, the window has to shrink until they don't.
func (w *windowLaw) relieve() {
	w.size = max(1, w.size/2)
	w.stride = 1
	w.overloaded = w.size < WindowFloor
	if w.state == protocol.SlowStart {
		w.state = protocol.CongestionAvoidance
	}
}

// lapse answers an outage of everything.
func (w *windowLaw) lapse() {
	if w.draining {
		w.size, w.draining = max(w.size, w.drained), false
	}
	w.relieve()
	w.resume, w.proven = max(w.resume, w.proven), 0
}

// restore ends an outage: a rate has led back to what was good before, and so the window
// may be what it was, if anything was proven.
func (w *windowLaw) restore() (restored bool) {
	if w.resume == 0 {
		return false
	}
	w.size, w.resume, w.draining = max(w.size, w.resume), 0, false
	return true
}

// overrun tells that requests have timed out for so long that more are in flight than
// the path carries in time.
func (w *windowLaw) overrun(s Signal) bool {
	if s.timesOut() {
		w.late++
	} else if s.Accepted > 0 {
		w.late = 0
	}
	return s.timesOut() && w.late >= starvedRounds
}

// fastReporting tells that the window moves fast.
func (w *windowLaw) fastReporting() bool {
	return w.state == protocol.SlowStart || w.draining || w.stride > 1 || math.Abs(w.size-w.good) > movedShare*w.good
}

// steer sets the window after a round.
func (c *GlobalCongestionController) steer(now time.Time, s Signal) protocol.Reason {
	reason := c.applyWindowLaw(now, s)
	c.window.size = min(max(c.window.size, c.floor()), protocol.MaxWindow)
	c.window.overloaded = c.window.overloaded && c.window.size < WindowFloor
	return reason
}

func (c *GlobalCongestionController) applyWindowLaw(now time.Time, s Signal) protocol.Reason {
	w := &c.window
	if !c.config.AdvancedFlowControl && (s.congested(c.config) || s.Accepted == 0 || w.state == protocol.FastRecovery || w.state == protocol.Recovery) {
		return c.answerRefusals(s)
	}
	w.starved = 0
	pressed := w.press
	w.press = press{}
	switch {
	case s.Accepted == 0:
		return ReasonAwaitingSuccess // an outage is for the rates
	case (w.draining || w.found > 0) && float64(s.InFlight) > drainSlack*w.size && now.Before(w.drainEnds):
		return ReasonDraining
	case w.draining:
		return c.endDrain(now, s)
	case c.unpacedRefused(s):
		// Its rate is about to be set, and is what should limit.
		w.size = min(w.size, max(c.filled(), pacedHeadroom*s.Accepted*c.path.current()))
		return ReasonRatePending
	case c.idle(s):
		return ReasonSenderLimited
	case c.slack(s):
		reason := c.followRates(s)
		w.proven = min(w.proven, w.size)
		return reason
	}
	w.steady = w.good == w.size
	w.good = w.size
	if s.acceptances() >= manyRequests && s.Failed < failedShare*s.Accepted {
		w.proven = w.size
	}
	if w.state == protocol.SlowStart {
		return c.slowStart(now, s)
	}
	w.press = pressed
	return c.follow(now, s)
}

// unpacedRefused tells that groups without a rate were refused, and that of what was
// accepted they had half or more: else the window grows on for the others.
func (c *GlobalCongestionController) unpacedRefused(s Signal) bool {
	accepted, refused := 0.0, false
	for _, g := range c.groups {
		if g.rate.perSecond == 0 && g.signal.congested(c.config) {
			accepted += g.signal.Accepted
			refused = true
		}
	}
	return refused && accepted >= s.Accepted/2
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
	if s.Accepted >= plateauGrowth*w.best {
		w.best, w.plateau = s.Accepted, 0
	} else if w.plateau++; c.bounded(s) {
		w.plateau = 0
	}
	reason := ReasonSlowStart
	if c.queue(s) > max(6, 0.3*w.size) {
		reason = ReasonQueueGrowth
	} else if w.plateau >= plateauRounds {
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
	c.emptied(now, s)
	target := c.queueTarget()
	queue := c.queue(s)
	if c.unfounded(now, s, queue > target) {
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
	case s.young():
		return ReasonRampingUp
	case !c.path.sound() && !w.steady && !c.path.surged:
		return ReasonBaseUnconfirmed
	}
	return c.stretch()
}

// doubt tells why the base latency should be measured anew, if it should. A queue that
// stays though the window shrank may be none.
func (c *GlobalCongestionController) doubt(now time.Time) (reason protocol.Reason, doubted bool) {
	w := &c.window
	switch {
	case w.overfull >= drainRounds:
		return ReasonDrainLongQueue, true
	case !c.path.sound() && w.steady:
		return ReasonDrainUnconfirmedBase, true
	case c.path.baseAge(now) > max(drainAge, w.drainWait):
		return ReasonDrainStaleBase, true
	}
	return "", false
}

// stretch grows a window that causes no queue, faster each time: the path may have
// grown by any factor.
func (c *GlobalCongestionController) stretch() protocol.Reason {
	w, reason := &c.window, ReasonQueueBelowTarget
	w.stride = max(w.stride, strideShare*w.size)
	if c.path.surged {
		w.stride, reason = w.size, ReasonPathFaster
	}
	w.size += min(w.stride, w.size)
	if c.config.AdvancedFlowControl {
		w.stride = min(2*w.stride, protocol.MaxWindow)
	}
	return reason
}
