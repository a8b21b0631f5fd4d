package baseline

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Constants of BBRv3; a request stands for a packet.
const (
	bbrInitialWindow  = 10
	bbrMinWindow      = 4
	bbrWindowGain     = 2
	bbrStartupGain    = 2.77
	bbrDrainGain      = 0.5
	bbrUpGain         = 1.25
	bbrDownGain       = 0.9
	bbrFullGrowth     = 1.25
	bbrFullRounds     = 3
	bbrLoss           = 0.02 // share of drops in a round that counts as congestion
	bbrStartupDrops   = 6
	bbrBeta           = 0.7
	bbrHeadroom       = 0.85 // of the bound on what is in flight, left to others
	bbrMinRTTWindow   = 10 * time.Second
	bbrProbeRTTTime   = 200 * time.Millisecond
	bbrProbeRTTRounds = 2               // the first still waited in the queue of before
	bbrCruise         = 2 * time.Second // plus up to a second at random
)

type bbrPhase int

const (
	bbrStartup bbrPhase = iota
	bbrDrain
	bbrDown
	bbrCruising
	bbrUp
	bbrProbeRTT
)

// bbr models the path by the highest rate of accepted requests and the shortest time
// of one, paces at the rate and keeps twice their product in flight. It probes for
// more every two to three seconds, drains after it, and yields to drops above 2 % of
// a round by a bound on what is in flight.
//
// Source: Cardwell et al., "BBR Congestion Control",
// https://datatracker.ietf.org/doc/draft-ietf-ccwg-bbr/, version 3, without what needs
// packets: acknowledgment aggregation, ECN and the fine slope of the upward probe. The
// time of a request varies by itself, far more than a packet's, and twice the shortest
// of all would not fill the path; so each round's median takes its place. Its check of
// that time drains to four requests as version 1 does: where nothing is dropped, half
// the pipe of version 3 does not empty the queue of several senders.
type bbr struct {
	rand  *rand.Rand
	phase bbrPhase
	// since is when the phase began, until when it ends, if by time; rounds have ended
	// in it.
	since, until time.Time
	phaseRounds  int

	// Requests per second: the highest of this and of the last probing cycle, and the
	// bound that drops put on it until the next probe.
	current, last, bound float64
	// high bounds what is in flight, from drops during a probe; an undropped round of
	// a probe that meets it raises it by step, which doubles.
	high, step float64

	minRTT   time.Duration
	minRTTAt time.Time
	times    []time.Duration // of the requests accepted in this round
	// stale makes the next sample the minimum, whatever it is.
	stale bool

	inFlight                       int
	round                          time.Time
	delivered, drops, mostInFlight float64

	fullRate   float64
	fullRounds int
}

func newBBR(e Env) Limiter {
	return &bbr{rand: e.Rand, bound: math.Inf(1), high: math.Inf(1)}
}

func (b *bbr) rate() float64 { return min(b.bound, max(b.current, b.last)) }

// product is the requests in flight that fill the path without a queue.
func (b *bbr) product() float64 { return b.rate() * b.minRTT.Seconds() }

func (b *bbr) gain() float64 {
	switch b.phase {
	case bbrStartup:
		return bbrStartupGain
	case bbrDrain:
		return bbrDrainGain
	case bbrUp:
		return bbrUpGain
	case bbrDown:
		return bbrDownGain
	case bbrCruising, bbrProbeRTT:
	}
	return 1
}

func (b *bbr) Limit(now time.Time) (int, float64) {
	b.advance(now)
	if b.rate() == 0 {
		return bbrInitialWindow, 0
	}
	window := min(bbrWindowGain*b.product(), b.high)
	switch b.phase {
	case bbrDown, bbrCruising:
		window = min(bbrWindowGain*b.product(), bbrHeadroom*b.high)
	case bbrProbeRTT:
		window = bbrMinWindow
	case bbrStartup, bbrDrain, bbrUp:
	}
	return int(min(connections, max(bbrMinWindow, window))), b.gain() * b.rate()
}

func (b *bbr) Start(now time.Time, inFlight int) {
	if b.round.IsZero() {
		b.round, b.minRTTAt = now, now
	}
	b.inFlight = inFlight
	b.mostInFlight = max(b.mostInFlight, float64(inFlight))
}

func (b *bbr) Done(now time.Time, r Result) {
	b.inFlight = max(0, b.inFlight-1)
	switch {
	case r.dropped():
		b.drops++
	case r.Outcome == Accepted:
		b.delivered++
		b.times = append(b.times, now.Sub(r.Started))
	}
	if r.Started.Before(b.round) || !now.After(b.round) {
		return
	}
	b.endRound(now)
}

// endRound takes a round's rate and drops into the model.
func (b *bbr) endRound(now time.Time) {
	rate := b.delivered / now.Sub(b.round).Seconds()
	b.current = max(b.current, rate)
	b.phaseRounds++
	b.sampleRTT(now)
	lossy := b.drops > bbrLoss*(b.drops+b.delivered)
	switch b.phase {
	case bbrStartup:
		b.grow(now, lossy && b.drops >= bbrStartupDrops)
	case bbrUp:
		b.raise(now, rate, lossy)
	case bbrDrain, bbrDown, bbrCruising, bbrProbeRTT:
		if lossy {
			b.bound = max(rate, bbrBeta*b.rate())
		}
	}
	b.round, b.delivered, b.drops, b.mostInFlight = now, 0, 0, 0
}

// sampleRTT takes the round's median time into the minimum.
func (b *bbr) sampleRTT(now time.Time) {
	if len(b.times) == 0 {
		return
	}
	slices.Sort(b.times)
	if rtt := b.times[len(b.times)/2]; b.minRTT == 0 || b.stale || rtt <= b.minRTT {
		b.minRTT, b.minRTTAt, b.stale = rtt, now, false
	}
	b.times = b.times[:0]
}

// grow ends the startup when the rate has stopped growing or too much is dropped.
func (b *bbr) grow(now time.Time, dropping bool) {
	if dropping {
		b.high = max(bbrMinWindow, b.product())
	}
	if b.full(b.current) || dropping {
		b.enter(bbrDrain, now, time.Time{})
	}
}

// raise ends an upward probe for the same reasons, and otherwise lifts the bound on
// what is in flight if it was met.
func (b *bbr) raise(now time.Time, rate float64, lossy bool) {
	if lossy {
		b.high = max(bbrMinWindow, bbrBeta*b.mostInFlight)
	} else if b.mostInFlight >= math.Floor(b.high) {
		b.high += b.step
		b.step *= 2
	}
	if b.full(rate) || lossy {
		b.enter(bbrDown, now, time.Time{})
	}
}

// full tells whether the rate has not grown for three rounds.
func (b *bbr) full(rate float64) bool {
	if rate >= bbrFullGrowth*b.fullRate {
		b.fullRate, b.fullRounds = rate, 0
		return false
	}
	b.fullRounds++
	return b.fullRounds >= bbrFullRounds
}

// advance moves through the phases that end by time or by what is in flight.
func (b *bbr) advance(now time.Time) {
	if b.phase != bbrStartup && b.phase != bbrProbeRTT && now.Sub(b.minRTTAt) > bbrMinRTTWindow {
		b.enter(bbrProbeRTT, now, now.Add(bbrProbeRTTTime))
		b.stale, b.minRTTAt = true, now
		return
	}
	ended := !b.until.IsZero() && !now.Before(b.until)
	switch b.phase {
	case bbrStartup, bbrUp:
	case bbrDrain, bbrDown:
		if float64(b.inFlight) <= b.product() || now.Sub(b.since) > time.Second {
			b.cruise(now)
		}
	case bbrCruising:
		if ended {
			b.probe(now)
		}
	case bbrProbeRTT:
		if ended && b.phaseRounds >= bbrProbeRTTRounds {
			b.cruise(now)
		}
	}
}

func (b *bbr) cruise(now time.Time) {
	b.enter(bbrCruising, now, now.Add(bbrCruise+time.Duration(b.rand.Float64()*float64(time.Second))))
}

// probe begins a cycle: older rates are forgotten, bounds from drops are lifted.
func (b *bbr) probe(now time.Time) {
	b.last, b.current = b.current, 0
	b.bound, b.step = math.Inf(1), 1
	b.fullRate, b.fullRounds = 0, 0
	b.enter(bbrUp, now, time.Time{})
}

func (b *bbr) enter(phase bbrPhase, now, until time.Time) {
	b.phase, b.since, b.until, b.phaseRounds = phase, now, until, 0
}
