package congestion

import (
	"math"
	"math/rand/v2"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// cutShare of the accepted rate is kept at a cut: while a policer throttles, the
	// accepted rate is its capacity, and a deep cut wastes it.
	cutShare = 0.99
	// probeBudget is the share of all requests that may be throttled for the sake of
	// probes: the more of them one has cost, the later comes the next. In an outage half that share
	// of the good rate finds out whether it is over.
	probeBudget = 0.01
	// probeLatest bounds the mean time from the end of one probe, or of a cut, to the next;
	// a long step that was lost shortens it. Each wait is between half of
	// that and half more, so that senders that share a policer do not probe together.
	probeLatest = 20 * time.Second
	// probeUnpaid is the same after an outage or with another leader, where nothing has shown
	// yet what a probe costs.
	probeUnpaid = 8 * time.Second
	// probeGrowth multiplies the step of a probe that goes on.
	probeGrowth = 4
	// stepsSkipped is how many steps a probe skips that begins where next to nothing is
	// known: the first one is then of a fifth.
	stepsSkipped = 2
	// lowestRate per second is the lowest at which an outage is looked for its end.
	lowestRate = 0.1
	// goodKept of the good rate stays in each round: the first rounds of an outage without
	// 503s accept a little, and from that nothing would find out when it is over. It is forgotten
	// as fast where even half a percent of it times out.
	goodKept = 0.8
	// outageKept of it stays in each round of such an outage where that isn't sure: of two minutes a third, which
	// finds the end nearly as soon. A rate that was a lie comes down to what a thin path carries in minutes.
	outageKept = 0.99
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
	starved      int  // rounds with completions but no success
	binding      bool // it limited the last round
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
	cost    int64 // how many requests were throttled for it
	// The probe before, or the cut, has ended then; the wait for this one is so many times
	// what pays for that.
	ended time.Time
	wait  float64
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

// fastReporting tells that the rate moves fast, or waits to hear that an outage is over, or that
// a probe is due before another report would come: it begins at the end of a round, and its first
// step should be heard of soon.
func (r *rateLaw) fastReporting(now time.Time, interval time.Duration) bool {
	soon := r.binding && r.probe.due.Sub(now).Abs() < interval
	return r.state != protocol.CongestionAvoidance || r.probe.active || soon
}

func (r *rateLaw) lowest() float64 { return max(lowestRate, probeBudget/2*r.good) }

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
	} else if r.starved++; r.state != protocol.Recovery && r.trips(s, v) {
		r.recover(s)
		return ReasonNoSuccess
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

// binds tells that the rate is what limited a round.
func (r *rateLaw) binds(s Signal) bool { return s.Started >= bindingShare*r.perSecond }

func (r *rateLaw) avoidance(now time.Time, s Signal, v pathView) protocol.Reason {
	if s.Accepted == 0 {
		return ReasonAwaitingSuccess // apply counts these rounds
	}
	if late := s.Throttles - s.Judged.Throttled; late > 0 && !r.probe.active && !r.probe.ended.IsZero() {
		r.payProbe(late)
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
	case !binds && v.queued && s.Failed <= exceptions*s.Accepted:
		r.free()
		return ReasonPathLimited
	case r.probe.active:
		return r.judgeProbe(now, s, v)
	case binds && s.Judged.throttledShare() > tolerated(v.config)/4:
		// The edge itself: what is throttled here is wasted without being congestion.
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
	if s.Judged.Throttled > 0 {
		r.perSecond = min(r.perSecond, max(r.probe.from, s.admitted()*cutShare))
		r.endProbe(now, s, v)
		return ReasonProbeEnded
	}
	r.probe.cost += s.Throttles
	grown := s.admitted()-r.probe.settled >= r.probe.from*r.probe.step/2
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
	r.probe.active, r.probe.from, r.probe.settled = true, r.perSecond, s.admitted()
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
	r.probe.cost += s.Throttles
	r.scheduleProbe(now, part, v)
}

// scheduleProbe sets the next probe so many times as long after now as pays for what was
// throttled in the one before, or in the cut that is over.
func (r *rateLaw) scheduleProbe(now time.Time, part float64, v pathView) {
	r.probe = probe{ended: now, wait: part * (0.5 + v.rand.Float64()), cost: r.probe.cost}
	r.payProbe(0)
}

// scheduleUnpaid sets the next probe where nothing has shown what it costs.
func (r *rateLaw) scheduleUnpaid(now time.Time, v pathView) {
	r.probe = probe{due: now.Add(time.Duration((0.5 + v.rand.Float64()) * float64(probeUnpaid)))}
}

// payProbe adds to what the probe before, or the cut, has cost: the next is due once that is
// within the budget.
func (r *rateLaw) payProbe(throttled int64) {
	p := &r.probe
	p.cost += throttled
	pays := float64(p.cost) / (probeBudget * max(r.perSecond, lowestRate))
	p.due = p.ended.Add(seconds(p.wait * min(pays, probeLatest.Seconds())))
}

// nextProbe is how long after now a probe is due, 0 if none is to come.
func (r *rateLaw) nextProbe(now time.Time) time.Duration {
	if r.perSecond == 0 || r.state != protocol.CongestionAvoidance || r.probe.active {
		return 0
	}
	return max(0, r.probe.due.Sub(now))
}

func (r *rateLaw) enterFastRecovery(s Signal, prior float64) {
	r.state, r.prior, r.probe.cost = protocol.FastRecovery, prior, s.Throttles
	r.cut(s)
}

// cut falls back to just below what was accepted.
func (r *rateLaw) cut(s Signal) {
	r.events.cuts++
	r.probe.active = false
	r.perSecond = max(r.lowest(), cutShare*r.carried(s, r.perSecond))
}

// carried is what the policer accepted in a round with 503s. Rates of short rounds
// scatter, and the least of many is far below the true one; where a rate was what
// limited, the part of it that was not throttled tells as much, and scatters less.
func (r *rateLaw) carried(s Signal, rate float64) float64 {
	if r.perSecond == 0 || !r.binds(s) {
		return s.admitted()
	}
	return max(s.admitted(), rate*(1-s.Judged.throttledShare()))
}

func (r *rateLaw) fastRecovery(now time.Time, s Signal, v pathView) protocol.Reason {
	r.probe.cost += s.Throttles
	switch {
	case s.Accepted == 0:
		return ReasonAwaitingSuccess // apply counts these rounds
	case s.Judged.Accepted == 0 && !s.congested(v.config):
		return ReasonSettling // few 503s may be all that an outage lets come back
	case !s.congested(v.config):
		r.state = protocol.CongestionAvoidance
		r.scheduleProbe(now, 1, v)
		if r.perSecond < r.prior/2 || r.prior == 0 {
			// Of the capacity is known, after a first cut and after a deep one, that it is below what
			// was sent, and what went through is less than what would have: senders held back.
			r.probe = probe{due: now, won: stepsSkipped}
			r.binding = !v.without.Has(Probing)
		}
		return ReasonClean
	case s.Judged.throttledShare() > heavyThrottling:
		r.recover(s)
		return ReasonPersistentThrottling
	}
	r.cut(s)
	return ReasonThrottled
}
