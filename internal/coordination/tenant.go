package coordination

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// tenant is whose transfers are: what they may use and what they tell is weighed by it
// first.
type tenant struct {
	name     string
	weight   int // the largest of its transfers that hold leases
	evidence evidence
}

// evidence is what the workers of one tenant have told in this round.
type evidence struct {
	completions, throttles int64
	busy                   float64 // seconds of requests
	bytes                  float64
	latencies              latencySketch
	// What it tells counts with these weights, 1 at most, so that no tenant tells more
	// than as many requests in flight can.
	weight, bytesWeight float64
}

// eloquence is how many times more requests, or bytes, the same requests in flight may
// tell of than those of the median tenant: answers and bodies differ, and refusals come
// at once.
const eloquence = 4

func (e *evidence) add(d PrefixCounters) {
	e.completions = saturate(e.completions, d.Accepted+d.Throttled+d.Failed)
	e.throttles = saturate(e.throttles, d.Throttled)
	e.busy += d.Busy.Seconds()
	e.bytes += float64(d.Bytes)
	e.latencies.add(d.latency(), float64(d.Accepted))
}

func (e *evidence) reset() {
	e.completions, e.throttles, e.busy, e.bytes = 0, 0, 0, 0
	e.weight, e.bytesWeight = 1, 1
	e.latencies.reset()
}

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
		if t.evidence.weight, t.evidence.bytesWeight = 1, 1; t.evidence.completions > 0 {
			told = append(told, &t.evidence)
		}
	}
	k := c.control
	if k.tenants = len(told); k.tenants > 1 {
		requests := medianPerSlot(told, func(e *evidence) float64 { return float64(e.completions) })
		bytes := medianPerSlot(told, func(e *evidence) float64 { return e.bytes })
		for _, e := range told {
			e.weight = part(eloquence*requests*e.busy, float64(e.completions))
			e.bytesWeight = part(eloquence*bytes*e.busy, e.bytes)
		}
	}
	k.completions, k.throttles = 0, 0
	for _, e := range told {
		k.completions = saturate(k.completions, e.weighted(e.completions))
		k.throttles = saturate(k.throttles, e.weighted(e.throttles))
	}
}

// medianPerSlot is the median of a figure over the seconds of requests, weighted by these.
func medianPerSlot(told []*evidence, figure func(*evidence) float64) float64 {
	perSlot := func(e *evidence) float64 { return figure(e) / max(e.busy, shortestLatency) }
	slices.SortStableFunc(told, func(x, y *evidence) int { return cmp.Compare(perSlot(x), perSlot(y)) })
	all, sum := 0.0, 0.0
	for _, e := range told {
		all += e.busy
	}
	for _, e := range told {
		if sum += e.busy; 2*sum >= all {
			return perSlot(e)
		}
	}
	return 0
}

// medianLatency is that of what was accepted in this round.
func (c *PipelineCoordinator) medianLatency() time.Duration {
	if len(c.tenants) == 1 {
		return c.tenants[0].evidence.latencies.quantile(0.5)
	}
	c.latencies.reset()
	for _, t := range c.tenants {
		c.latencies.merge(&t.evidence.latencies, t.evidence.weight)
	}
	return c.latencies.quantile(0.5)
}

// tenantOf finds or makes a tenant.
func (c *PipelineCoordinator) tenantOf(name string) *tenant {
	i, known := slices.BinarySearchFunc(c.tenants, name, func(t *tenant, name string) int { return cmp.Compare(t.name, name) })
	if !known {
		c.tenants = slices.Insert(c.tenants, i, &tenant{name: name, evidence: evidence{weight: 1, bytesWeight: 1}})
	}
	return c.tenants[i]
}

// forgetTenants drops those that have no transfers.
func (c *PipelineCoordinator) forgetTenants() {
	c.tenants = slices.DeleteFunc(c.tenants, func(t *tenant) bool {
		return !slices.ContainsFunc(c.transfers, func(x *TransferScheduler) bool { return x.tenant == t })
	})
}
