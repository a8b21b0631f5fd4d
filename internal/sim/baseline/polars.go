package baseline

import (
	"math"
	"time"
)

// Constants of Polars' rate limiter, rates in requests per second.
const (
	polarsInitial     = 1000
	polarsFloor       = 10
	polarsCeiling     = 50_000
	polarsRamp        = 2   // per tick, while searching and when reclaiming
	polarsProbe       = 0.1 // of the anchor, per tick
	polarsProbeMin    = 5
	polarsBeta        = 0.7
	polarsBlindBeta   = 0.5 // before goodput is known
	polarsSaturation  = 0.8 // of the rate that must be used for it to grow
	polarsSmoothing   = 0.8
	polarsIdle        = 0.9 // decay per idle tick towards the initial rate
	polarsTick        = time.Second
	polarsRefractory  = time.Second
	polarsQuietPeriod = 2 * time.Second
)

// polars doubles its rate each second until the first 503. That cuts it to 0.7 of
// the goodput, at most once a second; after two quiet seconds it doubles back to the
// goodput of before the cut, and then adds a tenth of that each second. It grows only
// while at least 0.8 of the rate is used.
//
// Source: crates/polars-io/src/cloud/http_rate_limit.rs of
// https://github.com/pola-rs/polars. Its separate bound on requests in flight is
// replaced by a pool of connections.
type polars struct {
	rate float64
	// anchor is the goodput at the last cut; 0 while searching.
	anchor float64
	// goodput is its smoothed measurement; 0 before the first.
	goodput float64
	cut     time.Time

	tick                           time.Time
	admitted, succeeded, throttled float64
}

func newPolars(Env) Limiter { return &polars{rate: polarsInitial} }

func (p *polars) Limit(time.Time) (int, float64) { return connections, p.rate }

func (p *polars) Start(now time.Time, _ int) {
	if p.tick.IsZero() {
		p.tick = now
	}
	p.admitted++
}

func (p *polars) Done(now time.Time, r Result) {
	switch r.Outcome {
	case Accepted:
		p.succeeded++
	case Throttled:
		p.throttled++
	case Failed, TimedOut:
	}
	if elapsed := now.Sub(p.tick); elapsed >= polarsTick {
		p.settle(now, elapsed.Seconds())
	}
	if r.Outcome == Throttled && (p.cut.IsZero() || now.Sub(p.cut) >= polarsRefractory) {
		p.decrease(now)
	}
}

// settle ends a tick that took elapsed seconds.
func (p *polars) settle(now time.Time, elapsed float64) {
	if p.succeeded > 0 {
		rate := p.succeeded / elapsed
		if p.goodput > 0 {
			rate = polarsSmoothing*rate + (1-polarsSmoothing)*p.goodput
		}
		p.goodput = rate
	}
	switch {
	case p.admitted == 0:
		if p.rate > polarsInitial {
			p.rate = polarsInitial + (p.rate-polarsInitial)*math.Pow(polarsIdle, math.Floor(elapsed))
		}
	case p.admitted >= polarsSaturation*p.rate*elapsed:
		p.rate = min(polarsCeiling, p.grown(now))
	}
	p.tick, p.admitted, p.succeeded, p.throttled = now, 0, 0, 0
}

// grown is the rate after a tick that used it up.
func (p *polars) grown(now time.Time) float64 {
	switch {
	case p.anchor == 0 && p.throttled == 0:
		return p.rate * polarsRamp
	case p.anchor == 0, now.Sub(p.cut) <= polarsQuietPeriod:
		return p.rate
	case p.rate < p.anchor:
		return min(p.anchor, p.rate*polarsRamp)
	default:
		return p.rate + max(polarsProbeMin, polarsProbe*p.anchor)
	}
}

func (p *polars) decrease(now time.Time) {
	beta := polarsBlindBeta
	p.anchor = p.rate
	if p.goodput > 0 {
		beta = polarsBeta
		p.anchor = min(p.rate, max(polarsFloor, p.goodput))
	}
	p.rate = max(polarsFloor, beta*p.anchor)
	p.cut = now
}
