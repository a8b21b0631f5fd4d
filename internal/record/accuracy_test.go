//go:build !race

package record_test

import (
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"cargoship.dev/operator/internal/record"
	"cargoship.dev/operator/internal/sim"
	"cargoship.dev/operator/test/simulated"
)

// watch runs a scenario and returns what is true of it between two times, and what record would
// have seen there.
func watch(t *testing.T, s *sim.Scenario, seed uint64, from, to time.Duration) (simulated.Figures, []record.Sight) {
	t.Helper()
	var sights []record.Sight
	var seen []simulated.Run
	err := simulated.Watch(s, "adaptive", seed, record.Every, func(r simulated.Run) {
		if r.At >= from && r.At <= to {
			seen = append(seen, r)
			sights = append(sights, record.Sight{Run: r.View(), Leases: r.Leases})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return simulated.Between(seen[0], seen[len(seen)-1]), sights
}

// A run is looked at for the half a minute that the command takes by default, once it has settled.
const (
	begin = 60 * time.Second
	end   = 90 * time.Second
)

// wellKnown are runs of which everything is known.
var wellKnown = map[string]string{
	"link": `
links: [{bandwidth: 2Gbps}]
transfers: [{prefixes: [{count: 4}], workers: [{count: 4}]}]
`, "fast link": `
links: [{bandwidth: 10Gbps}]
transfers: [{prefixes: [{count: 8}], workers: [{count: 16}]}]
`, "thin link": `
links: [{bandwidth: 100Mbps}]
transfers: [{partSize: 256KiB, prefixes: [{count: 2}], workers: [{count: 2}]}]
`, "shared link": `
links: [{name: l, bandwidth: 2Gbps}]
transfers: [{prefixes: [{count: 4}], workers: [{count: 4}]}]
tenants: [{name: other, link: l, inFlight: 20, from: 0s, until: 300s}]
`, "policer": `
links: [{bandwidth: 100Gbps}]
partitions: [{rate: 400/s}]
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
`, "low policer": `
links: [{bandwidth: 100Gbps}]
partitions: [{rate: 40/s}]
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
`, "high policer": `
links: [{bandwidth: 100Gbps}]
partitions: [{rate: 3500/s}]
transfers: [{partSize: 64KiB, prefixes: [{count: 4}], workers: [{count: 8}]}]
`, "two policers": `
links: [{bandwidth: 100Gbps}]
partitions: [{name: a, rate: 100/s}, {name: b, rate: 300/s}]
transfers: [{partSize: 256KiB, prefixes: [{name: a, partition: a, count: 1}, {name: b, partition: b, count: 1}], workers: [{count: 4}]}]
`, "memory": `
links: [{bandwidth: 40Gbps}]
transfers: [{prefixes: [{count: 4}], workers: [{count: 4, maxInFlight: 8}]}]
`, "memory and a quick destination": `
links: [{bandwidth: 40Gbps}]
service: {median: 8ms, sigma: 0.6, slowShare: 0}
connectionRate: 30MB/s
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4, maxInFlight: 16}]}]
`, "source": `
links: [{bandwidth: 10Gbps}]
transfers: [{archiveParts: 10, prefixes: [{count: 4}], workers: [{count: 4}], arrivals: [{at: 0s, archives: 4, every: 2s}]}]
`, "policy of bytes": `
links: [{bandwidth: 10Gbps}]
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
limits: [{at: 20s, bytes: 50MB/s}]
`, "policy of requests": `
links: [{bandwidth: 10Gbps}]
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
limits: [{at: 20s, requests: 50/s}]
`, "policy of requests in flight": `
links: [{bandwidth: 10Gbps}]
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
limits: [{at: 20s, inFlight: 12}]
`, "errors": `
links: [{bandwidth: 1Gbps}]
service: {errorShare: 2%}
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
`,
}

// What is recorded of a run, simulated, gives its goodput within 5 % and its share of throttled
// requests within a point.
func TestWhatIsRecordedIsTrue(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(wellKnown)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := sim.Parse("known.yaml", []byte("duration: 140s\n"+wellKnown[name]))
			if err != nil {
				t.Fatal(err)
			}
			known, sights := watch(t, s, 1, begin, end)
			// The half minute has a few dozen 503s at most: a point is no more than two standard deviations of them.
			usual, err := simulated.Median(s, begin, 138*time.Second, 1, 2, 3)
			if err != nil {
				t.Fatal(err)
			}
			text, err := record.Scenario(sights...)
			if err != nil {
				t.Fatal(err)
			}
			again, err := sim.Parse("recorded.yaml", []byte(text))
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			again.Duration = sim.Duration(140 * time.Second)
			got, err := simulated.Median(again, begin, 138*time.Second, 101, 102, 103)
			if err != nil {
				t.Fatal(err)
			}
			off, points := got.Goodput/known.Goodput-1, got.Throttled-usual.Throttled
			t.Logf("%-32s goodput %8.2f MB/s, simulated %8.2f (%+.1f %%), throttled %.2f %%, simulated %.2f %%",
				name, known.Goodput/1e6, got.Goodput/1e6, 100*off, 100*usual.Throttled, 100*got.Throttled)
			if math.Abs(off) > 0.05 || math.Abs(points) > 0.01 {
				t.Errorf("simulated, the goodput is %+.1f %% and the share of throttled requests %+.2f points off:\n%s", 100*off, 100*points, text)
			}
		})
	}
}
