package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/bench/figures"
	"cargoship.dev/operator/lab"
	"cargoship.dev/operator/test/simulated"
)

func TestJainWeighsByPriority(t *testing.T) {
	for _, c := range []struct {
		bytes   []int64
		weights []int32
		want    float64
	}{
		{[]int64{100, 200}, []int32{1, 2}, 1},
		{[]int64{200, 0}, []int32{1, 2}, 0.5},
		{[]int64{100, 100}, []int32{1, 2}, 0.9},
		{[]int64{100}, []int32{1}, 0},
		{[]int64{0, 0}, []int32{1, 2}, 0},
	} {
		if got := (phase{TransferBytes: c.bytes}).jain(c.weights); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("index of %v by %v: %v, want %v", c.bytes, c.weights, got, c.want)
		}
	}
}

func TestManifestsAreNoGoodputOfPartitions(t *testing.T) {
	stats := figures.LabStats{Stats: lab.Stats{Seconds: 2, Partitions: []lab.PartitionStats{
		{Name: "", AcceptedBytesIn: 1000}, {Name: "fleet/p0", AcceptedBytesIn: 200}, {Name: "fleet/p1", AcceptedBytesIn: 400},
	}}}
	if got := newPhase(condition{requestsPerSecond: 60}, stats).BytesPerSecond; got != 300 {
		t.Errorf("goodput of the partitions: %v bytes/s, want 300", got)
	}
	if got := newPhase(condition{}, stats).BytesPerSecond; got != 800 {
		t.Errorf("goodput of a link: %v bytes/s, want 800", got)
	}
}

func TestFoundIsWhenItStays(t *testing.T) {
	c := condition{capacity: 100}
	one := result{Search: phase{Stored: []int64{10, 110, 120, 220}}, Alone: phase{Stored: []int64{95, 180, 260}}}
	if second, ok := one.found(c); !ok || second != 3 { // 100, 95 and 85 after 10, 100, 10
		t.Errorf("found at second %d (%t), want 3", second, ok)
	}
	if _, ok := one.found(condition{capacity: 110}); ok {
		t.Error("found although no three seconds are near the capacity")
	}
}

// sample is a report in which coordinated workers reach less than they should.
func sample() report {
	r := report{AloneSeconds: 30, SharedSeconds: 15, Neighbors: []lonely{{"policed", traffic{Stored: 200}}}}
	for _, s := range scenarios() {
		one := result{Condition: s.condition.name, Workers: s.workers, Fleet: s.fleet.name, Neighbor: traffic{Stored: 50}}
		one.Alone = phase{Seconds: 30, BytesPerSecond: 0.95 * s.capacity, Requests: 1000, Throttled: 10, StoredP50: 0.1, StoredP99: 0.2,
			TransferBytes: []int64{100, 200}[:len(weights(s.workers))]}
		if s.fleet.name != coordinated {
			one.Alone.StoredP50 = 1
		} else if s.workers == 12 {
			one.Alone.BytesPerSecond /= 2
		}
		if s.workers == 12 {
			one.Alone.StoredP50 = 0.1 // the service time alone
		}
		if s.fleet.name == coordinated && s.workers == 1 {
			one.Recordings = []recording{
				{"weight-1", simulated.Figures{Goodput: 10e6, Throttled: 0.01}, simulated.Figures{Goodput: 9.6e6, Throttled: 0.018}, ""},
				{"weight-2", simulated.Figures{Goodput: 10e6, Throttled: 0.01}, simulated.Figures{Goodput: 10e6, Throttled: 0.03}, ""},
			}
		}
		r.Results = append(r.Results, one)
	}
	return r
}

func TestPageTellsWhatWasMissed(t *testing.T) {
	var page strings.Builder
	if err := sample().writePage(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| policed: at least 90 % of the capacity | 4 | 95.0 % | met |",
		"| policed: at least 90 % of the capacity | 12 | 47.5 % | **missed** |",
		"| policed: at most 2 % throttled | 1 | 1.00 % | met |",
		"| link: weighted Jain at least 0.95 | 4 | 1.000 | met |",
		"| policed: median time to be stored at least 30 % below that of uncoordinated-64 | 1 | 90 % of at most 90 % | met |",
		"| policed: median time to be stored at least 30 % below that of uncoordinated-64 | 12 | 0 % of at most 0 % | out of reach |",
		"| 13.1 MB/s, -75 % |",
		"| link, 1 | weight-1 | 10.00 MB/s | 9.60 MB/s | -4.0 % | 1.00 % | 1.80 % | met |",
		"| link, 1 | weight-2 | 10.00 MB/s | 10.00 MB/s | +0.0 % | 1.00 % | 3.00 % | **missed** |",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, page.String())
		}
	}
	if strings.Contains(page.String(), "weighted Jain at least 0.95 | 1 ") {
		t.Error("the page judges the fairness of a single transfer")
	}
}

func TestPlotsAreDrawn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fleet.svg")
	if err := sample().writePlot(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", coordinated, ">12<", "workers", "requests throttled, %"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the plot lacks %q", want)
		}
	}
}

func TestGapsInterruptLines(t *testing.T) {
	begun := time.Unix(1000, 0)
	s := series{}
	for _, second := range []int{0, 2, 4, 20, 22} {
		s.points = append(s.points, point{begun.Add(time.Duration(second) * time.Second), 1})
	}
	runs := s.runs(span{begun, begun.Add(time.Minute)}, 10)
	if len(runs) != 2 || len(runs[0]) != 3 || len(runs[1]) != 2 || runs[1][0].X != 20 || runs[1][0].Y != 10 {
		t.Errorf("stretches %v, want 0 to 4 s and 20 to 22 s at 10", runs)
	}
}

func TestLegendNamesLabels(t *testing.T) {
	got := legendName("p99 {{domain}} {{ prefix }}", map[string]string{"domain": "http://192.0.2.1:9100/run-7", "prefix": "p0"})
	if want := "p99 run-7 p0"; got != want {
		t.Errorf("legend %q, want %q", got, want)
	}
}
