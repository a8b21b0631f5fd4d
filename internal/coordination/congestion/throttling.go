package congestion

import "cargoship.dev/operator/internal/coordination/protocol"

// answerThrottling is the law without rates: the window is cut at 503s, and falls
// to the floor in an outage.
func (c *GlobalCongestionController) answerThrottling(s Signal) protocol.Reason {
	w := &c.window
	if s.Accepted > 0 {
		w.starved = 0
	} else if w.starved++; w.starved >= enough || c.measured && s.Throttles >= manyThrottles {
		w.state, w.regaining, w.draining = protocol.Recovery, false, false
		w.size = c.floor()
		return ReasonNoSuccess
	}
	switch {
	case s.Accepted == 0:
		return ReasonAwaitingSuccess
	case s.Judged.requests() == 0:
		return ReasonSettling
	case w.state == protocol.Recovery && !s.congested(c.config):
		w.state, w.best, w.plateau = protocol.SlowStart, 0, 0
		w.regaining = w.good > 0
		w.threshold = max(c.floor(), 0.9*w.good)
		w.size = max(w.size, firstStep*w.threshold)
		return ReasonClean
	case !s.congested(c.config):
		c.avoid()
		return ReasonClean
	case w.state == protocol.Recovery:
		return ReasonStillThrottled
	}
	w.state, w.regaining, w.draining = protocol.FastRecovery, false, false
	w.cuts++
	w.size = min(0.9*w.size, max(s.Accepted*c.path.current(), w.size/2))
	return ReasonThrottled
}

// regain grows back, unconditionally, towards the window that was good before.
func (c *GlobalCongestionController) regain() protocol.Reason {
	w := &c.window
	w.size = min(w.size*min(max(1+c.config.RecoveryAggressiveness, 1.1), 4), w.threshold)
	if w.size < w.threshold {
		return ReasonRegaining
	}
	c.avoid()
	return ReasonRegained
}
