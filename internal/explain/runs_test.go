package explain_test

import (
	"cmp"
	"maps"
	"slices"
	"testing"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
	"cargoship.dev/operator/internal/sim"
	"cargoship.dev/operator/test/simulated"
)

// runs are those of the answers that a run of the simulator can show; test/integration shows the others.
var runs = map[string]struct {
	scenario   string
	controller string
	from, to   time.Duration // from 40 s to 119 s by default
	want       v1alpha1.Limit
}{
	"a link": {scenario: `
links: [{bandwidth: 2Gbps}]
transfers: [{prefixes: [{count: 4}], workers: [{count: 4}]}]
`, want: v1alpha1.LimitPath},
	"a thin link with small parts": {scenario: `
links: [{bandwidth: 100Mbps}]
transfers: [{partSize: 256KiB, prefixes: [{count: 2}], workers: [{count: 2}]}]
`, want: v1alpha1.LimitPath},
	"a link with somebody else on it": {scenario: `
links: [{name: l, bandwidth: 2Gbps}]
transfers: [{prefixes: [{count: 4}], workers: [{count: 4}]}]
tenants: [{name: other, link: l, inFlight: 20, from: 10s, until: 120s}]
`, want: v1alpha1.LimitPath},
	"a policer": {scenario: `
links: [{bandwidth: 100Gbps}]
partitions: [{rate: 400/s}]
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
`, want: v1alpha1.LimitPolicer},
	"a low policer": {scenario: `
links: [{bandwidth: 100Gbps}]
partitions: [{rate: 40/s}]
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
`, want: v1alpha1.LimitPolicer},
	"a policer, one worker": {scenario: `
links: [{bandwidth: 100Gbps}]
partitions: [{rate: 100/s}]
transfers: [{partSize: 64KiB, prefixes: [{count: 16}], workers: [{count: 1}]}]
`, want: v1alpha1.LimitPolicer},
	"a policer for each prefix": {scenario: `
links: [{bandwidth: 100Gbps}]
partitions: [{name: a, rate: 100/s}, {name: b, rate: 300/s}]
transfers: [{partSize: 256KiB, prefixes: [{name: a, partition: a, count: 1}, {name: b, partition: b, count: 1}], workers: [{count: 4}]}]
`, want: v1alpha1.LimitPolicer},
	"a rate that an earlier manager learned, and that nothing enforces any more": {scenario: `
links: [{bandwidth: 100Gbps}]
partitions: [{name: p, rate: 200/s}]
transfers: [{partSize: 64KiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
changes: [{at: 60s, partition: p, rate: 20000/s}]
faults: [{kind: manager, at: 60s, for: 3s}]
`, from: 68 * time.Second, to: 72 * time.Second, want: v1alpha1.LimitRate},
	"slow start": {scenario: `
service: {median: 400ms}
links: [{bandwidth: 40Gbps}]
transfers: [{prefixes: [{count: 4}], workers: [{count: 8}]}]
`, from: 2 * time.Second, to: 6 * time.Second, want: v1alpha1.LimitWindow},
	"fixed windows": {scenario: `
links: [{bandwidth: 40Gbps}]
transfers: [{prefixes: [{count: 4}], workers: [{count: 4}]}]
`, controller: "adaptive:uncoordinated=true,maxConcurrentUploads=4", want: v1alpha1.LimitWindow},
	"memory": {scenario: `
links: [{bandwidth: 40Gbps}]
transfers: [{prefixes: [{count: 4}], workers: [{count: 4, maxInFlight: 8}]}]
`, want: v1alpha1.LimitMemory},
	"archives that come slowly": {scenario: `
links: [{bandwidth: 10Gbps}]
transfers: [{archiveParts: 10, prefixes: [{count: 4}], workers: [{count: 4}], arrivals: [{at: 0s, archives: 4, every: 2s, until: 120s}]}]
`, want: v1alpha1.LimitSource},
	"throttling of everything": {scenario: `
links: [{bandwidth: 10Gbps}]
transfers: [{prefixes: [{count: 4}], workers: [{count: 4}]}]
faults: [{kind: throttling, at: 30s, for: 120s}]
`, from: 60 * time.Second, want: v1alpha1.LimitOutage},
	"errors and nothing else": {scenario: `
links: [{bandwidth: 10Gbps}]
transfers: [{prefixes: [{count: 4}], workers: [{count: 4}]}]
faults: [{kind: errors, at: 30s, for: 120s}]
`, from: 60 * time.Second, want: v1alpha1.LimitOutage},
	"no answers": {scenario: `
requestTimeout: 10s
links: [{bandwidth: 10Gbps}]
transfers: [{prefixes: [{count: 4}], workers: [{count: 4}]}]
faults: [{kind: timeouts, at: 30s, for: 120s}]
`, from: 60 * time.Second, want: v1alpha1.LimitOutage},
	"a policy of bytes": {scenario: `
links: [{bandwidth: 10Gbps}]
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
limits: [{at: 20s, bytes: 50MB/s}]
`, want: v1alpha1.LimitPolicy},
	"a policy of requests": {scenario: `
links: [{bandwidth: 10Gbps}]
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
limits: [{at: 20s, requests: 50/s}]
`, want: v1alpha1.LimitPolicy},
	"a policy of requests in flight": {scenario: `
links: [{bandwidth: 10Gbps}]
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
limits: [{at: 20s, inFlight: 12}]
`, want: v1alpha1.LimitPolicy},
	"a policy of zero": {scenario: `
links: [{bandwidth: 10Gbps}]
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
limits: [{at: 20s, suspended: true}]
`, want: v1alpha1.LimitPolicy},
	"a policy above what the path gives": {scenario: `
links: [{bandwidth: 1Gbps}]
transfers: [{prefixes: [{count: 4}], workers: [{count: 4}]}]
limits: [{at: 0s, bytes: 500MB/s}]
`, want: v1alpha1.LimitPath},
	"no manager": {scenario: `
links: [{bandwidth: 10Gbps}]
transfers: [{archiveParts: 1000, prefixes: [{count: 4}], workers: [{count: 4}]}]
faults: [{kind: manager, at: 20s, for: 200s}]
`, from: 60 * time.Second, want: explain.NoLeader},
}

// What is answered once a second during a run is the same word nearly always: a probe, a drain or a
// burst lasts for a report or two.
func TestTheAnswersOfRuns(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(runs)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc := runs[name]
			tc.controller = cmp.Or(tc.controller, "adaptive")
			tc.from, tc.to = cmp.Or(tc.from, 40*time.Second), cmp.Or(tc.to, 119*time.Second)
			s, err := sim.Parse("run.yaml", []byte(tc.scenario))
			if err != nil {
				t.Fatal(err)
			}
			answers, all := map[v1alpha1.Limit]int{}, 0
			err = simulated.Watch(s, tc.controller, 1, time.Second, func(r simulated.Run) {
				if r.At < tc.from || r.At > tc.to {
					return
				}
				run := r.View()
				run.Fixed = tc.controller != "adaptive"
				answers[explain.Explain(run, r.Leases).LimitedBy]++
				all++
			})
			if err != nil {
				t.Fatal(err)
			}
			if share := float64(answers[tc.want]) / float64(all); !(share >= 0.9) {
				t.Errorf("%.2f of the answers are %s, want 0.9: %v", share, tc.want, answers)
			}
		})
	}
}
