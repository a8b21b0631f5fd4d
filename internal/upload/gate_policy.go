package upload

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"cargoship.dev/operator/internal/pace"
	"cargoship.dev/operator/internal/s3"
)

// Pace is what a policy lets the whole worker send, per second; 0 for any number.
type Pace struct {
	// Requests started, and bytes of bodies passed in either direction.
	Requests, Bytes float64
}

const (
	// bytesAhead is for how long, at the pace, what was let through may have bytes yet to pass:
	// so long that the next body is ready when the last one ends, and so short that few requests
	// wait in flight, where they would pass for a queue on the path.
	bytesAhead = 100 * time.Millisecond
	// piece is how long it takes to pass what passes at once.
	piece = 10 * time.Millisecond
	// leastPiece in bytes is what passes at once at the slowest.
	leastPiece = 512
	// recheckPace is the longest that is waited for at once, since the pace may change.
	recheckPace = 50 * time.Millisecond
	// heldShare of an interval is waited for the pace where it is what limits.
	heldShare = 0.5
)

// policyPace is what a gate holds back for a policy. Its mutex guards it.
type policyPace struct {
	// requests are those that start, bodies what they carry by what is known when they do, and
	// wire the bytes as they pass.
	requests, bodies, wire pace.Bucket
	// expected is what the last request carried, and with that what the next will.
	expected float64
	// waiting are the queues that only the pace holds back, in turn.
	waiting []*prefixQueue
	timer   *time.Timer
	held    stopwatch
	// passing counts the bodies that wait to pass.
	passing int
}

func (p *policyPace) init(pump func()) {
	p.timer = time.AfterFunc(math.MaxInt64, pump)
	p.timer.Stop()
	p.held.since = time.Now()
}

// Pace replaces the pace of the worker.
func (g *Gate) Pace(to Pace) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, p := time.Now(), &g.policy
	p.requests.Set(now, to.Requests, rand.Float64())
	p.bodies.Set(now, to.Bytes, 0)
	p.wire.Set(now, to.Bytes, 0)
	g.pumpWaiting(now)
}

// wait is how long the next request is held back.
func (p *policyPace) wait(now time.Time) time.Duration {
	return max(p.requests.Wait(now, 0), p.bodies.Wait(now, p.bodies.Rate()*bytesAhead.Seconds()))
}

// holds tells that a queue has to wait for the pace, or for queues that do.
func (p *policyPace) holds(now time.Time, q *prefixQueue) bool {
	wait := p.wait(now)
	if wait == 0 && len(p.waiting) == 0 {
		return false
	}
	if !slices.Contains(p.waiting, q) {
		p.waiting = append(p.waiting, q)
	}
	p.timer.Reset(wait)
	p.stop(now)
	return true
}

// take charges for a request that starts, and returns the bytes that it is expected to carry.
func (p *policyPace) take(now time.Time) (expected float64) {
	p.requests.Take(now, 1)
	p.bodies.Take(now, p.expected)
	return p.expected
}

// charge corrects what was expected of a request.
func (g *Gate) charge(expected float64, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.policy.bodies.Take(time.Now(), float64(bytes)-expected)
	g.policy.expected = float64(bytes)
}

func (g *Gate) pumpHeld() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pumpWaiting(time.Now())
}

// pumpWaiting lets the queues that wait for the pace through in turn, a request each.
func (g *Gate) pumpWaiting(now time.Time) {
	p := &g.policy
	p.timer.Stop()
	for len(p.waiting) > 0 {
		q := p.waiting[0]
		if !g.due(q, now) {
			p.waiting = p.waiting[1:]
			continue
		}
		if wait := p.wait(now); wait > 0 {
			p.timer.Reset(wait)
			break
		}
		p.waiting = append(p.waiting[1:], q)
		g.start(q, now)
	}
	p.stop(now)
}

// Pass waits until some of the next bytes of a body may pass, and returns how many: 1 at least
// and most at most, or 0 once the context has ended.
func (g *Gate) Pass(ctx context.Context, most int) int {
	n, wait := g.pass(most, 0)
	if n > 0 {
		return n
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	defer func() { g.pass(0, -1) }()
	g.pass(0, 1)
	for n == 0 {
		select {
		case <-ctx.Done():
			return 0
		case <-timer.C:
		}
		n, wait = g.pass(most, 0)
		timer.Reset(wait)
	}
	return n
}

// pass counts who waits, and takes what may pass now of so many bytes, or tells how long to wait.
func (g *Gate) pass(most, waits int) (n int, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, p := time.Now(), &g.policy
	p.passing += waits
	p.stop(now)
	rate := p.wire.Rate()
	if rate == 0 || most == 0 {
		return most, 0
	}
	if wait = p.wire.Wait(now, 0); wait > 0 {
		return 0, min(wait, recheckPace)
	}
	n = min(most, max(leastPiece, int(rate*piece.Seconds())))
	p.wire.Take(now, float64(n))
	return n, 0
}

// stop starts or stops the watch that tells for how long something was held back.
func (p *policyPace) stop(now time.Time) { p.held.run(now, p.passing > 0 || len(p.waiting) > 0) }

// paceLimits tells that the pace was what limited the worker since it was asked last.
func (g *Gate) paceLimits() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.policy.held.share(time.Now()) >= heldShare
}

// Bound has the requests of a client count for the pace, also those that do not pass the gate,
// and its bodies keep it.
func (g *Gate) Bound(o *s3.Options) {
	o.Pass = g.Pass
	o.Around = func(next http.RoundTripper) http.RoundTripper { return owingTransport{next, g} }
}

type admittedKey struct{}

// owingTransport counts the requests of bookkeeping: they are few and do not wait, but others
// have to make up for them.
type owingTransport struct {
	http.RoundTripper
	gate *Gate
}

// RoundTrip implements http.RoundTripper.
func (t owingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Context().Value(admittedKey{}) == nil {
		t.gate.owe()
	}
	return t.RoundTripper.RoundTrip(r)
}

// owe counts a request that was not admitted.
func (g *Gate) owe() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.policy.requests.Take(time.Now(), 1)
}

// stopwatch tells for what share of the time it has run.
type stopwatch struct {
	running   bool
	since, at time.Time // share was asked last; it was started or stopped
	ran       time.Duration
}

func (w *stopwatch) run(now time.Time, on bool) {
	if w.running {
		w.ran += now.Sub(w.at)
	}
	w.running, w.at = on, now
}

func (w *stopwatch) share(now time.Time) float64 {
	w.run(now, w.running)
	elapsed, ran := now.Sub(w.since), w.ran
	w.since, w.ran = now, 0
	if elapsed <= 0 {
		return 0
	}
	return ran.Seconds() / elapsed.Seconds()
}
