package coordination

import (
	"cmp"
	"math"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// tenant is whose transfers are: what they may use and what they tell is weighed by it
// first.
type tenant struct {
	name      string
	evidence  evidence
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
func (c *PipelineCoordinator) paceTenants(g *group, usable func(window int) float64) {
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
		c.allocator.fill(g.rate.perSecond, claims)
	}
	for i, x := range c.tenants {
		if x.pace.rate = claims[i].fair; parts == 1 {
			x.pace.rate = g.rate.perSecond
		}
	}
}

// evidence is what the workers of one tenant have told in this round.
type evidence struct {
	completions, throttles int64
	busy, slots            float64 // seconds of requests, and of slots granted
	bytes                  float64
	latencies              latencySketch
	// What it tells counts with these weights, 1 at most, so that no tenant tells more
	// than as many requests in flight can.
	weight, bytesWeight, busyWeight float64
}

// eloquence is how many times more requests, or bytes, the same requests in flight may
// tell of than those of the median tenant: answers and bodies differ, and refusals come
// at once.
const eloquence = 4

func (e *evidence) add(d protocol.PrefixCounters) {
	e.completions = protocol.SaturatingAdd(e.completions, d.Accepted+d.Throttled+d.Failed)
	e.throttles = protocol.SaturatingAdd(e.throttles, d.Throttled)
	e.busy += d.Busy.Seconds()
	e.bytes += float64(d.Bytes)
	e.latencies.add(d.Latency(), float64(d.Accepted))
}

func (e *evidence) reset() {
	e.completions, e.throttles, e.busy, e.slots, e.bytes = 0, 0, 0, 0, 0
	e.unweigh()
	e.latencies.reset()
}

func (e *evidence) unweigh() { e.weight, e.bytesWeight, e.busyWeight = 1, 1, 1 }

// used are the seconds of requests, no more than those of slots: a request counts with
// all its time when it ends.
func (e *evidence) used() float64 { return min(e.busy, e.slots) }

// weighted is a count with the weight of who tells it.
func (e *evidence) weighted(n int64) int64 {
	if e.weight == 1 {
		return n
	}
	return int64(math.Round(e.weight * float64(n)))
}

// weighEvidence sums what the tenants have told in this round. What is in flight is
// bounded by what was granted, so a tenant that tells of far more requests for what it
// had in flight than the median tenant, by requests in flight, is believed no more than
// a few times as many: whoever has a hundredth of the window moves no sum by more than
// some hundredths. With one tenant nothing is weighed.
func (c *PipelineCoordinator) weighEvidence() {
	var told []*evidence
	for _, t := range c.tenants {
		if t.evidence.unweigh(); t.evidence.completions > 0 {
			told = append(told, &t.evidence)
		}
	}
	k := c.control
	k.known = len(c.tenants)
	if k.tenants = len(told); k.tenants > 1 {
		requests := medianPerSlot(told, func(e *evidence) float64 { return float64(e.completions) })
		bytes := medianPerSlot(told, func(e *evidence) float64 { return e.bytes })
		for _, e := range told {
			e.weight = part(eloquence*requests*e.used(), float64(e.completions))
			e.bytesWeight = part(eloquence*bytes*e.used(), e.bytes)
			e.busyWeight = part(e.slots, e.busy)
		}
	}
	k.completions, k.throttles = 0, 0
	for _, e := range told {
		k.completions = protocol.SaturatingAdd(k.completions, e.weighted(e.completions))
		k.throttles = protocol.SaturatingAdd(k.throttles, e.weighted(e.throttles))
	}
}

// part is what a bound leaves of a figure, 1 at most.
func part(bound, said float64) float64 {
	if said <= bound {
		return 1
	}
	return bound / said
}

// medianPerSlot is the median of a figure over the seconds of requests, weighted by these.
func medianPerSlot(told []*evidence, figure func(*evidence) float64) float64 {
	perSlot := func(e *evidence) float64 { return figure(e) / max(e.used(), shortestLatency) }
	slices.SortStableFunc(told, func(x, y *evidence) int { return cmp.Compare(perSlot(x), perSlot(y)) })
	all, sum := 0.0, 0.0
	for _, e := range told {
		all += e.used()
	}
	for _, e := range told {
		if sum += e.used(); 2*sum >= all {
			return perSlot(e)
		}
	}
	return 0
}

// medianLatency is that of what was accepted in this round; of several tenants each
// counts with the requests that it had in flight.
func (c *PipelineCoordinator) medianLatency() time.Duration {
	if len(c.tenants) == 1 {
		return c.tenants[0].evidence.latencies.quantile(0.5)
	}
	c.latencies.reset()
	for _, t := range c.tenants {
		if e := &t.evidence; e.latencies.weight > 0 {
			c.latencies.merge(&e.latencies, e.used()/e.latencies.weight)
		}
	}
	return c.latencies.quantile(0.5)
}

// tenantOf finds or makes a tenant.
func (c *PipelineCoordinator) tenantOf(name string) *tenant {
	i, known := slices.BinarySearchFunc(c.tenants, name, func(t *tenant, name string) int { return cmp.Compare(t.name, name) })
	if !known {
		c.tenants = slices.Insert(c.tenants, i, &tenant{name: name})
		c.tenants[i].evidence.unweigh()
	}
	return c.tenants[i]
}

// forgetTenants drops those that have no transfers.
func (c *PipelineCoordinator) forgetTenants() {
	c.tenants = slices.DeleteFunc(c.tenants, func(t *tenant) bool {
		return !slices.ContainsFunc(c.transfers, func(x *TransferScheduler) bool { return x.tenant == t })
	})
}
