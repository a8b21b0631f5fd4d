package congestion

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// observeDrain forgets the smoothed latency where a drain begins or ends: what was
// smoothed belongs to another window.
func (w *windowLaw) observeDrain(path *pathModel) {
	if w.drainedBefore != w.draining || w.draining || w.state == protocol.SlowStart {
		path.latency = 0
		w.drainedBefore = w.draining
	}
}

// emptied takes the latency for the smallest where slow start has just shown that the path
// carries more than it does now, with all of the window in use: then it is not full, and
// nothing waits. The smallest of slow start's own rounds is of few requests, and of the
// fastest of these.
func (c *GlobalCongestionController) emptied(now time.Time, s Signal) {
	w := &c.window
	if s.Accepted < emptyShare*w.found && s.Busy >= usedShare*w.size {
		c.path.rebase(now)
	}
	w.found = 0
}

// drain begins rounds with a part of the window, until the latency without a queue
// shows.
func (c *GlobalCongestionController) drain(now time.Time, s Signal) {
	w := &c.window
	if !w.draining {
		w.draining, w.drained, w.carried = true, w.size, 0
	}
	// By Little's law: rates of few and long rounds scatter more than latencies do.
	w.carried = max(w.carried, float64(s.InFlight)/max(c.path.current(), shortestLatency))
	w.drainEnds = now.Add(c.drainPatience())
	deepest := max(drainLeast*w.size, c.floor())
	w.size = max(min(drainShare*w.size, c.path.pipe()/(1.05*fullPipe)), deepest)
}

// overflows tells that more is in flight than the window: some of what came back was sent
// before a drain, or in slow start.
func (w *windowLaw) overflows(now time.Time, s Signal) bool {
	return now.Before(w.drainEnds) && float64(s.InFlight) > inFlightSlack*w.size
}

// drainPatience is how long what is in flight may take to fall to the window.
func (c *GlobalCongestionController) drainPatience() time.Duration {
	return max(drainMost, seconds(drainLatencies*c.path.current()))
}

// endDrain takes what the drain measured for the smallest latency. Where the latency
// fell like the window the path is full still, and the drain goes on. Else the
// window returns, to what fills the path at most.
func (c *GlobalCongestionController) endDrain(now time.Time, s Signal) protocol.Reason {
	w := &c.window
	fell := c.path.current() < latencyFall*c.path.base()
	c.path.rebase(now)
	pipe := min(c.path.pipe(), w.carried*c.path.base())
	if pipe < fullPipe*w.size && w.size > c.floor() {
		c.drain(now, s)
		return ReasonDrainExtended
	}
	w.draining, w.size = false, max(w.size, min(w.drained, fillShare*pipe+2))
	w.drainWait = min(2*max(drainAge, w.drainWait), drainAgeMost)
	if fell {
		w.drainWait = 0
	}
	return ReasonDrainEnded
}

// unfounded tells that the window shrank for a queue that was none: what is in flight fell
// and the latency did not, so the smallest latency was measured wrong.
func (c *GlobalCongestionController) unfounded(now time.Time, s Signal, queued bool) bool {
	p, inFlight, latency := &c.window.press, float64(s.InFlight), c.path.current()
	switch {
	case !queued:
		*p = press{}
		return false
	case p.inFlight == 0 || inFlight > p.inFlight || p.sizeClass != c.path.SizeClass:
		*p = press{inFlight, latency, c.path.SizeClass}
		return false
	case inFlight >= pressedShare*p.inFlight:
		return false
	}
	unfounded := latency > latencyFall*p.latency
	*p = press{}
	if unfounded {
		c.path.rebase(now)
	}
	return unfounded
}

// press is how it was when the window began to shrink for a queue, in rounds in a row
// that the window limited; zero when it does not.
type press struct {
	inFlight, latency float64 // requests, seconds
	sizeClass         int
}
