package transfer

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

// Limit is what may be sent on one prefix.
type Limit struct {
	Prefix string
	// Window is the most requests in flight at once.
	Window int
	// Rate is the most requests started per second; 0 means that only the window limits.
	Rate float64
}

// Gate lets requests start within the limits of their prefix, first come, first
// served. It is safe for concurrent use.
type Gate struct {
	mu    sync.Mutex
	lanes map[string]*lane
}

// NewGate returns a gate that lets nothing through until Set.
func NewGate() *Gate { return &Gate{lanes: map[string]*lane{}} }

// Set replaces all limits. Prefixes that are not named have no window. Requests in
// flight go on, and nothing starts while they fill a shrunk window.
func (g *Gate) Set(limits []Limit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	granted := make(map[string]Limit, len(limits))
	for _, l := range limits {
		granted[l.Prefix] = l
		g.lane(l.Prefix)
	}
	for prefix, l := range g.lanes {
		l.set(granted[prefix], now)
		if l.idle() {
			delete(g.lanes, prefix)
		}
	}
}

// Acquire waits until a request on the prefix may start, and returns what must be
// called once when it has ended. The error is ctx's.
func (g *Gate) Acquire(ctx context.Context, prefix string) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	l := g.lane(prefix)
	w := &waiter{start: make(chan struct{})}
	l.queue = append(l.queue, w)
	l.pump(time.Now())
	g.mu.Unlock()
	select {
	case <-w.start:
	case <-ctx.Done():
		if g.withdraw(l, w) {
			return nil, ctx.Err()
		}
	}
	return sync.OnceFunc(func() { g.release(l) }), nil
}

// Throttled halves the rate at which requests on the prefix start until the next
// Set. Without a granted rate it halves the measured one.
func (g *Gate) Throttled(prefix string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.lanes[prefix]; l != nil {
		l.cut(time.Now())
	}
}

// limit returns the window and the rate in force; a rate of 0 means none.
func (g *Gate) limit(prefix string) (window int, rate float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[prefix]
	if l == nil {
		return 0, 0
	}
	return l.granted.Window, l.rate
}

func (g *Gate) lane(prefix string) *lane {
	l := g.lanes[prefix]
	if l == nil {
		l = &lane{}
		l.timer = time.AfterFunc(math.MaxInt64, func() { g.pumpLane(l) })
		l.timer.Stop()
		g.lanes[prefix] = l
	}
	return l
}

func (g *Gate) pumpLane(l *lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l.pump(time.Now())
}

func (g *Gate) release(l *lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l.inFlight--
	l.pump(time.Now())
}

// withdraw takes w out of the queue; false means that it has just been let through.
func (g *Gate) withdraw(l *lane, w *waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(l.queue, w)
	if i < 0 {
		return false
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	if len(l.queue) == 0 {
		l.timer.Stop()
	}
	return true
}

type waiter struct{ start chan struct{} }

// lane holds the requests of one prefix. The gate's mutex guards it.
type lane struct {
	granted Limit
	// rate in force, in requests per second: the granted one, or less after a cut; 0 for none.
	rate     float64
	wasCut   bool
	inFlight int
	queue    []*waiter
	// next is when the next request is due, at the rate in force.
	next   time.Time
	starts startRate
	// timer pumps the lane at next while requests wait for it.
	timer *time.Timer
}

// catchUp is how far starts may fall behind the rate and still be made up for: it
// covers the granularity of timers, and is the length of the longest burst.
const catchUp = 20 * time.Millisecond

// slowest is the least rate a cut leaves, in requests per second, so that a lane
// always finds out when it is let through again.
const slowest = 1.0

func (l *lane) idle() bool {
	return l.granted.Window == 0 && l.inFlight == 0 && len(l.queue) == 0
}

func (l *lane) set(granted Limit, now time.Time) {
	l.granted, l.rate, l.wasCut = granted, granted.Rate, false
	// A pace that has been lifted or raised must not hold the next start longer.
	if l.rate == 0 {
		l.next = now
	} else if soonest := now.Add(interval(l.rate)); l.next.After(soonest) {
		l.next = soonest
	}
	l.pump(now)
}

func (l *lane) cut(now time.Time) {
	if l.wasCut {
		return
	}
	l.wasCut = true
	rate := l.starts.perSecond(now)
	if l.granted.Rate > 0 {
		rate = min(rate, l.granted.Rate)
	}
	// The slowest rate must never lift a grant that is slower still.
	l.rate = max(rate/2, slowest)
	if l.granted.Rate > 0 {
		l.rate = min(l.rate, l.granted.Rate)
	}
	l.next = now.Add(interval(l.rate))
}

// pump lets through what may start now, and sets the timer for the next.
func (l *lane) pump(now time.Time) {
	l.timer.Stop()
	for len(l.queue) > 0 && l.inFlight < l.granted.Window {
		if l.rate > 0 && now.Before(l.next) {
			l.timer.Reset(l.next.Sub(now))
			return
		}
		l.start(now)
	}
}

func (l *lane) start(now time.Time) {
	close(l.queue[0].start)
	l.queue[0] = nil
	l.queue = l.queue[1:]
	l.inFlight++
	l.starts.add(now)
	if l.rate > 0 {
		if oldest := now.Add(-catchUp); l.next.Before(oldest) {
			l.next = oldest
		}
		l.next = l.next.Add(interval(l.rate))
	}
}

// interval is the time between starts at a rate, at most an hour.
func interval(rate float64) time.Duration {
	return time.Duration(min(float64(time.Second)/rate, float64(time.Hour)))
}

// startRate estimates how many requests start per second, over about the last second.
type startRate struct {
	since, last time.Time
	// weight sums exp(-age) over all starts, ages in seconds, as of last.
	weight float64
}

func (r *startRate) add(now time.Time) {
	if r.since.IsZero() {
		r.since, r.last = now, now
	}
	r.weight = r.weight*math.Exp(-now.Sub(r.last).Seconds()) + 1
	r.last = now
}

// perSecond divides by the weight that a rate of 1/s would have gathered since the
// first start, so that a young lane is not underestimated.
func (r *startRate) perSecond(now time.Time) float64 {
	if r.since.IsZero() {
		return 0
	}
	age := max(now.Sub(r.since), 50*time.Millisecond).Seconds()
	return r.weight * math.Exp(-now.Sub(r.last).Seconds()) / (1 - math.Exp(-age))
}
