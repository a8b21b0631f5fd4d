package sim

import (
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/pace"
)

// allowed gives the limits that hold now, by prefix.
func (x *worker) allowed() map[int]pace.Limit {
	limits := map[int]pace.Limit{}
	switch now := x.clock(); {
	case x.grant.Drain || x.grant.Epoch == 0:
	case x.lease.held(now):
		x.granted(limits, x.grant.Window(), 1)
	case x.lease.phase(now) == lease.Coasting:
		x.granted(limits, x.coasted(now, false), 1)
	case x.lease.phase(now) == lease.Isolated:
		x.granted(limits, x.coasted(now, true), 0.5)
	case x.lease.expired(now):
		x.floor(limits)
	}
	return limits
}

// coasted is the sum of its windows for a worker that coasts, half at most if it may be cut off.
func (x *worker) coasted(now time.Duration, half bool) int {
	return lease.Coasted(x.lease.window(now, x.grant), x.coast.Part(), half)
}

// granted is what the grant allows with windows that sum to a total, and a part of its rates.
func (x *worker) granted(limits map[int]pace.Limit, total int, rates float64) {
	windows := make([]int, len(x.grant.Prefixes))
	for i, p := range x.grant.Prefixes {
		windows[i] = p.Window
	}
	lease.Scale(windows, total)
	for i, p := range x.grant.Prefixes {
		if l := x.prefixWork(p.Prefix); l != nil {
			limits[l.prefix.index] = pace.Limit{Window: windows[i], Rate: rates * p.Rate}
		}
	}
}

// floor is one request at a time, on the first prefix that has archives left: the one
// that it has been on before, as long as that has. A grant without any window leaves none.
func (x *worker) floor(limits map[int]pace.Limit) {
	if x.grant.Window() == 0 {
		return
	}
	if l := x.floorOn; l != nil && slices.ContainsFunc(l.assigned, x.unfinished) {
		limits[l.prefix.index] = pace.Floor()
		return
	}
	x.floorOn = nil
	for _, withWindow := range []bool{true, false} {
		for _, p := range x.grant.Prefixes {
			l := x.prefixWork(p.Prefix)
			if l == nil || (p.Window > 0) != withWindow || !slices.ContainsFunc(l.assigned, x.unfinished) {
				continue
			}
			limits[l.prefix.index] = pace.Floor()
			x.floorOn = l
			return
		}
	}
}
