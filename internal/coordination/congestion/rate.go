package congestion

import (
	"math"
	"math/rand/v2"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// heavyThrottling is the throttled share that a cut ought to have ended.
	heavyThrottling = 0.3
	// bindingShare of the rate must be started for the rate to be what limits.
	bindingShare = 0.85
	// cutShare of the accepted rate is kept at a cut: while a policer refuses, the
	// accepted rate is its capacity, and a deep cut wastes it.
	cutShare = 0.99
	// probeBudget is the share of all requests that may be refused for the sake of
	// probes: the more of them one has cost, the later comes the next.
	probeBudget = 0.01
	// probeSoonest and probeLatest bound the mean time from the end of one probe to the
	// next, which is probeUnpaid where none has shown yet what it costs; a long step
	// that was lost shortens it. Each wait is between half of that and half more, so
	// that senders that share a policer do not probe together.
	probeSoonest = 1 * time.Second
	probeUnpaid  = 8 * time.Second
	probeLatest  = 20 * time.Second
	// probeLead before a probe is due reports become frequent: it begins at the end of
	// a round, and its first step should be heard of soon.
	probeLead = 2 * time.Second
	// probeGrowth multiplies the step of a probe that goes on.
	probeGrowth = 4
	// stepsSkipped is how many steps a probe skips that begins where next to nothing is
	// known: the first one then nearly doubles the rate.
	stepsSkipped = 3
	// lowestShare of the good rate, and never less than lowestRate per second, finds
	// out whether an outage is over.
	lowestShare = 0.005
	lowestRate  = 0.1
	// outageShare of the good rate, or less of it accepted, is an outage rather
	// than a limit.
	outageShare = 0.1
	// goodKept of the good rate stays in each round: the first rounds of an outage without
	// refusals accept a little, and from that nothing would find out when it is over.
	goodKept = 0.8
	// After goodHolds in an outage what was good before is no guide any more: goodFades of
	// it is kept in each further round, down to what finds out whether anything gets through.
	goodHolds = 3 * time.Minute
	goodFades = 0.9
	// rampStart of the good rate follows the first success after an outage.
	rampStart = 0.125
)

// rateLaw keeps what a group of prefixes starts per second below a policer.
type rateLaw struct {
	// state is CongestionAvoidance also while nothing polices: SlowStart is the way
	// back from an outage.
	state protocol.State
	// perSecond is the most requests started per second; 0 for no bound.
	perSecond float64
	// good is what was accepted per second in the last clean and loaded rounds.
	good float64
	// prior is the bound before the cuts of this fast recovery.
	prior float64
	// goal is where slow start ends, resume the bound from there on.
	goal, resume float64
	starved      int       // rounds with completions but no success
	since        time.Time // when the outage began that goes on
	binding      bool      // it limited the last round
	probe        probe
	events       congestionEvents
}

// congestionEvents counts since the start.
type congestionEvents struct{ cuts, recoveries, probesWon, probesLost int64 }

// probe is the search for a higher rate.
type probe struct {
	active  bool
	from    float64 // the rate before
	settled float64 // accepted rate before
	step    float64 // relative to from
	won     int     // steps in a row
	due     time.Time
	cost    int64 // how many requests were refused for it
}

// pathView is what a rate needs to know beyond its own signal.
type pathView struct {
	config  protocol.Config
	rand    *rand.Rand
	without Mechanism
	idle    bool // the workers had too little to send
	queued  bool // the path has more of a queue than it should
	// measured: something was accepted at some time, so a round without is an outage.
	measured bool
}

// polices tells that the group's state is that of its rate.
func (r *rateLaw) polices() bool {
	return r.perSecond > 0 || r.state != protocol.CongestionAvoidance
}

// free lifts the bound.
func (r *rateLaw) free() {
	*r = rateLaw{state: protocol.CongestionAvoidance, good: r.good, events: r.events}
}

// fastReporting tells that the rate moves fast or is about to, or waits to hear that an outage
// is over.
func (r *rateLaw) fastReporting(now time.Time) bool {
	wait := r.probe.due.Sub(now)
	soon := r.binding && wait < probeLead && wait > -probeUnpaid
	return r.state != protocol.CongestionAvoidance || r.probe.active || soon
}

func (r *rateLaw) lowest() float64 { return max(lowestRate, lowestShare*r.good) }

// round judges a round of the group.
func (r *rateLaw) round(now time.Time, s Signal, v pathView) protocol.Reason {
	if s.Completions <= 0 {
		return ReasonNoCompletions
	}
	reason := r.apply(now, s, v)
	// Lies about a path can have a probe won for ever.
	for _, rate := range []*float64{&r.perSecond, &r.good, &r.goal, &r.resume} {
		*rate = min(*rate, protocol.FastestRate)
	}
	return reason
}

func (r *rateLaw) apply(now time.Time, s Signal, v pathView) protocol.Reason {
	if s.Accepted > 0 {
		r.starved = 0
	} else if r.starved++; r.state != protocol.Recovery && r.dark(s, v) {
		r.recover(s)
		r.since = now
		return ReasonNoSuccess
	}
	if r.state == protocol.Recovery && s.Accepted == 0 && now.Sub(r.since) > goodHolds {
		r.good *= goodFades
	}
	switch r.state {
	case protocol.SlowStart:
		return r.regain(now, s, v)
	case protocol.FastRecovery:
		return r.fastRecovery(now, s, v)
	case protocol.Recovery:
		return r.recovery(s, v)
	default:
		return r.avoidance(now, s, v)
	}
}

// dark tells that nothing gets through any more. Before anything ever did, it may only
// take long to.
func (r *rateLaw) dark(s Signal, v pathView) bool {
	if !v.measured {
		return r.starved >= unmeasuredRounds
	}
	return r.starved >= steadyRounds || s.Throttles >= manyThrottles
}

// binds tells that the rate is what limited a round.
func (r *rateLaw) binds(s Signal) bool { return s.Started >= bindingShare*r.perSecond }

func (r *rateLaw) avoidance(now time.Time, s Signal, v pathView) protocol.Reason {
	if s.Accepted == 0 {
		return ReasonAwaitingSuccess // apply counts these rounds
	}
	if late := s.Throttles - s.Judged.Throttled; late > 0 && !r.probe.active && r.probe.due.Before(now.Add(probeLatest)) {
		// These are of a probe that has ended.
		r.probe.due = r.probe.due.Add(min(r.pays(late), probeLatest))
	}
	switch {
	case s.Judged.requests() == 0 && r.perSecond > 0:
		return ReasonSettling
	case s.congested(v.config) && r.probe.active:
		r.loseProbe(now, s, v)
		return ReasonProbeThrottled
	case s.congested(v.config):
		r.enterFastRecovery(s, r.perSecond)
		return ReasonThrottled
	}
	return r.follow(now, s, v)
}

// follow goes with a round that is not congested.
func (r *rateLaw) follow(now time.Time, s Signal, v pathView) protocol.Reason {
	binds := r.binds(s)
	r.binding = r.perSecond > 0 && binds && !v.without.Has(Probing)
	if !v.idle && (r.perSecond == 0 || binds) {
		r.good = max(s.Accepted, goodKept*r.good)
	}
	switch {
	case r.perSecond == 0:
		return ReasonUnpaced
	case !binds && v.queued:
		r.free()
		return ReasonPathLimited
	case r.probe.active:
		return r.judgeProbe(now, s, v)
	case binds && s.Judged.throttledShare() > tolerated(v.config)/4:
		// The edge itself: what is refused here is wasted without being congestion.
		r.perSecond = max(r.lowest(), min(r.perSecond, r.carried(s, r.perSecond)))
		return ReasonAtCapacity
	case r.binding && !now.Before(r.probe.due):
		r.probe.cost = 0
		r.raise(s, v)
		return ReasonProbeStarted
	case binds:
		return ReasonRateLimited
	}
	return ReasonRateUnderused
}

// judgeProbe goes on from a raised rate that was accepted, further each time; at
// the edge it keeps what was accepted.
func (r *rateLaw) judgeProbe(now time.Time, s Signal, v pathView) protocol.Reason {
	// Small steps end at the edge, which any refusal may be. A step that grew goes far,
	// and few refusals are starts that coincided.
	throttles := s.Judged.Throttled
	many := throttles > 1 && s.Judged.throttledShare() > tolerated(v.config)/4
	if many || throttles > 0 && r.probe.won <= 1 {
		r.perSecond = min(r.perSecond, max(r.probe.from, s.Accepted*cutShare))
		r.endProbe(now, s, v)
		return ReasonProbeEnded
	}
	r.probe.cost += s.Throttles
	grown := s.Accepted-r.probe.settled >= r.probe.from*r.probe.step/2
	if followed := grown || r.binds(s) && 2*s.Judged.ended() >= s.Completions; !followed {
		return ReasonProbePending
	}
	r.events.probesWon++
	r.probe.won++
	r.raise(s, v)
	return ReasonProbeAdvanced
}

// raise begins the next step of a probe. The first two are alike, as a policer lets
// a short burst through; then they grow.
func (r *rateLaw) raise(s Signal, v pathView) {
	r.probe.active, r.probe.from, r.probe.settled = true, r.perSecond, s.Accepted
	step := v.config.BandwidthProbingRate * math.Pow(probeGrowth, float64(max(r.probe.won-1, 0)))
	r.probe.step = min(step, 1) // a doubling, as slow start's
	r.perSecond *= 1 + r.probe.step
}

// loseProbe falls back to just below what was accepted: that is what the probe has
// found out.
func (r *rateLaw) loseProbe(now time.Time, s Signal, v pathView) {
	r.perSecond = max(r.lowest(), min(r.perSecond, cutShare*r.carried(s, r.probe.from)))
	r.endProbe(now, s, v)
}

// endProbe puts the next probe off by what this one has cost.
func (r *rateLaw) endProbe(now time.Time, s Signal, v pathView) {
	r.events.probesLost++
	// The larger the step, the less is known of where in it the capacity is.
	part := min(1, 2*v.config.BandwidthProbingRate/r.probe.step)
	wait := min(max(r.pays(r.probe.cost+s.Throttles), probeSoonest), probeLatest)
	r.probe = probe{due: now.Add(time.Duration(part * (0.5 + v.rand.Float64()) * float64(wait)))}
}

// pays is how long it takes until so many refusals are within the budget of probes.
func (r *rateLaw) pays(refused int64) time.Duration {
	return seconds(float64(refused) / (probeBudget * max(r.perSecond, lowestRate)))
}

// nextProbe is how long after now a probe is due, 0 if none is to come.
func (r *rateLaw) nextProbe(now time.Time) time.Duration {
	if r.perSecond == 0 || r.state != protocol.CongestionAvoidance || r.probe.active {
		return 0
	}
	return max(0, r.probe.due.Sub(now))
}

// scheduleProbe sets the next probe where none has shown what it costs.
func (r *rateLaw) scheduleProbe(now time.Time, v pathView) {
	r.probe = probe{due: now.Add(time.Duration((0.5 + v.rand.Float64()) * float64(probeUnpaid)))}
}

func (r *rateLaw) enterFastRecovery(s Signal, prior float64) {
	r.state, r.prior = protocol.FastRecovery, prior
	r.cut(s)
}

// cut falls back to just below what was accepted.
func (r *rateLaw) cut(s Signal) {
	r.events.cuts++
	r.probe.active = false
	r.perSecond = max(r.lowest(), cutShare*r.carried(s, r.perSecond))
}

// carried is what the policer accepted in a round with refusals. Rates of short rounds
// scatter, and the least of many is far below the true one; where a rate was what
// limited, the part of it that was not refused tells as much, and scatters less.
func (r *rateLaw) carried(s Signal, rate float64) float64 {
	if r.perSecond == 0 || !r.binds(s) {
		return s.Accepted
	}
	return max(s.Accepted, rate*(1-s.Judged.throttledShare()))
}

func (r *rateLaw) fastRecovery(now time.Time, s Signal, v pathView) protocol.Reason {
	switch {
	case s.Accepted == 0:
		return ReasonAwaitingSuccess // apply counts these rounds
	case s.Judged.Accepted == 0 && !s.congested(v.config):
		return ReasonSettling // few 503s may be all that an outage lets come back
	case !s.congested(v.config):
		r.state = protocol.CongestionAvoidance
		r.scheduleProbe(now, v)
		if r.prior == 0 && r.events.cuts == 1 {
			// What was accepted before the first cut of all is less than what would be: 503s come
			// back at once and successes after the service time, and what was throttled was the
			// first burst of senders that then held back.
			r.probe.due, r.probe.won = now, stepsSkipped
			r.binding = !v.without.Has(Probing)
		}
		return ReasonClean
	case s.Judged.throttledShare() > heavyThrottling:
		r.recover(s)
		r.since = now
		return ReasonPersistentThrottling
	}
	r.cut(s)
	return ReasonThrottled
}

// recover enters recovery, at half of what was accepted. What was accepted while
// others were refused is the capacity; where next to nothing was, or only what was
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
	if s.Judged.Accepted == 0 || s.Accepted <= outageShare*r.good {
		r.goal, r.resume = r.good, r.prior
	}
	r.state, r.binding, r.probe = protocol.Recovery, false, probe{}
	r.perSecond = max(r.lowest(), s.Accepted/2)
}

func (r *rateLaw) recovery(s Signal, v pathView) protocol.Reason {
	switch {
	case s.Accepted <= 0:
		r.perSecond = max(r.lowest(), r.perSecond/2)
		return ReasonOutagePersists
	case s.ThrottledShare() > tolerated(v.config):
		r.perSecond = max(r.lowest(), r.perSecond/2)
		return ReasonStillThrottled
	}
	r.state = protocol.SlowStart
	r.perSecond = max(r.ramp(v)*r.perSecond, rampStart*r.goal)
	return ReasonClean
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
	if r.perSecond *= r.ramp(v); r.perSecond < r.goal {
		return ReasonRegaining
	}
	r.state, r.perSecond = protocol.CongestionAvoidance, r.resume
	r.scheduleProbe(now, v)
	return ReasonRegained
}
