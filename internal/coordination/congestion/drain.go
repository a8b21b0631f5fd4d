package congestion

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// observeDrain forgets the smoothed latency where a window is left with each round: what was
// smoothed belongs to another.
func (w *windowLaw) observeDrain(path *pathModel) {
	if w.draining || w.state == protocol.SlowStart {
		path.latency = 0
	}
}

// baseProbed takes the latency for the smallest where slow start has just shown that the path
// carries more than it does now, with all of the window in use: then it is not full, and
// nothing waits. The smallest of slow start's own rounds is of few requests, and of the
// fastest of these.
func (c *GlobalCongestionController) baseProbed(now time.Time, s Signal) {
	w := &c.window
	if s.Accepted < bindingShare*w.found && s.Busy >= bindingShare*w.size {
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
	w.carried = max(w.carried, perSecond(float64(s.InFlight), c.path.current()))
	w.drainEnds = now.Add(c.drainPatience())
	w.size = max(w.size/2, c.floor())
}

// overflows tells that more is in flight than the window: some of what came back was sent
// before a drain, or in slow start.
func (w *windowLaw) overflows(now time.Time, s Signal) bool {
	return now.Before(w.drainEnds) && float64(s.InFlight) > (1+scatter)*w.size
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
	c.path.rebase(now)
	pipe := min(c.path.pipe(), w.carried*c.path.base())
	if pipe < fullPipe*w.size && w.size > c.floor() {
		c.drain(now, s)
		return ReasonDrainExtended
	}
	w.draining, w.size = false, max(w.size, min(w.drained, fillShare*pipe+2))
	return ReasonDrainEnded
}

// falseQueue tells that the window shrank for a queue that was none: what is in flight fell
// and the latency did not, so the smallest latency was measured wrong.
func (c *GlobalCongestionController) falseQueue(now time.Time, s Signal, queued bool) bool {
	p, inFlight, latency := &c.window.queueCheck, float64(s.InFlight), c.path.current()
	switch {
	case !queued:
		*p = queueCheck{}
		return false
	case p.inFlight == 0 || inFlight > p.inFlight || p.sizeClass != c.path.SizeClass:
		*p = queueCheck{inFlight, latency, c.path.SizeClass}
		return false
	case inFlight >= queueCheckShare*p.inFlight:
		return false
	}
	falseQueue := latency > (1-scatter)*p.latency
	*p = queueCheck{}
	if falseQueue {
		c.path.rebase(now)
	}
	return falseQueue
}

// queueCheck is how it was when the window began to shrink for a queue, in rounds in a row
// that the window limited; zero when it does not.
type queueCheck struct {
	inFlight, latency float64 // requests, seconds
	sizeClass         int
}
