package upload

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"cargoship.dev/operator/internal/pace"
)

// Limit is what may be sent on one prefix.
type Limit struct {
	Prefix string
	// Window is the most requests in flight at once.
	Window int
	// Rate is the most requests started per second; 0 means that only the window limits.
	Rate float64
}

// Grant names the grant that limits come from, by its place in the order of grants.
type Grant struct{ Epoch, Sequence int64 }

func (g Grant) before(o Grant) bool {
	return g.Epoch < o.Epoch || g.Epoch == o.Epoch && g.Sequence < o.Sequence
}

// Gate lets requests start as internal/pace has it for their prefix, first come,
// first served. It is safe for concurrent use.
type Gate struct {
	mu      sync.Mutex
	lanes   map[string]*lane
	granted Grant
}

// NewGate returns a gate that lets nothing through until Set.
func NewGate() *Gate { return &Gate{lanes: map[string]*lane{}} }

// Set replaces all limits by those of a grant. Prefixes that are not named have no window.
// Requests in flight go on, and nothing starts while they fill a shrunk window.
func (g *Gate) Set(from Grant, limits []Limit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.granted = from
	now := time.Now()
	granted := make(map[string]Limit, len(limits))
	for _, l := range limits {
		granted[l.Prefix] = l
		g.lane(l.Prefix)
	}
	for prefix, l := range g.lanes {
		limit := granted[prefix]
		l.law.Set(now, pace.Limit{Window: limit.Window, Rate: limit.Rate})
		l.granted = from
		l.pump(now)
		if l.idle(now) {
			delete(g.lanes, prefix)
		}
	}
}

// Acquire waits until a request on the prefix may start, and returns what must be
// called once when it has ended, and the grant under whose limits it starts. The error
// is ctx's.
func (g *Gate) Acquire(ctx context.Context, prefix string) (release func(), from Grant, err error) {
	if err := ctx.Err(); err != nil {
		return nil, Grant{}, err
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
			return nil, Grant{}, ctx.Err()
		}
	}
	return sync.OnceFunc(func() { g.release(l) }), w.from, nil
}

// Accepted tells that a request on the prefix succeeded, Throttled that it was
// refused: then the rate at which requests start is cut for a while.
func (g *Gate) Accepted(prefix string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.lanes[prefix]; l != nil {
		l.law.Accepted()
	}
}

// Throttled is described with Accepted.
func (g *Gate) Throttled(prefix string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.lanes[prefix]; l != nil {
		l.law.Throttled(time.Now())
	}
}

// grant is the one that the limits in force come from.
func (g *Gate) grant() Grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.granted
}

// limit returns the window and the rate in force; a rate of 0 means none.
func (g *Gate) limit(prefix string) (window int, rate float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[prefix]
	if l == nil {
		return 0, 0
	}
	limit := l.law.Limit(time.Now())
	return limit.Window, limit.Rate
}

func (g *Gate) lane(prefix string) *lane {
	l := g.lanes[prefix]
	if l == nil {
		l = &lane{law: pace.NewLane(rand.Uint64()), granted: g.granted}
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
	l.law.End()
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

type waiter struct {
	start chan struct{}
	from  Grant // set before start is closed
}

// lane holds the requests of one prefix. The gate's mutex guards it.
type lane struct {
	law     pace.Lane
	granted Grant
	queue   []*waiter
	// timer pumps the lane when the next request is due, while requests wait for it.
	timer *time.Timer
}

func (l *lane) idle(now time.Time) bool {
	return l.law.Limit(now).Window == 0 && l.law.InFlight() == 0 && len(l.queue) == 0
}

// pump lets through what may start now, and sets the timer for the next.
func (l *lane) pump(now time.Time) {
	l.timer.Stop()
	for len(l.queue) > 0 {
		if ok, wait := l.law.Ready(now); !ok {
			if wait > 0 {
				l.timer.Reset(wait)
			}
			return
		}
		l.queue[0].from = l.granted
		close(l.queue[0].start)
		l.queue[0] = nil
		l.queue = l.queue[1:]
		l.law.Start(now)
	}
}
