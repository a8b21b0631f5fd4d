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

// PrefixLimit is what may be sent on one prefix.
type PrefixLimit struct {
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
// first served. It is safe for concurrent use. Slots that a grant moves from one prefix to another are free
// there once the requests on the first have ended: none starts while all windows together are full.
//
// Beyond that the whole worker may have a pace, which a policy sets.
type Gate struct {
	mu      sync.Mutex
	queues  map[string]*prefixQueue
	granted Grant
	// windows and inFlight are those of all prefixes together.
	windows, inFlight int
	policy            policyPace
}

// NewGate returns a gate that lets nothing through until Set.
func NewGate() *Gate {
	g := &Gate{queues: map[string]*prefixQueue{}}
	g.policy.init(g.pumpHeld)
	return g
}

// Set replaces all limits by those of a grant. Prefixes that are not named have no window.
// Requests in flight go on, and nothing starts while they fill a shrunk window.
func (g *Gate) Set(from Grant, limits []PrefixLimit) { g.replace(from, limits, (*pace.Pacer).Set) }

// Narrow replaces all limits by those that a worker without a manager sets itself, within
// its grant: pauses after 503s go on.
func (g *Gate) Narrow(from Grant, limits []PrefixLimit) {
	g.replace(from, limits, (*pace.Pacer).Narrow)
}

func (g *Gate) replace(from Grant, limits []PrefixLimit, replace func(*pace.Pacer, time.Time, pace.Limit)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.granted = from
	now := time.Now()
	granted := make(map[string]PrefixLimit, len(limits))
	g.windows = 0
	for _, l := range limits {
		granted[l.Prefix] = l
		g.windows += l.Window
		g.queue(l.Prefix)
	}
	for prefix, q := range g.queues {
		limit := granted[prefix]
		replace(&q.pacer, now, pace.Limit{Window: limit.Window, Rate: limit.Rate})
		q.granted = from
		g.pumpQueue(q, now)
		if q.idle(now) {
			delete(g.queues, prefix)
		}
	}
}

// Acquire waits until a request on the prefix may start, and returns what must be
// called once when it has ended, and the grant under whose limits it starts. The error
// is ctx's.
func (g *Gate) Acquire(ctx context.Context, prefix string) (release func(), from Grant, err error) {
	a, err := g.admit(ctx, prefix)
	if err != nil {
		return nil, Grant{}, err
	}
	return a.release, a.from, nil
}

// admission is a request that was let through.
type admission struct {
	// release must be called once when the request has ended.
	release func()
	from    Grant
	// charge tells how much the request carries, in bytes.
	charge func(bytes int64)
}

func (g *Gate) admit(ctx context.Context, prefix string) (admission, error) {
	if err := ctx.Err(); err != nil {
		return admission{}, err
	}
	g.mu.Lock()
	q := g.queue(prefix)
	w := &waiter{start: make(chan struct{})}
	q.waiting = append(q.waiting, w)
	g.pumpQueue(q, time.Now())
	g.mu.Unlock()
	select {
	case <-w.start:
	case <-ctx.Done():
		if g.withdraw(q, w) {
			return admission{}, ctx.Err()
		}
	}
	return g.admission(q, w), nil
}

func (g *Gate) admission(q *prefixQueue, w *waiter) admission {
	return admission{
		release: sync.OnceFunc(func() { g.release(q) }),
		from:    w.from,
		charge:  func(bytes int64) { g.charge(w.expected, bytes) },
	}
}

// spare lets a request through if it may start at once and none waits to.
func (g *Gate) spare(prefix string) (admission, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q, now := g.queues[prefix], time.Now()
	if q == nil || len(q.waiting) > 0 || len(g.policy.waiting) > 0 || g.policy.wait(now) > 0 {
		return admission{}, false
	}
	if ok, _ := q.pacer.Ready(now); !ok || g.inFlight >= g.windows {
		return admission{}, false
	}
	w := &waiter{start: make(chan struct{})}
	q.waiting = append(q.waiting, w)
	g.start(q, now)
	return g.admission(q, w), true
}

// Accepted reports that a request on the prefix succeeded, Throttled that it was throttled:
// then the rate at which requests start is cut for a while.
func (g *Gate) Accepted(prefix string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q := g.queues[prefix]; q != nil {
		q.pacer.Accepted()
	}
}

// Throttled is described with Accepted.
func (g *Gate) Throttled(prefix string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q := g.queues[prefix]; q != nil {
		q.pacer.Throttled(time.Now())
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
	q := g.queues[prefix]
	if q == nil {
		return 0, 0
	}
	limit := q.pacer.Limit(time.Now())
	return limit.Window, limit.Rate
}

func (g *Gate) queue(prefix string) *prefixQueue {
	q := g.queues[prefix]
	if q == nil {
		q = &prefixQueue{pacer: pace.NewPacer(rand.Uint64()), granted: g.granted}
		q.timer = time.AfterFunc(math.MaxInt64, func() { g.pump(q) })
		q.timer.Stop()
		g.queues[prefix] = q
	}
	return q
}

func (g *Gate) pump(q *prefixQueue) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pumpQueue(q, time.Now())
}

func (g *Gate) release(q *prefixQueue) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, full := time.Now(), g.inFlight >= g.windows
	g.inFlight--
	q.pacer.End()
	g.pumpQueue(q, now)
	if !full {
		return
	}
	for _, other := range g.queues {
		if g.inFlight >= g.windows {
			return
		}
		g.pumpQueue(other, now)
	}
}

// withdraw takes w out of the queue; false means that it has just been let through.
func (g *Gate) withdraw(q *prefixQueue, w *waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(q.waiting, w)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	if len(q.waiting) == 0 {
		q.timer.Stop()
	}
	return true
}

type waiter struct {
	start chan struct{}
	// Set before start is closed: the grant, and the bytes that it was charged for.
	from     Grant
	expected float64
}

// prefixQueue holds the requests of one prefix that wait to start. The gate's mutex guards it.
type prefixQueue struct {
	pacer   pace.Pacer
	granted Grant
	waiting []*waiter
	// timer pumps the queue when the next request is due, while requests wait for it.
	timer *time.Timer
}

func (q *prefixQueue) idle(now time.Time) bool {
	return q.pacer.Limit(now).Window == 0 && q.pacer.InFlight() == 0 && len(q.waiting) == 0
}

// pumpQueue lets through what may start now, and sets the timer for the next.
func (g *Gate) pumpQueue(q *prefixQueue, now time.Time) {
	q.timer.Stop()
	for g.due(q, now) {
		if g.policy.holds(now, q) {
			return
		}
		g.start(q, now)
	}
}

// due tells that a request of the queue may start now.
func (g *Gate) due(q *prefixQueue, now time.Time) bool { return g.inFlight < g.windows && q.due(now) }

// due tells that a request waits which the pacer lets start; else the timer is set for when that
// may be so.
func (q *prefixQueue) due(now time.Time) bool {
	if len(q.waiting) == 0 {
		return false
	}
	ok, wait := q.pacer.Ready(now)
	if !ok && wait > 0 {
		q.timer.Reset(wait)
	}
	return ok
}

// start lets the first request of a queue through.
func (g *Gate) start(q *prefixQueue, now time.Time) {
	w := q.waiting[0]
	w.from, w.expected = q.granted, g.policy.take(now)
	close(w.start)
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	q.pacer.Start(now)
	g.inFlight++
}
