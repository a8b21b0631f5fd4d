//go:build !race

package sim

import (
	"fmt"
	"testing"
	"time"
)

// limited is a fleet that the path would let send some 100 MB/s, in requests of 64 KiB.
const limited = `
duration: 150s
links: [{bandwidth: 1Gbps}]
partitions: [{rate: 3500/s}]
transfers:
- partSize: 64KiB
  archiveParts: 1000
  prefixes: [{count: 4}]
  workers: [{count: %d}]
limits: [%s]
`

// playLimited runs a scenario of ours with the coordinator.
func playLimited(t *testing.T, workers int, limits string, seed uint64) *recorder {
	t.Helper()
	return played(t, fmt.Appendf(nil, limited, workers, limits), seed).record
}

// played is a run of a scenario with the product, which must violate nothing.
func played(t *testing.T, scenario []byte, seed uint64) *run {
	t.Helper()
	s, err := Parse("scenario.yaml", scenario)
	if err != nil {
		t.Fatal(err)
	}
	c, err := FindController("adaptive")
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(s, seed)
	f := newFleet(r, c)
	r.record.watch(r)
	r.play()
	if f.check.violations > 0 {
		t.Errorf("violated: %s", f.check.first)
	}
	return r
}

// limitWindow is how long a limit is looked at, and inForceAfter how long after a switch: a tick, the time
// until a grant is read, and an interval between reports.
const (
	limitWindow  = 10 * time.Second
	inForceAfter = 5 * time.Second
)

// overWindow gives the most and the least per second that started in any window between two times.
func overWindow(c *recorder, from, to time.Duration) (least, most float64) {
	bins, sum := int(limitWindow/binWidth), 0
	for i := int(from / binWidth); i < int(to/binWidth); i++ {
		sum += int(c.bins[i].started)
		first := i - bins
		if first >= int(from/binWidth) {
			sum -= int(c.bins[first].started)
		}
		if first >= int(from/binWidth)-1 {
			rate := float64(sum) / limitWindow.Seconds()
			if least == 0 || rate < least {
				least = rate
			}
			most = max(most, rate)
		}
	}
	return least, most
}

// In any ten seconds the fleet sends no more than 2 % above a limit and no less than 3 % below
// it, from one report interval after a switch on.
func TestLimitsAreExact(t *testing.T) {
	const part = 64 << 10
	for name, test := range map[string]struct {
		limits string
		want   []float64 // requests per second, from 40 s to 90 s and from then on
	}{
		"bytes":          {"{at: 40s, bytes: 20MB/s}, {at: 90s, bytes: 40MB/s}", []float64{20e6 / part, 40e6 / part}},
		"lower bytes":    {"{at: 40s, bytes: 40MB/s}, {at: 90s, bytes: 10MB/s}", []float64{40e6 / part, 10e6 / part}},
		"requests":       {"{at: 40s, requests: 300/s}, {at: 90s, requests: 200/s}", []float64{300, 200}},
		"from the start": {"{at: 0s, requests: 250/s}", []float64{250, 250}},
		"both":           {"{at: 40s, requests: 300/s, bytes: 90MB/s}, {at: 90s, requests: 900/s, bytes: 20MB/s}", []float64{300, 20e6 / part}},
	} {
		for _, workers := range []int{1, 4, 30} {
			t.Run(fmt.Sprintf("%s of %d workers", name, workers), func(t *testing.T) {
				record := playLimited(t, workers, test.limits, 1)
				for i, from := range []time.Duration{40 * time.Second, 90 * time.Second} {
					least, most := overWindow(record, from+inForceAfter, from+50*time.Second)
					if want := test.want[i]; most > 1.02*want || least < 0.97*want {
						t.Errorf("%.0f to %.0f requests per second from %v on, want %.0f", least, most, from, want)
					}
				}
			})
		}
	}
}

// A limit of requests in flight is never exceeded, and in use soon; nothing is sent while the
// policy suspends.
func TestLimitsInFlightAndSuspension(t *testing.T) {
	record := playLimited(t, 4, "{at: 40s, inFlight: 10}, {at: 80s, suspended: true}, {at: 110s}", 1)
	used := 0
	for i, b := range record.bins {
		at := time.Duration(i) * binWidth
		switch {
		case at > 40*time.Second+inForceAfter && at < 80*time.Second && b.inFlight > 10:
			t.Fatalf("%d in flight at %v, want 10 at most", b.inFlight, at)
		case at >= 60*time.Second && at < 80*time.Second:
			used += int(b.inFlight)
		case at > 80*time.Second+inForceAfter && at < 110*time.Second && b.started > 0:
			t.Fatalf("%d started at %v, though suspended", b.started, at)
		case at > 110*time.Second+inForceAfter && at < 150*time.Second && b.started == 0:
			t.Fatalf("nothing started at %v, once no limit was in force", at)
		}
	}
	if used < 200*9 {
		t.Errorf("%.1f in flight in the mean, want 9 of 10", float64(used)/200)
	}
}

// shared are two namespaces, of which the first has three times the weight, or a tenth of the
// destination at most.
const shared = `
duration: 120s
links: [{bandwidth: 1Gbps}]
partitions: [{rate: 900/s}]
transfers:
- {name: a, tenant: a, %s, partSize: 64KiB, archiveParts: 1000, prefixes: [{count: 2}], workers: [{name: wa, count: 4}]}
- {name: b, tenant: b, tenantWeight: 1, weight: 100, partSize: 64KiB, archiveParts: 1000, prefixes: [{count: 2}], workers: [{name: wb, count: %d}]}
limits: [%s]
`

// A policy's weights and shares hold whatever limits, whatever the transfers weigh, and however
// many workers each has.
func TestSharesOfNamespaces(t *testing.T) {
	for name, test := range map[string]struct {
		share, limits string
		least, most   float64 // of a in all
	}{
		"weight, by the window":           {"tenantWeight: 3", "{at: 0s, inFlight: 40}", 0.72, 0.78},
		"weight, by a limit of requests":  {"tenantWeight: 3", "{at: 0s, requests: 300/s}", 0.735, 0.765},
		"weight, by a limit of bytes":     {"tenantWeight: 3", "{at: 0s, bytes: 20MB/s}", 0.735, 0.765},
		"weight, by a policer":            {"tenantWeight: 3", "", 0.72, 0.78},
		"at most, by a limit of requests": {"tenantMost: 0.1", "{at: 0s, requests: 300/s}", 0.09, 0.105},
		"at most, by the window":          {"tenantMost: 0.1", "{at: 0s, inFlight: 40}", 0.08, 0.11},
	} {
		for _, workers := range []int{4, 12} {
			t.Run(fmt.Sprintf("%s with %d others", name, workers), func(t *testing.T) {
				s, err := Parse("shared.yaml", fmt.Appendf(nil, shared, test.share, workers, test.limits))
				if err != nil {
					t.Fatal(err)
				}
				c, err := FindController("adaptive")
				if err != nil {
					t.Fatal(err)
				}
				r := newRun(s, 1)
				f := newFleet(r, c)
				before := map[string]int64{}
				sent := func() map[string]int64 {
					all := map[string]int64{}
					for _, p := range f.pods {
						for _, l := range p.worker.prefixes {
							if l != nil {
								all[p.work.spec.Name] += l.meter.total.Accepted
							}
						}
					}
					return all
				}
				r.after(40*time.Second, func() { before = sent() })
				r.play()
				after := sent()
				a, b := float64(after["a"]-before["a"]), float64(after["b"]-before["b"])
				if share := a / (a + b); share < test.least || share > test.most {
					t.Errorf("a has %.3f of all, want %.3f to %.3f", share, test.least, test.most)
				}
				if f.check.violations > 0 {
					t.Errorf("violated: %s", f.check.first)
				}
			})
		}
	}
}
