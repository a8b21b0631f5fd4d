package congestion

import (
	"math"
	"time"
)

const (
	// Fewer than fewRequests accepted give hardly a median to rely on, fewer than
	// manyRequests one that may lie far off.
	fewRequests  = 20
	manyRequests = 50
	// rampingUpShare times the requests that ended were started in a round that ramped up.
	rampingUpShare = 1.75
	// fullPipe times what was in flight is a pipe that this did not fill.
	fullPipe = 1.2
	// Medians of rounds scatter, and the smallest of many would lie as far below the true one,
	// so of each that is within it only scatterWeight counts.
	scatterWeight = 0.25
	// medianScatter over the root of the requests in it is how far a median lies off by
	// chance: thrice 1.25 σ (Kenney and Keeping, 1962), at a relative σ of one half.
	medianScatter = 2
)

// baseLatency estimates the latency without a queue, T₀, in seconds: the smallest median that is
// no scatter, until a drain, or what is taken for one, measures it. The window is drained where it
// is not sound, where it is old, and where a queue stays though the window shrinks.
type baseLatency struct {
	seconds float64
	at      time.Time
	// inFlight is the least of requests that were in flight when it was seen, rampingUp
	// whether it was in a round that ramped up, and sound that they did not fill the path.
	inFlight         float64
	rampingUp, sound bool
}

// observe goes with a round that has a latency.
func (b *baseLatency) observe(now time.Time, s Signal, latency float64) {
	few := s.acceptances() < fewRequests
	switch {
	case b.seconds == 0 || !s.rampingUp() && (latency <= b.seconds || b.rampingUp && !few):
		b.lower(now, s, latency)
	case latency <= (1+scatter)*b.seconds:
		b.at = now
	}
}

// confirm tells that the smallest is sound once the path has shown to hold more than was in flight
// when it was seen: pipe is what fills it.
func (b *baseLatency) confirm(pipe float64) {
	b.sound = b.sound || !b.rampingUp && pipe >= fullPipe*b.inFlight
}

// lower takes the present latency for the smallest, or where it may be no more than
// scatter below it, goes a part of the way: the smaller, the fewer requests it is of.
func (b *baseLatency) lower(now time.Time, s Signal, latency float64) {
	accepted := s.acceptances()
	few := accepted < fewRequests
	scattered := accepted < manyRequests || latency > (1-max(scatter, medianScatter/math.Sqrt(accepted)))*b.seconds
	if b.seconds > 0 && (few || !b.rampingUp && scattered) {
		b.seconds += scatterWeight * min(1, accepted/fewRequests) * (latency - b.seconds)
		b.at = now
		return
	}
	*b = baseLatency{seconds: latency, at: now, inFlight: float64(s.InFlight), rampingUp: few || s.rampingUp()}
}

// rebase takes the latency of a path that is not full for the smallest.
func (b *baseLatency) rebase(now time.Time, latency float64) {
	if latency > 0 {
		*b = baseLatency{seconds: latency, at: now, sound: true}
	}
}
