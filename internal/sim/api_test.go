//go:build !race

package sim

import (
	"fmt"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// What comes at once is carried in turn, what is too much is tried again as often as a client does, and gives up in time.
func TestTheAPIServerCarriesItsRate(t *testing.T) {
	f := &fleet{run: &run{path: &path{}}}
	s := &apiServer{fleet: f, spec: &APIServer{Requests: 10, Latency: seconds(0.05), Queue: 20}}
	served, ok, failed := 0, 0, 0
	for range 50 {
		s.call(3*time.Second, func() bool { return true }, func() { served++ }, func(done bool) {
			if done {
				ok++
			} else {
				failed++
			}
		})
	}
	at := func(d time.Duration, wantServed, wantOK, wantFailed int) {
		t.Helper()
		for f.next(d) {
		}
		if served != wantServed || ok != wantOK || failed != wantFailed {
			t.Errorf("after %v: %d served, %d answered, %d failed, want %d, %d, %d", d, served, ok, failed, wantServed, wantOK, wantFailed)
		}
	}
	at(time.Second, 10, 9, 0)
	if s.rejected != 30 {
		t.Errorf("%d were rejected, want 30", s.rejected)
	}
	at(2900*time.Millisecond, 29, 28, 0)
	at(3*time.Second, 30, 29, 21) // what waits is done, but nobody waits for it
	if at(10*time.Second, 41, 29, 21); s.calls <= 50 {
		t.Errorf("%d calls, want more than 50: what is rejected comes again", s.calls)
	}
}

// An API server that answers after two seconds, and one that rejects about half of all requests, slow the coordinator down
// and break nothing.
func TestASlowAPIServerCostsTimeOnly(t *testing.T) {
	const fleet = `
duration: 180s
links: [{bandwidth: 100Gbps}]
partitions: [{rate: 400/s}]
transfers: [{partSize: 1MiB, prefixes: [{count: 4}], workers: [{count: 4}]}]
api: {%s}
`
	for name, test := range map[string]struct {
		api                       string
		least                     float64 // of what the policer admits
		leastRejected, mostPerSec float64
	}{
		"quick":          {"requests: 250/s", 0.98, 0, 40},
		"two seconds":    {"requests: 250/s, latency: 2s", 0.85, 0, 5},
		"429 to a half":  {"requests: 2/s, queue: 5", 0.5, 0.3, 10},
		"a minute or so": {"requests: 250/s, latency: 59s", 0, 0, 5},
	} {
		r := played(t, fmt.Appendf(nil, fleet, test.api), 1)
		result := r.results(solve(r.scenario))
		if got := result["goodputOfOracle"]; got < test.least {
			t.Errorf("%s: goodput is %.3f of the oracle's, want %.2f", name, got, test.least)
		}
		if got := result["apiRejected"]; got < test.leastRejected || test.leastRejected == 0 && got > 0 {
			t.Errorf("%s: %.3f of the requests were rejected, want at least %.2f", name, got, test.leastRejected)
		}
		if got := result["apiRequests"]; got > test.mostPerSec || got == 0 {
			t.Errorf("%s: %.1f requests per second, want at most %.0f", name, got, test.mostPerSec)
		}
	}
}

// Random scenarios with an API server that is slow or carries little keep the invariants.
func TestRandomAPIServersKeepTheInvariants(t *testing.T) {
	for seed := range uint64(60) {
		violation := fuzzOne(seed, func(s *Scenario, config *protocol.Config) {
			randomOutages(stream(seed, "outages"), s, config)
			random := stream(seed, "api")
			s.API = &APIServer{Requests: Rate(5 + 100*random.Float64()), Latency: seconds(2 * random.Float64()), Queue: 5 + random.IntN(100)}
		})
		if violation != "" {
			t.Errorf("seed %d: %s", seed, violation)
		}
	}
}
