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
	sum.inTurn = now.Sub(x.since) < turn
	return sum
}

// divideTenants divides the window over the tenants.
func (d *Divider) divideTenants(now time.Time, window int) {
	if len(d.tenants) == 1 {
		d.tenants[0].window = window
		return
	}
	claims := d.allocator.claims[:0]
	for _, x := range d.tenants {
		claims = append(claims, x.claim(now))
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
