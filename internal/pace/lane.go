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

// recheck is the longest wait told while a cut grows back, since the pace rises
// meanwhile.
const recheck = 100 * time.Millisecond

// Lane is the local law of one prefix. One that was not Set lets nothing through.
// Times passed in must not run backwards. It is not safe for concurrent use.
type Lane struct {
	granted  Limit
	inFlight int
	// next is when the next request is due, at the rate that was in force at last.
	next, last time.Time
	starts     startRate
	cut        cut
	// delay is the part of an interval by which the next start is put off, after
	// refusals in a row. Lanes that were refused because they started at the same
	// moments would else do so forever, as their intervals are alike.
	delay   float64
	refused int // in a row
	random  rand.PCG
}

// NewLane returns a lane. Lanes that may meet before one policer need seeds of their own.
func NewLane(seed uint64) Lane { return Lane{random: *rand.NewPCG(seed, 0)} }

// Set replaces the grant. What is in flight goes on, and nothing starts while it
// fills a shrunk window. A grant above the one before says that the manager knows
// better than the last refusals, so it ends a cut.
func (l *Lane) Set(now time.Time, granted Limit) {
	if !(granted.Rate > 0) { // also when it is no number
		granted.Rate = 0
	}
	if granted.Window > l.granted.Window || granted.above(l.granted) {
		l.cut = cut{}
	}
	slumped := l.granted.Rate == 0 || granted.Rate <= slump*l.granted.Rate
	slowed := granted.Rate > 0 && interval(granted.Rate) > sparse && slumped
	l.granted = granted
	if slowed && !l.last.IsZero() {
		l.scatter()
	}
	l.pullForward(now)
}

const (
	// sparse is the interval from which on it matters when in it a lane starts. In an
	// outage all lanes are slowed at the same moment, and what they try together finds
	// its end no sooner than one of them alone.
	sparse = time.Second
	// slump is the part of the rate that an outage leaves at most.
	slump = 0.5
)

// scatter draws when in the interval after its last start the lane starts next, but no
// sooner than it would have. It is drawn once for each start, however often the lane is
// slowed before that: the latest of several draws would be late for all lanes.
func (l *Lane) scatter() {
	part := 1 + l.delay
	if l.delay >= 0 {
		part = l.uniform()
	}
	former := float64(l.next.Sub(l.last)) / float64(interval(l.granted.Rate))
	l.delay = max(part, former) - 1
	l.next = l.soonest(l.granted.Rate)
}

// above tells that the rate is higher.
func (l Limit) above(other Limit) bool {
	return other.Rate > 0 && (l.Rate == 0 || l.Rate > other.Rate)
}

// Limit returns what is in force: the grant, or less after a cut.
func (l *Lane) Limit(now time.Time) Limit { return Limit{l.granted.Window, l.rate(now)} }

// InFlight counts the requests that were started and have not ended.
func (l *Lane) InFlight() int { return l.inFlight }

// Ready tells whether a request may start, and if not, how long to wait before
// asking again: 0 means until End or Set, as the window is full.
func (l *Lane) Ready(now time.Time) (ok bool, wait time.Duration) {
	if l.inFlight >= l.granted.Window {
		return false, 0
	}
	l.pullForward(now)
	wait = l.next.Sub(now)
	if wait <= 0 || l.rate(now) == 0 {
		return true, 0
	}
	if l.cut.rate > 0 {
		wait = min(wait, recheck)
	}
	return false, wait
}

// pullForward pulls the next start forward after the rate has risen.
func (l *Lane) pullForward(now time.Time) {
	if rate := l.rate(now); rate == 0 {
		l.next = now
	} else if soonest := l.soonest(rate); l.next.After(soonest) {
		l.next = soonest
	}
}

// soonest is when the next request may start at a rate.
func (l *Lane) soonest(rate float64) time.Time {
	return l.last.Add(time.Duration((1 + l.delay) * float64(interval(rate))))
}

// longestDelay, in intervals, parts lanes within a few refusals.
const longestDelay = 0.5

// putOff draws the delay of the next start.
func (l *Lane) putOff() { l.delay = longestDelay * l.uniform() }

// uniform draws from 0 to 1.
func (l *Lane) uniform() float64 { return float64(l.random.Uint64()>>11) / (1 << 53) }

// Start counts a request as started. It was Ready.
func (l *Lane) Start(now time.Time) {
	l.inFlight++
	l.starts.add(now)
	l.last, l.delay = now, 0
	if rate := l.rate(now); rate > 0 {
		if oldest := now.Add(-catchUp); l.next.Before(oldest) {
			l.next = oldest
		}
		l.next = l.next.Add(interval(rate))
	}
}

// End counts a request as ended, however it did.
func (l *Lane) End() { l.inFlight-- }

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
