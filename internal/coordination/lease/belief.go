package lease

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// What a report says beyond the following is not believed. It is taken in all the same:
// archives that have ended have ended.
const (
	// reportDelay is how much more time reports may say to have spanned than passed between their being heard,
	// all in all: by how late the first came. They may say so much less as the last came late, and a worker sends
	// one when the one before is written, so that is the time since then and an interval at most. The difference
	// is forgotten as fast as two clocks may drift apart.
	reportDelay = 30 * time.Second
	// fastestRequest is a quarter of what a server on the same machine takes to store a
	// few bytes; longestRequest is the longest that a client waits.
	fastestRequest = 50 * time.Microsecond
	longestRequest = 10 * time.Minute
	// largestRequest is the most bytes that one can carry.
	largestRequest = 5 << 30
	// pacedBurst is how much faster than its rate a worker may be for a while, as rates
	// change and timers are late.
	pacedBurst = 2
)

// Belief is what a report can be true of, by what its worker was granted and by the
// manager's clock.
type Belief struct {
	// Elapsed is the time since the report before, Most the most requests in flight.
	Elapsed time.Duration
	Most    int
	ended   float64 // part of the requests that are said to have ended, and of their time
}

// Believe judges a report as a whole, before it is taken in; grown is by how much the
// counters of each prefix that is known have grown in it.
func (l *Ledger) Believe(now time.Time, r protocol.Report, grown []protocol.PrefixCounters) Belief {
	b := Belief{Elapsed: l.Elapsed(now, r), Most: l.most(), ended: 1}
	heard := now.Sub(l.reportedAt)
	if !l.reported || l.instance != r.Instance {
		l.owed, l.ahead = float64(b.Most)*longestRequest.Seconds(), 0
		return b
	}
	drift := time.Duration(2 * protocol.DriftBound * float64(heard))
	l.ahead += b.Elapsed - heard
	l.ahead -= min(max(l.ahead, -drift), drift)
	var all protocol.PrefixCounters
	took := 0.0 // at least: half of what was accepted took the median or longer
	for _, growth := range grown {
		growth = b.Measures(growth)
		all = all.Plus(growth)
		took += max(growth.Busy.Seconds(), float64(growth.Accepted)*growth.AttemptP50.Seconds()/2)
	}
	most, seconds := float64(b.Most), b.Elapsed.Seconds()
	possible := most * (1 + seconds/fastestRequest.Seconds())
	if rate := l.rate(); rate > 0 {
		possible = min(possible, pacedBurst*(rate*seconds+most))
	}
	b.ended = part(possible, float64(all.Accepted)+float64(all.Throttled)+float64(all.Failed))
	l.owed = min(l.owed+most*seconds, most*longestRequest.Seconds())
	b.ended = min(b.ended, part(l.owed, took))
	l.owed -= b.ended * took
	return b
}

// part is what a bound leaves of a figure, 1 at most.
func part(bound, said float64) float64 {
	if said <= bound {
		return 1
	}
	return bound / said
}

// Elapsed is the time between the report before and this one, by the worker's clock
// where it tells, and as far as the manager's can confirm it.
func (l *Ledger) Elapsed(now time.Time, r protocol.Report) time.Duration {
	heard := now.Sub(l.reportedAt)
	if r.Uptime <= 0 || l.uptime <= 0 {
		return heard
	}
	said := r.Uptime - l.uptime
	return max(0, min(max(said, -l.Interval()-l.ahead), heard+reportDelay-l.ahead))
}

// Growth is what is believed of the growth of counters.
func (b Belief) Growth(g protocol.PrefixCounters) protocol.PrefixCounters {
	if b.ended < 1 {
		for _, n := range []*int64{&g.Started, &g.Accepted, &g.Throttled, &g.Failed, &g.Bytes} {
			*n = int64(b.ended * float64(*n))
		}
		g.Busy = time.Duration(b.ended * float64(g.Busy))
		g.Newest, g.Before = b.sample(g.Newest), b.sample(g.Before)
	}
	g.Bytes = min(g.Bytes, protocol.SaturatingMul(g.Accepted, largestRequest))
	return b.Measures(g)
}

func (b Belief) sample(s protocol.Sample) protocol.Sample {
	for _, n := range []*int64{&s.Started, &s.Accepted, &s.Throttled, &s.Failed} {
		*n = int64(b.ended * float64(*n))
	}
	return s
}

// Measures bounds what a report says of its last interval alone.
func (b Belief) Measures(p protocol.PrefixCounters) protocol.PrefixCounters {
	p.MaxInFlight = min(p.MaxInFlight, b.Most)
	for _, d := range []*time.Duration{&p.AttemptP50, &p.ServiceP50, &p.ServiceP99} {
		if *d > 0 {
			*d = min(max(*d, fastestRequest), longestRequest)
		}
	}
	return p
}
