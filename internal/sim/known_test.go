//go:build !race

package sim

import (
	"fmt"
	"testing"
)

// visited is a destination that a transfer of twenty seconds is sent to.
const visited = `
duration: 20s
links: [{bandwidth: %s}]
partitions: [{rate: %s}]
transfers:
- {partSize: 1MiB, archiveParts: 1000, prefixes: [{count: 4}], workers: [{count: 4}]}
%s
`

// visits is what a transfer of twenty seconds has come to, over seeds.
type visits struct{ accepted, throttled, begun float64 }

func visit(t *testing.T, link, rate, known string) (sum visits) {
	t.Helper()
	for seed := uint64(1); seed <= 3; seed++ {
		r := played(t, fmt.Appendf(nil, visited, link, rate, known), seed)
		sum.accepted += float64(r.record.accepted)
		sum.throttled += float64(r.record.throttled)
		sum.begun += float64(r.record.begun)
	}
	return sum
}

// In runs with the same seeds, what a destination is known for costs nothing where it is ten times
// too little, hardly anything where it is ten times too much or absurd, and gains where the destination
// is large. Twenty seconds are short: what it costs later is less.
func TestWhatADestinationIsKnownFor(t *testing.T) {
	for name, test := range map[string]struct {
		link, rate string
		carries    float64 // requests per second
		gains      float64
	}{
		"a policer":       {"100Gbps", "400/s", 400, 0},
		"a large policer": {"100Gbps", "3500/s", 3500, 0.01},
		"a link":          {"2Gbps", "3500/s", 238, 0},
		"a large link":    {"10Gbps", "3500/s", 1190, 0},
	} {
		t.Run(name, func(t *testing.T) {
			known := func(times float64) string {
				return fmt.Sprintf("known: {requests: %f/s, baseLatency: 130ms, confidence: 1}", times*test.carries)
			}
			cold := visit(t, test.link, test.rate, "")
			capacity := 3 * 20 * test.carries
			for what, x := range map[string]struct {
				known         string
				costs, throws float64 // of the capacity, and of all requests
			}{
				"right":            {known(1), -test.gains, 0.005},
				"a tenth":          {known(0.1), 0, 0},
				"tenfold":          {known(10), 0.03, 0.01},
				"tenfold, and old": {fmt.Sprintf("known: {requests: %f/s, baseLatency: 130ms, confidence: 1, age: 720h}", 10*test.carries), 0.001, 0.001},
			} {
				warm := visit(t, test.link, test.rate, x.known)
				cost := (cold.accepted - warm.accepted) / capacity
				thrown := warm.throttled/warm.begun - cold.throttled/cold.begun
				t.Logf("%s: %.3f of the capacity, %.3f cold; %.2f %% throttled, %.2f %% cold",
					what, warm.accepted/capacity, cold.accepted/capacity, 100*warm.throttled/warm.begun, 100*cold.throttled/cold.begun)
				if cost > x.costs || thrown > x.throws {
					t.Errorf("%s: it costs %.3f of the capacity and %.2f %% more are throttled", what, cost, 100*thrown)
				}
			}
		})
	}
}
