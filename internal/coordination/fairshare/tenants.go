package fairshare

import "time"

// claim is the tenant's claim on the window: with the largest weight of its transfers
// that can use slots, so that making more of them gains nothing, and transfers without
// workers count for nothing.
func (x *Tenant) claim(now time.Time) claim {
	sum := claim{weight: 1, floor: 1, current: 0, rank: rank(now, x.since, x.window > 0)}
	turn := time.Hour
	for _, t := range x.transfers {
		turn = min(turn, TurnIntervals*t.BaseInterval)
		sum.demand += float64(t.demand)
		sum.limit += float64(t.limit)
		sum.current += t.Window
		if t.limit > 0 {
			sum.weight = max(sum.weight, float64(t.Weight))
		}
	}
	if x.Weight > 0 {
		sum.weight = float64(x.Weight)
	}
	sum.inTurn = now.Sub(x.since) < turn
	return sum
}

// divideTenants divides the window over the tenants.
func (d *Divider) divideTenants(now time.Time, window int) {
	if len(d.tenants) == 1 {
		d.tenants[0].window = d.tenants[0].most(window)
		return
	}
	claims := d.allocator.claims[:0]
	for _, x := range d.tenants {
		c := x.claim(now)
		c.limit = min(c.limit, float64(x.most(window)))
		c.demand = min(c.demand, c.limit)
		claims = append(claims, c)
	}
	d.allocator.claims = claims
	d.allocator.divide(window, claims)
	for i, x := range d.tenants {
		share := claims[i].share
		if (share > 0) != (x.window > 0) {
			x.since = now
		}
		x.window, x.weight = share, claims[i].weight
	}
}

// most is how much of a window the tenant may have: a slot at least.
func (x *Tenant) most(window int) int {
	if x.Most == 0 {
		return window
	}
	return min(window, max(1, int(x.Most*float64(window))))
}

// Part is the part of what belongs to the tenant that a transfer has with so large a window, and
// of all tenants the weight of this one.
func (t *Transfer) Part() float64 {
	x, sum := t.Tenant, 0
	for _, other := range x.transfers {
		if other.Window > 0 {
			sum += other.Weight
		}
	}
	weight := max(1, x.weight)
	if x.Weight > 0 {
		weight = float64(x.Weight)
	}
	return weight * float64(t.Weight) / float64(max(sum, t.Weight, 1))
}

// divideTransfers divides a tenant's window over its transfers by weight.
func (d *Divider) divideTransfers(now time.Time, x *Tenant) {
	claims := d.allocator.claims[:0]
	for _, t := range x.transfers {
		claims = append(claims, claim{
			weight: float64(t.Weight), floor: 1, demand: float64(t.demand), limit: float64(t.limit),
			current: t.Window, rank: rank(now, t.since, t.Window > 0), inTurn: now.Sub(t.since) < TurnIntervals*t.BaseInterval,
		})
	}
	d.allocator.claims = claims
	d.allocator.divide(x.window, claims)
	for i, t := range x.transfers {
		share := claims[i].share
		if (share > 0) != (t.Window > 0) {
			t.since = now
		}
		t.Window = share
	}
}
