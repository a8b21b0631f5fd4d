package congestion

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Each group has a half-open breaker. It is closed in congestion avoidance and fast recovery. It
// opens, as recovery, where nothing gets through: what was good, the rate and the window, is saved,
// and so little is sent that it only finds out when the outage is over. A success half-opens it, as
// slow start, which leads the rate back to what was saved; there it closes, and the window is what
// it was. An outage of one group among others, and requests that time one another out, halve the
// window instead of saving it.

// trips tells that nothing gets through any more. Before anything ever did, it may only
// take long to.
func (r *rateLaw) trips(s Signal, v pathView) bool {
	if !v.measured {
		return r.starved >= recentRounds
	}
	return r.starved >= enough || s.Throttles >= manyThrottles
}

// recover enters recovery, at half of what was accepted. What was accepted while
// others were throttled is the capacity; where next to nothing was, or only what was
// started before the last cut, that is unknown, and what was good before is the best guess.
func (r *rateLaw) recover(s Signal) {
	r.events.recoveries++
	if r.state != protocol.FastRecovery {
		r.prior = r.perSecond
	}
	if r.probe.active {
		r.prior = r.probe.from
	}
	r.goal, r.resume = cutShare*s.Accepted, cutShare*s.Accepted
	if s.Judged.Accepted == 0 || s.Accepted <= exceptions*r.good {
		r.goal, r.resume = r.good, r.prior
	}
	r.state, r.binding, r.probe = protocol.Recovery, false, probe{}
	r.perSecond = max(r.lowest(), s.Accepted/2)
}

func (r *rateLaw) recovery(s Signal, v pathView) protocol.Reason {
	switch {
	case s.Accepted <= 0:
		if s.Throttles == 0 {
			r.forget(s, v)
		}
		r.perSecond = max(r.lowest(), r.perSecond/2)
		return ReasonOutagePersists
	case s.ThrottledShare() > tolerated(v.config):
		r.perSecond = max(r.lowest(), r.perSecond/2)
		return ReasonStillThrottled
	}
	r.state = protocol.SlowStart
	r.perSecond = max(r.ramp(v)*r.perSecond, firstStep*r.goal)
	return ReasonClean
}

// forget ages what was good in an outage without 503s: what is sent may time out for being more than the path
// carries, and yet be less than half a percent of that. Soon where the senders have more to send than they do.
func (r *rateLaw) forget(s Signal, v pathView) {
	kept := outageKept
	if r.starved > recentRounds && !v.idle && !r.binds(s) {
		kept = goodKept
	}
	r.good *= kept
}

// ramp is the growth per clean round on the way back from an outage.
func (r *rateLaw) ramp(v pathView) float64 { return 1 + 2.5*v.config.RecoveryAggressiveness }

// regain grows back towards what was good before.
func (r *rateLaw) regain(now time.Time, s Signal, v pathView) protocol.Reason {
	switch {
	case s.Accepted == 0:
		return ReasonAwaitingSuccess // apply counts these rounds
	case s.congested(v.config):
		r.enterFastRecovery(s, r.resume)
		return ReasonThrottled
	}
	proven := r.perSecond
	if r.perSecond *= r.ramp(v); r.perSecond < r.goal {
		return ReasonRegaining
	}
	r.state, r.perSecond = protocol.CongestionAvoidance, r.resume
	if r.resume > 0 {
		r.perSecond = max(r.resume, proven) // lies may have left next to nothing to go back to
	}
	r.scheduleUnpaid(now, v)
	return ReasonRegained
}

// answerOutage changes the window for outages that no rate can answer.
func (c *GlobalCongestionController) answerOutage(now time.Time, s Signal, starved, regained bool) (reason protocol.Reason, answered bool) {
	switch over := c.window.overrun(s); {
	case starved && s.Accepted == 0:
		c.window.lapse(now)
		return ReasonOutageOfAll, true
	case starved:
		c.window.relieve(now)
		return ReasonOutageOfGroup, true
	case over:
		c.window.relieve(now)
		return ReasonTimeouts, true
	case regained:
		return ReasonRestored, c.window.restore()
	}
	return "", false
}

// relieve answers an outage without 503s, and requests that time out. If the path
// is gone, half the window is soon regained; if it is so thin that its requests time
// out one another, the window has to shrink until they don't.
func (w *windowLaw) relieve(now time.Time) {
	w.size = max(1, w.size/2)
	w.stride = 1
	w.overloaded, w.relieved, w.ceiling = w.size < WindowFloor, now, w.size
	if w.state == protocol.SlowStart {
		w.state = protocol.CongestionAvoidance
	}
}

// lapse answers an outage of everything.
func (w *windowLaw) lapse(now time.Time) {
	if w.draining {
		w.size, w.draining = max(w.size, w.drained), false
	}
	w.relieve(now)
	w.resume, w.proven = max(w.resume, w.proven), 0
}

// restore ends an outage: a rate has led back to what was good before, and so the window
// may be what it was, if anything was proven.
func (w *windowLaw) restore() (restored bool) {
	if w.resume == 0 {
		return false
	}
	w.size, w.resume, w.draining, w.overloaded = max(w.size, w.resume), 0, false, false
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
	return s.timesOut() && w.late >= enough
}
