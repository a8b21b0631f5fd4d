//go:build !race

package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const changing = `
duration: 100s
links: [{bandwidth: 1000Gbps}]
partitions: [{rate: 100000/s}]
transfers: [{name: t, partSize: 1MiB, archiveParts: 10, workers: [{count: 2, nic: 1000Gbps}]}]
changes: [%s]
`

// A window of n makes n requests per mean time, whatever that is now, and they take what they take where nobody waits.
func TestWhatChangesIsWhatHappens(t *testing.T) {
	for name, test := range map[string]struct {
		changes string
		phases  []phase
	}{
		"service": {"{at: 60s, service: {median: 360ms}}", []phase{
			{service: Service{Median: seconds(0.12)}, partSizes: []Size{1 << 20}, accepted: 60},
			{service: Service{Median: seconds(0.36)}, partSizes: []Size{1 << 20}, accepted: 40},
		}},
		"part size": {"{at: 20s, transfer: t, partSize: 10MiB}", []phase{
			{service: Service{Median: seconds(0.12)}, partSizes: []Size{1 << 20}, accepted: 20},
			{service: Service{Median: seconds(0.12)}, partSizes: []Size{10 << 20}, accepted: 80},
		}},
	} {
		s := parse(t, fmt.Sprintf(changing, test.changes))
		c, err := FindController("fixed-16")
		if err != nil {
			t.Fatal(err)
		}
		r := newRun(s, 1)
		c.control(r)
		r.record.watch(r)
		r.play()
		wanted := 0.0
		for _, p := range test.phases {
			service := s.Service
			service.Median = p.service.Median
			wanted += p.accepted * 32 / service.idleMean(float64(p.partSizes[0]), 85e6)
		}
		if got := float64(r.record.accepted); !near(got, wanted, 0.02) {
			t.Errorf("%s: %.0f requests, want %.0f", name, got, wanted)
		}
		result := r.results(solve(s))
		for _, metric := range []string{"p50OverIdle", "p99OverIdle"} {
			if !near(result[metric], 1, 0.05) {
				t.Errorf("%s: %s is %.3f on an idle path", name, metric, result[metric])
			}
		}
	}
}

// A change of the service leaves alone what it does not name, and the order of the file does not matter.
func TestServiceChangesWhatIsNamed(t *testing.T) {
	s := parse(t, `
links: [{bandwidth: 1Gbps}]
service: {median: 100ms, errorShare: 1%}
transfers: [{workers: [{count: 1}]}]
changes:
- {at: 60s, service: {sigma: 0.5}}
- {at: 30s, service: {median: 200ms, slowShare: 0}}`)
	first, second := s.phaseAt(30*time.Second).service, s.phaseAt(60*time.Second).service
	wanted := s.Service
	wanted.Median, wanted.SlowShare = seconds(0.2), 0
	if first != wanted {
		t.Errorf("after the first change the service is %+v, want %+v", first, wanted)
	}
	if wanted.Sigma = 0.5; second != wanted {
		t.Errorf("after the second it is %+v, want %+v", second, wanted)
	}
}

// Archives stay as large as they were planned, whatever they are cut into, also where they don't come out even.
func TestArchivesAreSentWholeInPartsOfAnySize(t *testing.T) {
	r := played(t, []byte(`
duration: 60s
links: [{bandwidth: 10Gbps}]
transfers: [{name: t, partSize: 1MiB, archiveParts: 10, archives: 2000, prefixes: [{count: 2}], workers: [{count: 2}]}]
changes: [{at: 3s, transfer: t, partSize: 3MiB}, {at: 6s, transfer: t, partSize: 256KiB}]`), 1)
	sizes := map[int64]int{}
	for _, p := range r.works[0].prefixes {
		for _, a := range p.archives {
			sizes[a.partSize]++
			if !a.done || a.bytes != 10<<20 {
				t.Fatalf("%d bytes of archive %d are stored, in %d parts of %d", a.bytes, a.number, a.parts, a.partSize)
			}
		}
	}
	if sizes[1<<20] == 0 || sizes[3<<20] == 0 || sizes[256<<10] == 0 {
		t.Errorf("archives by the size of their parts: %v, want some of each", sizes)
	}
	if got, wanted := r.works[0].bytes, 2000*10*float64(1<<20); got != wanted {
		t.Errorf("%.0f bytes were sent, want %.0f", got, wanted)
	}
}

// Whoever sends an archive again finds the parts that were stored.
func TestAnArchiveIsCutOnce(t *testing.T) {
	w := &work{spec: &Transfer{PartSize: 1 << 20, ArchiveParts: 10}, partSize: 3 << 20}
	a := &archive{transfer: w, prefix: &prefix{}}
	a.cut()
	w.partSize = 1 << 20
	if a.cut(); a.parts != 4 || a.partBytes(3) != 1<<20 {
		t.Errorf("the archive has %d parts, the last of %d bytes, want 4, and 1 MiB", a.parts, a.partBytes(3))
	}
}

// Random scenarios in which service and part size change on top of all that goes wrong keep the invariants.
func TestRandomChangesKeepTheInvariants(t *testing.T) {
	for seed := range uint64(30) {
		violation := fuzzOne(seed, func(s *Scenario, config *protocol.Config) {
			randomOutages(stream(seed, "outages"), s, config)
			randomChanges(stream(seed, "changes"), s)
		})
		if violation != "" {
			t.Errorf("seed %d: %s", seed, violation)
		}
	}
}

func randomChanges(random *rand.Rand, s *Scenario) {
	for range 1 + random.IntN(4) {
		service := s.Service
		service.Median = seconds(0.02 + random.Float64())
		s.Changes = append(s.Changes, Change{At: someTime(random), Service: &service})
		of := s.Transfers[random.IntN(len(s.Transfers))]
		s.Changes = append(s.Changes, Change{At: someTime(random), Transfer: of.Name, PartSize: Size(1 + random.Int64N(of.archiveSize()))})
	}
}
