package lease

import (
	"math"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Half is what a worker goes on with in all that may be cut off, and what stays charged
// for it: half of its window, but a request at a time at least.
func Half(window int) int {
	if window <= 1 {
		return max(window, 0)
	}
	return window / 2
}

// Ended is what has ended of a worker's grant, as Expire finds it.
type Ended int

const (
	// Nothing has ended.
	Nothing Ended = iota
	// Lapsed: the last lease is over. The worker may coast on.
	Lapsed
	// Floored: nor may it coast any more.
	Floored
)

// Expire finds out what is over by now. A lease that is over leaves its grant to coast on:
// as a whole for as long as the worker may have found it in the API a lease ago, and then by
// half, until the coasting time is over. What is left then is the floor. While a drain goes on, what
// grants allow more to a worker that coasts is charged from when on it may use that; else at once, as
// the window before the drain may have been given to others since.
func (l *Ledger) Expire(now time.Time, drains bool) Ended {
	held, charged := l.Held(), len(l.versions) > 0
	l.versions = slices.DeleteFunc(l.versions, func(v version) bool {
		over := !now.Before(v.expires) && (v.window == 0 || !now.Before(v.floored))
		if over && v.window > 0 {
			l.leave(v)
		}
		return over
	})
	for i := range l.versions {
		v := &l.versions[i]
		v.over = v.over || !now.Before(v.expires)
		if !drains || !now.Before(v.widened) {
			v.charge = v.most.Window
		}
		if v.over && !v.superseded.IsZero() && !now.Before(v.superseded.Add(v.lifetime)) {
			v.charge = Half(v.most.Window)
		}
	}
	switch {
	case charged && len(l.versions) == 0:
		return Floored
	case held && !l.Held():
		return Lapsed
	}
	return Nothing
}

// leave leaves the worker the floor of a grant on which it may coast no more.
func (l *Ledger) leave(v version) {
	l.floor = 1
	l.kept = l.kept.AtMost(v.most.Pace)
	l.lapsed = max(l.lapsed, v.most.Window)
	if l.over.Before(v.id) {
		l.over = v.id
	}
}

// Stored tells that the API holds a grant, or a later one: nobody finds an earlier one there.
func (l *Ledger) Stored(now time.Time, id protocol.GrantID) {
	for i := range l.versions {
		if v := &l.versions[i]; v.id.Before(id) && v.superseded.IsZero() {
			v.superseded = now
		}
	}
}

// Coasts tells that the worker's lease is over, and that it may go on all the same.
func (l *Ledger) Coasts() bool { return len(l.versions) > 0 && !l.Held() }

// Unacknowledged is what the worker may do under a grant, or under one before it that it has not left yet.
func (l *Ledger) Unacknowledged(g protocol.Grant) protocol.Charge {
	most := g.Charge()
	for i := range l.versions {
		most = most.Or(l.versions[i].most)
	}
	most.Pace = most.Pace.AtMost(l.kept)
	return most
}

// Halve gives the grant of a worker that may be cut off as its next one: the same archives
// and half of the windows and rates. The API then no longer holds what the worker has, which
// it learns if it is not cut off.
func Halve(g protocol.Grant) protocol.Grant {
	half := Half(g.Coasted())
	g.Sequence++
	g.Plan, g.CoastingWindow = false, 0
	g.Prefixes = slices.Clone(g.Prefixes)
	windows := make([]int, len(g.Prefixes))
	for i, p := range g.Prefixes {
		windows[i] = p.Window
	}
	Scale(windows, half)
	for i := range g.Prefixes {
		g.Prefixes[i].Window = windows[i]
		g.Prefixes[i].Rate /= 2
	}
	return g
}

// Coasted is how many requests a worker has in flight that coasts on a window and keeps to
// a part of it, at most half if it may be cut off.
func Coasted(window int, part float64, half bool) int {
	kept := min(window, max(1, int(math.Round(part*float64(window)))))
	if half {
		kept = min(kept, Half(window))
	}
	return kept
}

// Scale changes windows in proportion until they sum to a total.
func Scale(windows []int, total int) {
	sum := 0
	for _, w := range windows {
		sum += w
	}
	if sum == 0 {
		return
	}
	before, given := 0, 0
	for i, w := range windows {
		before += w
		windows[i] = before*total/sum - given
		given += windows[i]
	}
}
