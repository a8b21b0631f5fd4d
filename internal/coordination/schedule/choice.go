package schedule

import (
	"hash/fnv"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// The weights of the factors in the choice of a worker's next archive, each a figure from
// 0 to 1 of which more is better. They sum to 1. Throughput itself is not a factor: that
// would feed the prefixes that already get most. The window of a prefix only says how many
// archives are sent there before the next grant.
const (
	// windowFactor weighs the part of the worker's window on the prefix that is free.
	windowFactor = 0.30
	// throughputFactor weighs how long the prefix still takes at its throughput, over
	// the one that takes longest, so that all end together; 1 while that is unknown.
	throughputFactor = 0.25
	// latencyFactor weighs the smallest latency over the present one.
	latencyFactor = 0.20
	// errorFactor weighs the share of requests that were accepted.
	errorFactor = 0.15
	// loadFactor weighs how many archives more the worker may hold of the prefix.
	loadFactor = 0.10
	// spread is the greatest difference that names alone make, so that workers that
	// see the same do not all choose the same.
	spread = 0.02
)

// offer is a prefix that a worker can take its next archive of.
type offer struct {
	holdings *Holdings
	score    float64
}

// offer rates the prefix for the worker's next archive, if the worker has a window
// there and room for more, and an archive can be handed out.
func (c *Holdings) offer() (offer, bool) {
	if c.Window == 0 {
		return offer{}, false
	}
	depth := c.depth()
	if len(c.held) >= depth || !c.prefix.available() {
		return offer{}, false
	}
	return offer{holdings: c, score: c.score(depth)}, true
}

// best finds the offer that scores best.
func best(offers []offer) int {
	best := 0
	for i, o := range offers {
		if o.score > offers[best].score {
			best = i
		}
	}
	return best
}

// score rates the prefix for the worker's next archive, from 0 to 1 + spread; depth is how many
// the worker may hold there.
func (c *Holdings) score(depth int) float64 {
	l := c.prefix
	free := 1 - min(1, float64(c.MaxInFlight)/float64(max(1, c.Window)))
	drain := 1.0
	if longest := l.transfer.drain; l.drain > 0 && longest > 0 {
		drain = l.drain / longest
	}
	latency := 1.0
	if current := l.Latency; current > 0 {
		latency = min(1, l.BaseLatency/current)
	}
	room := 1 - float64(len(c.held))/float64(depth)
	return windowFactor*free + throughputFactor*drain + latencyFactor*latency +
		errorFactor*(1-l.Failures) + loadFactor*room + c.jitter
}

// jitter of a worker on a prefix, from 0 to spread, by their names.
func jitter(id protocol.WorkerID, prefix string) float64 {
	h := fnv.New32a()
	h.Write([]byte(id))
	h.Write([]byte{0})
	h.Write([]byte(prefix))
	return spread * float64(h.Sum32()) / (1 << 32)
}

// measureDrains sets how many seconds each prefix still takes at its throughput, 0
// where that is unknown.
func (t *TransferScheduler) measureDrains() {
	t.drain = 0
	for _, l := range t.prefixes {
		l.drain = ratio(float64(l.Remaining())*l.meanSize(), l.Bandwidth)
		t.drain = max(t.drain, l.drain)
	}
}

// ratio is 0 where nothing was measured.
func ratio(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}
