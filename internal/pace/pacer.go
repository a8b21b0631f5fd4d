package pace

import (
	"math"
	"math/rand/v2"
	"time"
)

// Limit is what may be sent on one prefix.
type Limit struct {
	// Window is the most requests in flight at once.
	Window int
	// Rate is the most requests started per second; 0 means that only the window limits.
	Rate float64
}

// Floor is what a worker may send once its lease has ended: one request at a time,
// on one prefix.
func Floor() Limit { return Limit{Window: 1} }

// catchUp is how far starts may fall behind the rate and still be made up for: it
// covers the granularity of timers, and is the length of the longest burst.
const catchUp = 20 * time.Millisecond

// recheck is the longest wait returned while a cut grows back, since the rate rises
// meanwhile.
const recheck = 100 * time.Millisecond

// Pacer paces the requests of one prefix. It lets nothing through until Set.
// Times passed in must not run backwards. It is not safe for concurrent use.
type Pacer struct {
	granted  Limit
	alone    bool // the worker has no manager
	inFlight int
	// next is when the next request is due, at the rate that was in force at last.
	next, last time.Time
	starts     startRate
	cut        cut
	// delay is the part of an interval by which the next start is put off, after 503s
	// in a row. Pacers that were throttled because they started at the same moments
	// would otherwise do so forever, as their intervals are equal.
	delay     float64
	throttled int // in a row
	random    rand.PCG
}

// NewPacer returns a pacer. Pacers behind the same policer need different seeds.
func NewPacer(seed uint64) Pacer { return Pacer{random: *rand.NewPCG(seed, 0)} }

// Set replaces the grant. Requests in flight go on, and nothing starts while they fill a
// shrunk window. A grant above the previous one means that the manager knows better than
// the last 503s, so it ends a cut that is not so young that the manager can't have heard of it.
func (p *Pacer) Set(now time.Time, granted Limit) {
	if !(granted.Rate > 0) { // also for NaN
		granted.Rate = 0
	}
	if granted.Window > p.granted.Window || granted.above(p.granted) {
		p.cut.relax(now)
	}
	p.alone = false
	p.limit(now, granted)
}

// Narrow replaces the limit by one that the worker sets itself, within its grant, while it
// has no manager. It is no better known than the last 503s, so a cut stays.
func (p *Pacer) Narrow(now time.Time, own Limit) {
	p.alone = true
	p.limit(now, own)
}

func (p *Pacer) limit(now time.Time, granted Limit) {
	slumped := p.granted.Rate == 0 || granted.Rate <= slump*p.granted.Rate
	slowed := granted.Rate > 0 && interval(granted.Rate) > sparse && slumped
	p.granted = granted
	if slowed && !p.last.IsZero() {
		p.spread()
	}
	p.pullForward(now)
}

const (
	// sparse is the interval from which it matters when in it a pacer starts. An outage
	// slows all pacers at the same moment, and if they then try together, they discover
	// its end no sooner than one of them alone.
	sparse = time.Second
	// slump is the part of the rate that an outage leaves at most.
	slump = 0.5
)

// spread draws when in the interval after its last start the pacer starts next, but no
// sooner than it would have. It is drawn once for each start, however often the pacer is
// slowed before that: the latest of several draws would be late for all pacers.
func (p *Pacer) spread() {
	part := 1 + p.delay
	if p.delay >= 0 {
		part = p.uniform()
	}
	former := float64(p.next.Sub(p.last)) / float64(interval(p.granted.Rate))
	p.delay = max(part, former) - 1
	p.next = p.soonest(p.granted.Rate)
}

// above tells that the rate is higher.
func (l Limit) above(other Limit) bool {
	return other.Rate > 0 && (l.Rate == 0 || l.Rate > other.Rate)
}

// Limit returns what is in force: the grant, or less after a cut.
func (p *Pacer) Limit(now time.Time) Limit { return Limit{p.granted.Window, p.rate(now)} }

// InFlight counts the requests that were started and have not ended.
func (p *Pacer) InFlight() int { return p.inFlight }

// Ready tells whether a request may start, and if not, how long to wait before
// asking again: 0 means until End or Set, as the window is full.
func (p *Pacer) Ready(now time.Time) (ok bool, wait time.Duration) {
	if p.inFlight >= p.granted.Window {
		return false, 0
	}
	p.pullForward(now)
	wait = p.next.Sub(now)
	if wait <= 0 || p.rate(now) == 0 {
		return true, 0
	}
	if p.cut.rate > 0 {
		wait = min(wait, recheck)
	}
	return false, wait
}

// pullForward pulls the next start forward after the rate has risen.
func (p *Pacer) pullForward(now time.Time) {
	if rate := p.rate(now); rate == 0 {
		p.next = now
	} else if soonest := p.soonest(rate); p.next.After(soonest) {
		p.next = soonest
	}
}

// soonest is when the next request may start at a rate.
func (p *Pacer) soonest(rate float64) time.Time {
	return p.last.Add(time.Duration((1 + p.delay) * float64(interval(rate))))
}

// longestDelay, in intervals, separates pacers within a few 503s.
const longestDelay = 0.5

// jitter draws the delay of the next start.
func (p *Pacer) jitter() { p.delay = longestDelay * p.uniform() }

// uniform draws from 0 to 1.
func (p *Pacer) uniform() float64 { return float64(p.random.Uint64()>>11) / (1 << 53) }

// Start counts a request as started. It was Ready.
func (p *Pacer) Start(now time.Time) {
	p.inFlight++
	p.starts.add(now)
	p.last, p.delay = now, 0
	if rate := p.rate(now); rate > 0 {
		if oldest := now.Add(-catchUp); p.next.Before(oldest) {
			p.next = oldest
		}
		p.next = p.next.Add(interval(rate))
	}
}

// End counts a request as ended, however it did.
func (p *Pacer) End() { p.inFlight-- }

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
// first start, so that a new pacer is not underestimated.
func (r *startRate) perSecond(now time.Time) float64 {
	if r.since.IsZero() {
		return 0
	}
	age := max(now.Sub(r.since), 50*time.Millisecond).Seconds()
	return r.weight * math.Exp(-now.Sub(r.last).Seconds()) / (1 - math.Exp(-age))
}
