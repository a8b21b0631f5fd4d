package coordination

import (
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// workerRound sums a worker's reports of one round.
type workerRound struct {
	seconds  float64
	inFlight int
	limited  bool
	settled  bool // it acted on its newest limits
	last     congestion.Rates
}

// prefixRound sums the reports on one of a worker's prefixes in one round.
type prefixRound struct {
	grew   bool // a report of this round told of the prefix
	growth protocol.PrefixCounters
	// judged is what came in the round of the requests that the last decision allowed.
	judged protocol.Sample
	last   congestion.Rates
}

// idle tells that nothing was sent in this round or the one before. Most prefixes that
// a worker ever had are that.
func (r *prefixRound) idle() bool { return !r.grew && r.last == (congestion.Rates{}) }

// endRounds ends the round when it has seen enough, and applies the law to it.
func (c *PipelineCoordinator) endRounds(now time.Time) {
	k := c.control
	c.evidence = c.evidence[:0]
	for _, x := range c.tenants {
		c.evidence = append(c.evidence, &x.evidence)
	}
	k.Hear(c.evidence)
	if !k.Over(now, c.interval(), c.coverage(now)) {
		return
	}
	signal := c.signal(now)
	signal.Length = k.Elapsed(now)
	c.decision = k.Round(now, signal)
	for _, w := range c.ordered {
		w.decided()
	}
	for _, t := range c.transfers {
		for _, l := range t.prefixes {
			l.model.EndRound(now, signal.Length, k.State(l.member), t.spec.Config)
		}
	}
	c.metrics.endRound(c, now, signal)
	k.Begin(now)
	for _, e := range c.evidence {
		e.Reset()
	}
}

// decided tells that a round was judged: a decision on a prefix stands until its rate changes.
func (w *worker) decided() {
	for _, wp := range w.prefixes {
		if wp.prefix.member.Decided() {
			wp.judgment.Decide()
		}
	}
}

// interval is the shortest report interval of the transfers with windows.
func (c *PipelineCoordinator) interval() time.Duration {
	interval := time.Minute
	for _, t := range c.transfers {
		if t.coordinated() && t.share.Window > 0 {
			interval = min(interval, t.terms.Interval)
		}
	}
	return interval
}

// coverage is the part of the granted windows that was reported on by workers
// that acted on their newest limits.
func (c *PipelineCoordinator) coverage(now time.Time) float64 {
	var granted, settled float64
	for _, w := range c.coordinatedWorkers() {
		if w.blocked || w.silent(now) {
			continue
		}
		window := float64(w.window())
		granted += window
		if w.round.settled {
			settled += window
		}
	}
	if granted == 0 {
		return 1
	}
	return settled / granted
}

// window sums the worker's granted windows.
func (w *worker) window() int { return w.share.Window() }

// signal sums the round over the workers, and over those of each prefix. A rate is
// taken over the time that a worker's reports span, not over the round: the two do
// not begin together.
func (c *PipelineCoordinator) signal(now time.Time) congestion.Signal {
	s := congestion.Signal{Latency: c.control.MedianLatency(c.evidence)}
	for _, t := range c.transfers {
		for _, l := range t.prefixes {
			l.member.Begin()
		}
	}
	var windows, limited, held int
	for _, w := range c.coordinatedWorkers() {
		w.endRound(now)
		if w.blocked {
			continue
		}
		s.InFlight += w.round.inFlight
		window := w.window()
		windows += window
		if w.round.limited {
			limited += window
		}
		if w.used.held {
			held += window
		}
		w.round = workerRound{last: w.round.last}
	}
	for _, t := range c.transfers {
		for _, l := range t.prefixes {
			s.Add(l.member.Signal)
		}
	}
	s.SenderLimited = windows > 0 && 2*limited >= windows
	s.PolicyLimited = c.policyLimited(s.InFlight, windows, held)
	return s
}

// endRound adds the worker's rates in the round to those of its prefixes. One that did
// not report in it counts as it last did, unless it has fallen silent.
func (w *worker) endRound(now time.Time) {
	w.round.last = congestion.Rates{}
	for _, wp := range w.prefixes {
		r := &wp.round
		if r.idle() {
			continue
		}
		switch {
		case w.round.seconds > 0:
			r.last = congestion.RatesOf(r.growth, w.round.seconds)
		case w.silent(now):
			r.last = congestion.Rates{}
		}
		if !w.blocked {
			wp.prefix.member.Count(r.last, r.growth, r.judged, &w.transfer.tenant.evidence)
			w.round.last.Add(r.last)
		}
		r.grew, r.growth, r.judged = false, protocol.PrefixCounters{}, protocol.Sample{}
	}
	if w.blocked {
		w.round = workerRound{}
	}
}
