package sim

import (
	"math"
	"time"
)

// limit is what may be sent on one prefix: requests in flight, and started per
// second (0: only the window limits).
type limit struct {
	Window int
	Rate   float64
}

// localLaw is the law of one worker on one prefix.
type localLaw interface {
	Set(now time.Time, granted limit)
	Ready(now time.Time) (ok bool, wait time.Duration)
	Start(now time.Time)
	End()
	Accepted()
	Throttled(now time.Time)
	InFlight() int
}

// gateLane is internal/transfer's gate on one prefix: it halves the rate at the
// first refusal after each grant.
type gateLane struct {
	granted  limit
	rate     float64
	wasCut   bool
	inFlight int
	next     time.Time

	since, last time.Time
	weight      float64
}

const (
	gateCatchUp = 20 * time.Millisecond
	gateSlowest = 1.0
)

func (l *gateLane) InFlight() int { return l.inFlight }
func (l *gateLane) End()          { l.inFlight-- }
func (l *gateLane) Accepted()     {}

func (l *gateLane) Set(now time.Time, granted limit) {
	l.granted, l.rate, l.wasCut = granted, granted.Rate, false
	if l.rate == 0 {
		l.next = now
	} else if soonest := now.Add(spacing(l.rate)); l.next.After(soonest) {
		l.next = soonest
	}
}

func (l *gateLane) Ready(now time.Time) (bool, time.Duration) {
	switch {
	case l.inFlight >= l.granted.Window:
		return false, 0
	case l.rate > 0 && now.Before(l.next):
		return false, l.next.Sub(now)
	}
	return true, 0
}

func (l *gateLane) Start(now time.Time) {
	l.inFlight++
	if l.since.IsZero() {
		l.since, l.last = now, now
	}
	l.weight = l.weight*math.Exp(-now.Sub(l.last).Seconds()) + 1
	l.last = now
	if l.rate > 0 {
		if oldest := now.Add(-gateCatchUp); l.next.Before(oldest) {
			l.next = oldest
		}
		l.next = l.next.Add(spacing(l.rate))
	}
}

func (l *gateLane) Throttled(now time.Time) {
	if l.wasCut || l.since.IsZero() {
		return
	}
	l.wasCut = true
	age := max(now.Sub(l.since), 50*time.Millisecond).Seconds()
	rate := l.weight * math.Exp(-now.Sub(l.last).Seconds()) / (1 - math.Exp(-age))
	if l.granted.Rate > 0 {
		rate = min(rate, l.granted.Rate)
	}
	l.rate = max(rate/2, gateSlowest)
	if l.granted.Rate > 0 {
		l.rate = min(l.rate, l.granted.Rate)
	}
	l.next = now.Add(spacing(l.rate))
}

func spacing(rate float64) time.Duration {
	return time.Duration(min(float64(time.Second)/rate, float64(time.Hour)))
}
