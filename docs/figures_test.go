package docs

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// fleetRun is what README quotes of a run in benchmarks/fleet.json.
type fleetRun struct {
	Condition, Fleet string
	Workers          int
	Alone            struct {
		BytesPerSecond, StoredP50 float64
		Requests, Throttled       float64
	}
	Neighbor struct{ Stored float64 }
}

// varietyRun is what README quotes of a run in benchmarks/variety.json.
type varietyRun struct {
	Controller string
	// ArchiveSuccess is nil where no archive had ended.
	ArchiveSuccess                  *float64
	GoodputOfOracle, ThrottledShare float64
}

// TestREADMEQuotesTheBenchmarks compares the sentences of README that have figures with what was
// measured.
func TestREADMEQuotesTheBenchmarks(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := strings.Join(strings.Fields(string(text)), " ")
	for _, sentence := range append(fleetSentences(t), varietySentences(t)...) {
		if !strings.Contains(readme, sentence) {
			t.Errorf("README.md does not say %q, as the benchmarks do", sentence)
		}
	}
}

// fleetSentences are those of twelve workers on a link and before four policed partitions.
func fleetSentences(t *testing.T) []string {
	t.Helper()
	// Objects of 256 KiB, 60 requests a second in each partition.
	const capacity = 4 * 60 * 256 << 10
	var data struct {
		Neighbors []struct {
			Condition string
			Neighbor  struct{ Stored float64 }
		}
		Results []fleetRun
	}
	decode(t, "benchmarks/fleet.json", &data)
	run := func(condition, fleet string) fleetRun {
		for _, r := range data.Results {
			if r.Condition == condition && r.Fleet == fleet && r.Workers == 12 {
				return r
			}
		}
		t.Fatalf("fleet.json has no run of 12 %s workers, %s", fleet, condition)
		return fleetRun{}
	}
	link, crowd := run("link", "coordinated"), run("link", "uncoordinated-64")
	policed, throttled := run("policed", "coordinated"), run("policed", "uncoordinated-64")
	undisturbed := 0.0
	for _, n := range data.Neighbors {
		if n.Condition == link.Condition {
			undisturbed = n.Neighbor.Stored
		}
	}
	if crowd.Neighbor.Stored != 0 {
		t.Errorf("the neighbor stored %v objects/s beside uncoordinated workers, README says none", crowd.Neighbor.Stored)
	}
	return []string{
		fmt.Sprintf("store an object in %.0f ms (median); uncoordinated workers, each with 64 requests in flight per prefix, take %.0f s.",
			1000*link.Alone.StoredP50, crowd.Alone.StoredP50),
		fmt.Sprintf("keeps %.0f %% of its throughput instead of none", 100*link.Neighbor.Stored/undisturbed),
		fmt.Sprintf("the workers use %.0f %% of the capacity with %.1f %% of requests throttled instead of %.0f %%.", 100*policed.Alone.BytesPerSecond/capacity,
			100*policed.Alone.Throttled/policed.Alone.Requests, 100*throttled.Alone.Throttled/throttled.Alone.Requests),
	}
}

// varietySentences are those of the law and of the other controllers in random scenarios.
func varietySentences(t *testing.T) []string {
	t.Helper()
	var data struct {
		Seeds int
		Rows  []varietyRun
	}
	decode(t, "benchmarks/variety.json", &data)
	if data.Seeds != 1 {
		t.Fatalf("variety.json has %d seeds: this test takes its rows for scenarios", data.Seeds)
	}
	const law = "adaptive"
	sound, goodput := map[string]int{}, []float64{}
	for _, r := range data.Rows {
		if (r.ArchiveSuccess == nil || *r.ArchiveSuccess >= 0.9999) && r.ThrottledShare <= 0.02 {
			sound[r.Controller]++
		}
		if r.Controller == law {
			goodput = append(goodput, r.GoodputOfOracle)
		}
	}
	slices.Sort(goodput)
	n := len(goodput)
	most := 0
	for controller, scenarios := range sound {
		if controller != law {
			most = max(most, scenarios)
		}
	}
	return []string{
		fmt.Sprintf("In %d random simulated scenarios", n),
		fmt.Sprintf("a median of %.3f of the optimum, and in %d it completes", (goodput[(n-1)/2]+goodput[n/2])/2, sound[law]),
		fmt.Sprintf("does so in more than %d.", most),
	}
}

func decode(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
}
