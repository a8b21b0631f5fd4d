//go:build !race

package sim

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestVaryIsDrawnFromSeedAndPlace(t *testing.T) {
	all, again, fewer, other := Vary(1, 40), Vary(1, 40), Vary(1, 10), Vary(2, 40)
	if !reflect.DeepEqual(all, again) {
		t.Error("the same seed gave other scenarios")
	}
	if !reflect.DeepEqual(all[:10], fewer) {
		t.Error("the first scenarios depend on how many there are")
	}
	for i := range all {
		if reflect.DeepEqual(all[i], other[i]) {
			t.Errorf("%s is the same with another seed", all[i].Name)
		}
	}
}

// Every scenario is what a file may hold, with nothing left to fill in, and keeps to the
// ranges of the study.
func TestVaryIsValid(t *testing.T) {
	for seed := range uint64(10) {
		names, found := map[string]bool{}, map[string]int{}
		for _, s := range Vary(seed, 8*len(families())) {
			checked := *s
			if err := checked.complete(); err != nil || !reflect.DeepEqual(checked, *s) {
				t.Errorf("seed %d: %s is not complete: %v", seed, s.Name, err)
			}
			if names[s.Name] {
				t.Errorf("seed %d: %s is there twice", seed, s.Name)
			}
			names[s.Name] = true
			_, name, _ := strings.Cut(s.Name, "-")
			found[name]++
			inRange(t, s)
		}
		for _, f := range families() {
			if found[f.name] != 8 {
				t.Errorf("seed %d: %d scenarios of family %s, want 8", seed, found[f.name], f.name)
			}
		}
	}
}

func inRange(t *testing.T, s *Scenario) {
	t.Helper()
	within := func(what string, value, low, high float64) {
		t.Helper()
		if !(value >= low*(1-1e-9) && value <= high*(1+1e-9)) {
			t.Errorf("%s: %s is %v, want %v to %v", s.Name, what, value, low, high)
		}
	}
	within("duration", s.Duration.seconds(), 60, 300)
	within("median", s.Service.Median.seconds(), 0.03, 0.4)
	size, limited := float64(s.Transfers[0].PartSize), s.Partitions[0].Rate <= mostRate
	largest := 16.
	if limited {
		largest = 1
	}
	within("part size", size/(1<<20), 0.25, largest)
	within("link", float64(s.Links[0].Bandwidth)*8/1e9, 0.05, 100)
	if !limited {
		within("parts per second", float64(s.Links[0].Bandwidth)/size, leastParts, mostParts)
	}
	for _, p := range s.Partitions {
		within("rate", float64(p.Rate), 40, 3500)
	}
	for _, c := range s.Changes {
		within("change", max(float64(c.Rate), float64(c.Bandwidth)/size), 8, 2250)
		within("time of change", c.At.seconds(), 60, s.Duration.seconds()-1)
	}
}

// In each, something can be sent, and something limits it.
func TestVaryHasAnOptimum(t *testing.T) {
	for _, s := range Vary(1, 2*len(families())) {
		if total := solve(s).total; !(total > 0) || math.IsInf(total, 1) {
			t.Errorf("%s: the optimum sends %v bytes", s.Name, total)
		}
	}
}

// A scenario that is built has the defaults and the errors of a file that says the same.
func TestCompleteIsLikeAFile(t *testing.T) {
	files, err := Load("scenarios/05-cold-partition.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := files[0]
	file.Description, file.Targets = "", nil
	built := &Scenario{
		Name: file.Name, Duration: seconds(600), Links: []Link{{Name: "egress", Bandwidth: 100e9 / 8}},
		Partitions: []Partition{{Rate: 300, Split: &Split{Into: 2, By: "keys", After: seconds(60), Pressure: 0.9, Limit: 2400}}},
		Transfers:  []Transfer{{PartSize: 1 << 20, Prefixes: []Prefix{{Count: 4}}, Workers: []WorkerGroup{{Count: 4}}}},
	}
	if err := built.complete(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(built, file) {
		t.Errorf("built is\n%+v\nthe file is\n%+v", built, file)
	}
	built.Transfers[0].Workers[0].Link = "nowhere"
	if err := built.complete(); err == nil || !strings.Contains(err.Error(), "transfers[0].workers[0].link: no link is named") {
		t.Errorf("a link that does not exist gives %v", err)
	}
}

// The fleets that constants of large fleets are tried on are large.
func TestFleetsAreLarge(t *testing.T) {
	scenarios, err := Load("fleets")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		if workers := s.Transfers[0].Workers[0].Count; workers < 200 {
			t.Errorf("%s has %d workers, want 200 or more", s.Name, workers)
		}
	}
}
