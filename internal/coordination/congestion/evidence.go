package congestion

import (
	"cmp"
	"math"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Evidence is what the workers of one tenant have told in this round.
type Evidence struct {
	completions, throttles int64
	busy, slots            float64 // seconds of requests, and of slots granted
	bytes                  float64
	latencies              latencySketch
	// What it tells counts with these weights, 1 at most, so that no tenant tells more
	// than as many requests in flight can.
	weight, bytesWeight, busyWeight float64
}

// NewEvidence is that of a tenant of whom nothing was told yet.
func NewEvidence() Evidence {
	var e Evidence
	e.unweigh()
	return e
}

// Hold adds the time for which the tenant held slots.
func (e *Evidence) Hold(slots int, elapsed time.Duration) {
	e.slots += float64(slots) * elapsed.Seconds()
}

// plausibleExcess is how many times more requests, or bytes, the same requests in flight may
// tell of than those of the median tenant: answers and bodies differ, and 503s come
// at once.
const plausibleExcess = 4

// Add takes in by how much the counters of a prefix have grown, and of these what the last
// decision had allowed.
func (e *Evidence) Add(d protocol.PrefixCounters, judged protocol.Sample) {
	e.completions = protocol.SaturatingAdd(e.completions, d.Accepted+d.Throttled+d.Failed)
	e.throttles = protocol.SaturatingAdd(e.throttles, judged.Throttled)
	e.busy += d.Busy.Seconds()
	e.bytes += float64(d.Bytes)
	e.latencies.add(d.Latency(), float64(d.Accepted))
}

// Reset begins a round.
func (e *Evidence) Reset() {
	e.completions, e.throttles, e.busy, e.slots, e.bytes = 0, 0, 0, 0, 0
	e.unweigh()
	e.latencies.reset()
}

func (e *Evidence) unweigh() { e.weight, e.bytesWeight, e.busyWeight = 1, 1, 1 }

// used are the seconds of requests, no more than those of slots: a request counts with
// all its time when it ends.
func (e *Evidence) used() float64 { return min(e.busy, e.slots) }

// weighted is a count with the weight of who tells it.
func (e *Evidence) weighted(n int64) int64 {
	if e.weight == 1 {
		return n
	}
	return int64(math.Round(e.weight * float64(n)))
}

// Hear sums what all tenants have told in this round. What is in flight is
// bounded by what was granted, so a tenant that tells of far more requests for what it
// had in flight than the median tenant, by requests in flight, is believed no more than
// a few times as many: whoever has a hundredth of the window moves no sum by more than
// some hundredths. With one tenant nothing is weighed.
func (c *GlobalCongestionController) Hear(tenants []*Evidence) {
	var told []*Evidence
	for _, e := range tenants {
		if e.unweigh(); e.completions > 0 {
			told = append(told, e)
		}
	}
	c.known = len(tenants)
	if c.tenants = len(told); c.tenants > 1 {
		requests := medianPerSlot(told, func(e *Evidence) float64 { return float64(e.completions) })
		bytes := medianPerSlot(told, func(e *Evidence) float64 { return e.bytes })
		for _, e := range told {
			e.weight = part(plausibleExcess*requests*e.used(), float64(e.completions))
			e.bytesWeight = part(plausibleExcess*bytes*e.used(), e.bytes)
			e.busyWeight = part(e.slots, e.busy)
		}
	}
	c.completions, c.throttles = 0, 0
	for _, e := range told {
		c.completions = protocol.SaturatingAdd(c.completions, e.weighted(e.completions))
		c.throttles = protocol.SaturatingAdd(c.throttles, e.weighted(e.throttles))
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
func medianPerSlot(told []*Evidence, figure func(*Evidence) float64) float64 {
	perSlot := func(e *Evidence) float64 { return ratio(figure(e), e.used()) }
	slices.SortStableFunc(told, func(x, y *Evidence) int { return cmp.Compare(perSlot(x), perSlot(y)) })
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

// MedianLatency is that of what was accepted in this round; of several tenants each
// counts with the requests that it had in flight.
func (c *GlobalCongestionController) MedianLatency(tenants []*Evidence) time.Duration {
	if len(tenants) == 1 {
		return tenants[0].latencies.quantile(0.5)
	}
	c.latencies.reset()
	for _, e := range tenants {
		if e.latencies.weight > 0 {
			c.latencies.merge(&e.latencies, e.used()/e.latencies.weight)
		}
	}
	return c.latencies.quantile(0.5)
}

// latencySketch counts latencies in buckets of 2 % from 100 µs to 100 s, enough
// for medians over any number of workers in a fixed memory.
type latencySketch struct {
	buckets [latencyBuckets]float64
	weight  float64
}

const (
	latencyBuckets = 704
	latencyLowest  = 100e-6
	latencyRatio   = 1.02
)

func (s *latencySketch) reset() { *s = latencySketch{} }

// merge adds another with a weight.
func (s *latencySketch) merge(other *latencySketch, weight float64) {
	for i, n := range other.buckets {
		s.buckets[i] += weight * n
	}
	s.weight += weight * other.weight
}

// add counts a latency with a weight; zero latencies are unmeasured.
func (s *latencySketch) add(latency time.Duration, weight float64) {
	if latency <= 0 || weight <= 0 {
		return
	}
	i := int(math.Log(latency.Seconds()/latencyLowest) / math.Log(latencyRatio))
	s.buckets[min(max(i, 0), latencyBuckets-1)] += weight
	s.weight += weight
}

// quantile interpolates within the bucket; 0 when nothing was counted.
func (s *latencySketch) quantile(q float64) time.Duration {
	if s.weight == 0 {
		return 0
	}
	wanted := q * s.weight
	for i, n := range s.buckets {
		if wanted > n || n == 0 {
			wanted -= n
			continue
		}
		seconds := latencyLowest * math.Pow(latencyRatio, float64(i)+wanted/n)
		return time.Duration(seconds * float64(time.Second))
	}
	return 0
}
