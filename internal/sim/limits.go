package sim

import (
	"slices"

	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/pace"
)

// allowed gives the limits that hold now, by prefix.
func (x *worker) allowed() map[int]pace.Limit {
	limits := map[int]pace.Limit{}
	switch now := x.clock(); {
	case x.grant.Drain || x.grant.Epoch == 0:
	case x.lease.held(now):
		x.granted(limits, 1, false)
	case x.lease.phase(now) == lease.Coasting:
		x.granted(limits, x.coast.Part(), false)
	case x.lease.phase(now) == lease.Isolated:
		x.granted(limits, x.coast.Part(), true)
	case x.lease.expired(now):
		x.floor(limits)
	}
	return limits
}

// granted is what the grant allows, or the part of it that a coasting worker keeps to, half
// at most of one that may be cut off.
func (x *worker) granted(limits map[int]pace.Limit, part float64, half bool) {
	windows, sum := make([]int, len(x.grant.Prefixes)), 0
	for i, p := range x.grant.Prefixes {
		windows[i] = p.Window
		sum += p.Window
	}
	lease.Narrow(windows, lease.Coasted(sum, part, half))
	for i, p := range x.grant.Prefixes {
		l := x.prefixWork(p.Prefix)
		if l == nil {
			continue
		}
		rate := p.Rate
		if half {
			rate /= 2
		}
		limits[l.prefix.index] = pace.Limit{Window: windows[i], Rate: rate}
	}
}

// floor is one request at a time, on the first prefix that has archives left: the one
// that it has been on before, as long as that has.
func (x *worker) floor(limits map[int]pace.Limit) {
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
