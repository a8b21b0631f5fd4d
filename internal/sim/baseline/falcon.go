package baseline

import (
	"math"
	"time"
)

// Constants of Falcon's utility and of its search.
const (
	falconInitial = 1
	falconK       = 1.02 // price of one more request in flight
	falconB       = 10   // price of loss
	falconProbe   = 3 * time.Second
	falconSettle  = time.Second // of each probe, which is not measured
)

// falcon tries one number of requests in flight after another, three seconds each,
// and climbs the utility T/Kⁿ − T·B·L for throughput T and share of loss L. A step is
// proportional to the relative slope, and grows with each step in the same direction.
//
// Source: Arifuzzaman et al., "Falcon: Fair and Efficient Online File Transfer
// Optimization", IEEE TPDS 34(8), 2023, with its online gradient descent; loss is
// the share of drops instead of TCP's retransmissions.
type falcon struct {
	n, previous int
	utility     float64
	// run counts the steps in one direction, with its sign.
	run int

	began        time.Time
	bytes        float64
	ended, drops float64
}

func newFalcon(Env) Limiter { return &falcon{n: falconInitial} }

func (f *falcon) Limit(now time.Time) (int, float64) {
	if !f.began.IsZero() && now.Sub(f.began) >= falconProbe {
		f.step(now)
	}
	return f.n, 0
}

func (f *falcon) Start(now time.Time, _ int) {
	if f.began.IsZero() {
		f.began = now
	}
}

func (f *falcon) Done(now time.Time, r Result) {
	if now.Sub(f.began) < falconSettle {
		return
	}
	f.ended++
	f.bytes += float64(r.Bytes)
	if r.dropped() {
		f.drops++
	}
}

// step ends a probe and chooses the next number of requests in flight.
func (f *falcon) step(now time.Time) {
	seconds := (now.Sub(f.began) - falconSettle).Seconds()
	throughput := f.bytes / seconds
	loss := f.drops / max(1, f.ended)
	utility := throughput/math.Pow(falconK, float64(f.n)) - throughput*falconB*loss

	next := 2
	if f.previous > 0 {
		next = f.climb(utility)
	}
	f.previous, f.utility = f.n, utility
	f.n = min(connections, max(2, next))
	f.began, f.bytes, f.ended, f.drops = now, 0, 0, 0
}

// climb gives the next number of requests in flight, up the slope between the last
// two probes.
func (f *falcon) climb(utility float64) int {
	distance := float64(f.n - f.previous)
	if distance == 0 {
		distance = 1
	}
	slope := (utility - f.utility) / distance
	change := math.Abs(slope)
	if f.utility != 0 {
		change /= math.Abs(f.utility)
	}
	if slope >= 0 {
		f.run = max(0, f.run) + 1
	} else {
		f.run = min(0, f.run) - 1
	}
	step := float64(f.run) * math.Ceil(float64(f.n)*change)
	return f.n + int(min(connections, max(-connections, step)))
}
