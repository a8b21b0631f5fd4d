package coordination

import (
	"math"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// What one worker cannot do in a second, so that a report that says so is rejected:
// requests far beyond what a processor signs, bytes beyond the fastest network card of
// 400 Gb/s.
const (
	mostRequests = 1e6
	mostBytes    = 1e11
)

// What a report says beyond the following is not believed. It is taken in all the same:
// archives that have ended have ended.
const (
	// reportDelay is how late reports may come: by so much in all the time that they
	// say to have spanned may differ from that between their being heard. The difference
	// is forgotten with a time constant of delayMemory, since clocks drift.
	reportDelay = 30 * time.Second
	delayMemory = 10 * time.Minute
	// fastestRequest is a quarter of what a server on the same machine takes to store a
	// few bytes; longestRequest is the longest that a client waits.
	fastestRequest = 50 * time.Microsecond
	longestRequest = 10 * time.Minute
	// largestRequest is the most bytes that one can carry.
	largestRequest = 5 << 30
	// pacedBurst is how much faster than its rate a worker may be for a while, as rates
	// change and timers are late.
	pacedBurst = 2
	// slotMoves bounds the sum over the prefixes of what was in flight on each at most,
	// in windows: slots move from one to another.
	slotMoves = 2
)

// belief is what a report can be true of, by what its worker was granted and by the
// manager's clock.
type belief struct {
	elapsed time.Duration // since the report before
	most    int           // requests in flight
	ended   float64       // part of the requests that are said to have ended, and of their time
}

// believe judges a report as a whole, before it is acknowledged.
func (w *worker) believe(now time.Time, r protocol.Report) belief {
	l := &w.lease
	b := belief{elapsed: w.elapsed(now, r), most: l.most(), ended: 1}
	heard := now.Sub(l.reportedAt)
	if !l.reported || l.instance != r.Instance {
		l.owed = float64(b.most) * longestRequest.Seconds()
		return b
	}
	l.ahead += b.elapsed - heard
	l.ahead = time.Duration(float64(l.ahead) * math.Exp(-heard.Seconds()/delayMemory.Seconds()))
	var all protocol.PrefixCounters
	took := 0.0 // at least: half of what was accepted took the median or longer
	for _, p := range r.Prefixes {
		if lane := w.transfer.byName[p.Prefix]; lane != nil {
			growth := b.measures(p.Since(w.ensure(lane).counters))
			all = all.Plus(growth)
			took += max(growth.Busy.Seconds(), float64(growth.Accepted)*growth.AttemptP50.Seconds()/2)
		}
	}
	most, seconds := float64(b.most), b.elapsed.Seconds()
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

// elapsed is the time between the report before and this one, by the worker's clock
// where it tells, and as far as the manager's can confirm it.
func (w *worker) elapsed(now time.Time, r protocol.Report) time.Duration {
	l := &w.lease
	heard := now.Sub(l.reportedAt)
	if r.Uptime <= 0 || l.uptime <= 0 {
		return heard
	}
	said := r.Uptime - l.uptime
	return max(0, min(max(said, heard-reportDelay-l.ahead), heard+reportDelay-l.ahead))
}

// most is the most requests that the worker can have had in flight since the report
// before this one.
func (l *lease) most() int { return max(l.charge(), l.lapsed) }

// rate is the most requests per second that it can have started, 0 where no rate
// bounds them.
func (l *lease) rate() float64 {
	most := 0.0
	for _, v := range l.versions {
		if v.unpaced {
			return 0
		}
		most = max(most, v.rate)
	}
	if l.lapsed > 0 || l.floor > 0 {
		return 0 // a floor has no rate
	}
	return most
}

// allow adds what a grant allows on a prefix.
func (v *version) allow(window int, rate float64) {
	v.window += window
	v.rate += rate
	v.unpaced = v.unpaced || window > 0 && rate == 0
}

// growth is what is believed of the growth of counters.
func (b belief) growth(g protocol.PrefixCounters) protocol.PrefixCounters {
	if b.ended < 1 {
		for _, n := range []*int64{&g.Started, &g.Accepted, &g.Throttled, &g.Failed, &g.Bytes} {
			*n = int64(b.ended * float64(*n))
		}
		g.Busy = time.Duration(b.ended * float64(g.Busy))
	}
	g.Bytes = min(g.Bytes, protocol.SaturatingMul(g.Accepted, largestRequest))
	return b.measures(g)
}

// measures bounds what a report says of its last interval alone.
func (b belief) measures(p protocol.PrefixCounters) protocol.PrefixCounters {
	p.MaxInFlight = min(p.MaxInFlight, b.most)
	for _, d := range []*time.Duration{&p.AttemptP50, &p.ServiceP50, &p.ServiceP99} {
		if *d > 0 {
			*d = min(max(*d, fastestRequest), longestRequest)
		}
	}
	return p
}
