package fairshare

import (
	"cmp"
	"math"
	"slices"
)

// Unlimited is a demand that no capacity reaches.
const Unlimited = 1 << 30

// hysteresis is the change, relative to what is held, below which a share
// stays: every change of a grant costs a write and a wait for its acknowledgment.
const hysteresis = 0.1

// claim is one party's claim on a capacity.
type claim struct {
	// weight is the share relative to others; above 0.
	weight float64
	// base is what the party holds from elsewhere and is counted to its level,
	// floor what it gets before anybody gets more, demand what it is known to use.
	// Up to limit, if that is more, it gets what nobody is known to use, so that a
	// burst finds it.
	base, floor, demand, limit float64
	// current is what it holds of this capacity now.
	current int
	// rank orders parties among whom a single slot is to be given: lower first.
	// A party in turn keeps the slot it has, whatever its rank.
	rank   int64
	inTurn bool

	// fair is the exact share, share the whole slots.
	fair  float64
	share int
}

// allocator divides capacities by weighted max-min fairness. It holds scratch
// memory only.
type allocator struct {
	claims []claim
	order  []int
	events []levelEvent
}

// levelEvent is a level at which a party begins or ceases to rise with it.
type levelEvent struct{ level, slope float64 }

// fill sets the fair share of every claim: progressive filling (Bertsekas and
// Gallager, Data Networks, 6.5.2). It finds the level λ at which the shares
// clamp(λ·weight - base, floor, demand) sum to the capacity. Where the demands do
// not reach it, demand and limit take the place of floor and demand; where even
// the floors exceed it, the lowest ranks get theirs.
func (a *allocator) fill(capacity float64, claims []claim) {
	var floors, demands float64
	for i := range claims {
		c := &claims[i]
		c.demand = max(c.demand, 0)
		c.limit = max(c.limit, c.demand)
		c.floor = min(c.floor, c.demand)
		floors += c.floor
		demands += c.demand
	}
	switch {
	case floors >= capacity:
		a.fillFloors(capacity, claims)
	case demands > capacity:
		a.fillBetween(capacity, claims, (*claim).fromFloor)
	default:
		a.fillBetween(capacity, claims, (*claim).fromDemand)
	}
}

func (c *claim) fromFloor() (low, high float64)  { return c.floor, c.demand }
func (c *claim) fromDemand() (low, high float64) { return c.demand, c.limit }

// fillBetween raises the level until the shares, each within its bounds, sum to
// the capacity, which is not below the sum of the lower bounds.
func (a *allocator) fillBetween(capacity float64, claims []claim, bounds func(*claim) (low, high float64)) {
	level := a.level(capacity, claims, bounds)
	for i := range claims {
		low, high := bounds(&claims[i])
		claims[i].fair = min(max(level*claims[i].weight-claims[i].base, low), high)
	}
}

func (a *allocator) fillFloors(capacity float64, claims []claim) {
	a.sort(claims, func(i, j int) int {
		return cmp.Or(first(claims[i].keeps(0), claims[j].keeps(0)), cmp.Compare(claims[i].rank, claims[j].rank))
	})
	for _, i := range a.order {
		c := &claims[i]
		c.fair = min(c.floor, capacity)
		capacity -= c.fair
	}
}

// level sweeps the levels at which the sum of the shares bends.
func (a *allocator) level(capacity float64, claims []claim, bounds func(*claim) (low, high float64)) float64 {
	a.events = a.events[:0]
	for i := range claims {
		c := &claims[i]
		low, high := bounds(c)
		capacity -= low
		a.events = append(a.events,
			levelEvent{(c.base + low) / c.weight, c.weight},
			levelEvent{(c.base + high) / c.weight, -c.weight})
	}
	slices.SortFunc(a.events, func(x, y levelEvent) int { return cmp.Compare(x.level, y.level) })
	var level, slope float64
	for _, e := range a.events {
		if slope > 0 && slope*(e.level-level) >= capacity {
			break
		}
		capacity -= slope * (e.level - level)
		level = e.level
		slope += e.slope
	}
	if slope <= 0 {
		return level
	}
	return level + capacity/slope
}

// divide sets the shares of every claim in whole slots, never more than
// capacity in all: the fair shares rounded by largest remainder, then held to
// what is current where that differs little.
func (a *allocator) divide(capacity int, claims []claim) {
	if capacity <= 0 {
		for i := range claims {
			claims[i].fair, claims[i].share = 0, 0
		}
		return
	}
	a.fill(float64(capacity), claims)
	a.round(capacity, claims)
	a.steady(claims)
}

// round gives each its whole slots, and the rest to the largest remainders.
func (a *allocator) round(capacity int, claims []claim) {
	sum, fair := 0, 0.0
	for i := range claims {
		c := &claims[i]
		c.share = int(math.Floor(c.fair + 1e-9))
		sum += c.share
		fair += c.fair
	}
	left := min(capacity, int(math.Round(fair))) - sum
	if left <= 0 {
		return
	}
	a.sort(claims, func(i, j int) int {
		x, y := &claims[i], &claims[j]
		return cmp.Or(
			cmp.Compare(y.remainder(), x.remainder()),
			first(x.keeps(x.share), y.keeps(y.share)),
			cmp.Compare(x.rank, y.rank))
	})
	for _, i := range a.order {
		c := &claims[i]
		if left > 0 && float64(c.share+1) <= c.limit {
			c.share++
			left--
		}
	}
}

// remainder is quantized, so that arithmetic noise breaks no tie.
func (c *claim) remainder() float64 { return math.Round((c.fair - float64(c.share)) * 1e6) }

// keeps tells that the party has more than share now and may keep one more.
func (c *claim) keeps(share int) bool { return c.current > share && (share > 0 || c.inTurn) }

// first orders true before false.
func first(x, y bool) int {
	switch {
	case x && !y:
		return -1
	case y && !x:
		return 1
	}
	return 0
}

// steady keeps the current share of each claim that changes by a tenth of it at
// most, and evens out the sum among those it kept, so that the sum stays.
func (a *allocator) steady(claims []claim) {
	excess := 0
	for i := range claims {
		c := &claims[i]
		change := c.share - c.current
		c.fair = float64(c.share) // what the share is owed from here on
		if change != 0 && math.Abs(float64(change)) <= hysteresis*float64(c.current) && float64(c.current) <= c.limit {
			c.share = c.current
			excess -= change
		}
	}
	if excess == 0 {
		return
	}
	// The largest difference gives way first.
	a.sort(claims, func(i, j int) int {
		x, y := &claims[i], &claims[j]
		return cmp.Compare(y.difference(excess), x.difference(excess))
	})
	for _, i := range a.order {
		c := &claims[i]
		step := c.difference(excess)
		if step <= 0 {
			return
		}
		if excess > 0 {
			step = min(step, excess)
			c.share -= step
			excess -= step
		} else {
			step = min(step, -excess)
			c.share += step
			excess += step
		}
	}
}

// difference is how far the share may fall, or where the sum is short, rise.
func (c *claim) difference(excess int) int {
	if excess > 0 {
		return c.share - int(c.fair)
	}
	return int(c.fair) - c.share
}

func (a *allocator) sort(claims []claim, compare func(i, j int) int) {
	a.order = a.order[:0]
	for i := range claims {
		a.order = append(a.order, i)
	}
	slices.SortStableFunc(a.order, compare)
}
