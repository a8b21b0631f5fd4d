package coordination

import (
	"cmp"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
)

// tenant is whose transfers are: what they may use and what they tell is weighed by it
// first.
type tenant struct {
	name      string
	evidence  congestion.Evidence
	transfers []*TransferScheduler // whose windows are controlled, in this tick
	weight    float64              // by the last tick
	window    int                  // likewise
	since     time.Time            // of its last change between some slots and none
	pace      pace
}

// claim is the tenant's claim on the window: with the largest weight of its transfers
// that can use slots, so that making more of them gains nothing, and transfers without
// workers count for nothing.
func (x *tenant) claim(now time.Time) claim {
	sum := claim{weight: 1, floor: 1, current: 0, rank: rank(now, x.since, x.window > 0)}
	turn := time.Hour
	for _, t := range x.transfers {
		turn = min(turn, turnIntervals*t.terms.Leisure)
		sum.demand += float64(t.demand)
		sum.limit += float64(t.limit)
		sum.current += t.window
		if t.limit > 0 {
			sum.weight = max(sum.weight, float64(t.spec.Weight))
		}
	}
	sum.inTurn = now.Sub(x.since) < turn
	return sum
}

// divideTenants divides the window over the tenants.
func (c *PipelineCoordinator) divideTenants(now time.Time, window int) {
	if len(c.tenants) == 1 {
		c.tenants[0].window = window
		return
	}
	claims := c.allocator.claims[:0]
	for _, x := range c.tenants {
		claims = append(claims, x.claim(now))
	}
	c.allocator.claims = claims
	c.allocator.divide(window, claims)
	for i, x := range c.tenants {
		share := claims[i].share
		if (share > 0) != (x.window > 0) {
			x.since = now
		}
		x.window, x.weight = share, claims[i].weight
	}
}

// divideTransfers divides a tenant's window over its transfers by weight.
func (c *PipelineCoordinator) divideTransfers(now time.Time, x *tenant) {
	claims := c.allocator.claims[:0]
	for _, t := range x.transfers {
		claims = append(claims, claim{
			weight: float64(t.spec.Weight), floor: 1, demand: float64(t.demand), limit: float64(t.limit),
			current: t.window, rank: rank(now, t.since, t.window > 0), inTurn: now.Sub(t.since) < turnIntervals*t.terms.Leisure,
		})
	}
	c.allocator.claims = claims
	c.allocator.divide(x.window, claims)
	for i, t := range x.transfers {
		share := claims[i].share
		if (share > 0) != (t.window > 0) {
			t.since = now
		}
		t.window = share
	}
}

// paceTenants divides the rate of a group over the tenants that have a part in it, as
// the window is divided.
func (c *PipelineCoordinator) paceTenants(g groupLanes, usable func(window int) float64) {
	parts := 0
	for _, x := range c.tenants {
		x.pace = pace{}
		for _, t := range x.transfers {
			x.pace.window += t.pace.window
		}
		if x.pace.window > 0 {
			parts++
		}
	}
	claims := c.allocator.claims[:0]
	for _, x := range c.tenants {
		claims = append(claims, claim{weight: max(1, x.weight), demand: usable(x.pace.window)})
	}
	c.allocator.claims = claims
	if parts > 1 {
		c.allocator.fill(g.rate, claims)
	}
	for i, x := range c.tenants {
		if x.pace.rate = claims[i].fair; parts == 1 {
			x.pace.rate = g.rate
		}
	}
}

// tenantOf finds or makes a tenant.
func (c *PipelineCoordinator) tenantOf(name string) *tenant {
	i, known := slices.BinarySearchFunc(c.tenants, name, func(t *tenant, name string) int { return cmp.Compare(t.name, name) })
	if !known {
		c.tenants = slices.Insert(c.tenants, i, &tenant{name: name, evidence: congestion.NewEvidence()})
	}
	return c.tenants[i]
}

// forgetTenants drops those that have no transfers.
func (c *PipelineCoordinator) forgetTenants() {
	c.tenants = slices.DeleteFunc(c.tenants, func(t *tenant) bool {
		return !slices.ContainsFunc(c.transfers, func(x *TransferScheduler) bool { return x.tenant == t })
	})
}
