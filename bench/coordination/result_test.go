package main

import (
	"math"
	"strings"
	"testing"

	"cargoship.dev/operator/internal/sim"
)

// did makes what a controller did with some seeds: goodput of each, and shares of
// archives that succeeded and of requests that were throttled.
func did(controller string, ok, wasted float64, goodputs ...float64) entry {
	point := func(v float64) sim.Interval { return sim.Interval{Median: v, Low: v, High: v} }
	row := sim.Row{Controller: controller, Metrics: map[string]sim.Interval{
		goodput: point(middle(goodputs)), success: point(ok), throttled: point(wasted),
	}}
	for _, v := range goodputs {
		row.Runs = append(row.Runs, sim.Result{goodput: v})
	}
	return entry{Row: row}
}

func TestBestIsSound(t *testing.T) {
	c := compare(&sim.Scenario{}, []entry{
		did("adaptive", 1, 0, 0.97),
		did("tcp_like", 1, 0, 0.99),
		did("floods", 1, 0.021, 0.98),
		did("fails", 0.9998, 0, 0.98),
		did("fair", 0.9999, 0.02, 0.9),
		did("slow", 1, 0, 0.5),
		{Row: sim.Row{Controller: "nothing"}},
	})
	if best, ok := c.best(); !ok || best.Row.Controller != "fair" {
		t.Errorf("the best baseline is %q, want fair", best.Row.Controller)
	}
	for _, tt := range []struct {
		controller string
		rank, of   int
	}{{"adaptive", 1, 3}, {"fair", 1, 2}, {"slow", 2, 2}, {"floods", 0, 2}, {"nothing", 0, 2}} {
		if rank, of := c.rank(tt.controller); rank != tt.rank || of != tt.of {
			t.Errorf("%s has rank %d of %d, want %d of %d", tt.controller, rank, of, tt.rank, tt.of)
		}
	}
	if last := c.entries[len(c.entries)-1].Row.Controller; last != "nothing" {
		t.Errorf("%s comes last, want the one without a result", last)
	}
}

func TestVerdict(t *testing.T) {
	for _, tt := range []struct {
		name string
		our  entry
		want string
	}{
		{"ahead with every seed", did("adaptive", 1, 0, 0.91, 0.81, 0.71, 0.61, 0.51), "better"},
		{"behind with every seed", did("adaptive", 1, 0, 0.89, 0.79, 0.69, 0.59, 0.49), "**worse**"},
		{"now ahead, now behind", did("adaptive", 1, 0, 0.91, 0.79, 0.71, 0.59, 0.5), "equal"},
		{"ahead by 503s", did("adaptive", 1, 0.1, 0.91, 0.81, 0.71, 0.61, 0.51), "**unsound**"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := compare(&sim.Scenario{}, []entry{tt.our, did("other", 1, 0, 0.9, 0.8, 0.7, 0.6, 0.5)})
			if got, difference := c.verdict(); got != tt.want {
				t.Errorf("the verdict is %q with a difference of %v, want %q", got, difference, tt.want)
			}
		})
	}
}

func TestPairedComparesSeedBySeed(t *testing.T) {
	a := did("a", 1, 0, 0.9, 0.1, 0.5).Row.Runs
	b := did("b", 1, 0, 0.8, 0.0, 0.4).Row.Runs
	got := paired(a, b)
	for _, v := range []float64{got.Median, got.Low, got.High} {
		if math.Abs(v-0.1) > 1e-9 {
			t.Errorf("the difference is %v, want 0.1 throughout", got)
		}
	}
	if got := paired(nil, b); !math.IsNaN(got.Median) {
		t.Errorf("the difference of nothing is %v", got)
	}
}

func TestTargets(t *testing.T) {
	s := &sim.Scenario{Name: "02-policer", Targets: map[string]sim.Target{
		goodput: {Operator: ">=", Value: 0.98}, throttled: {Operator: "<=", Value: 0.01},
	}}
	c := compare(s, []entry{did(subject, 1, 0.005, 0.95), did("aws-adaptive", 1, 0, 0.5)})
	got := map[string]bool{}
	for _, target := range c.targets() {
		got[target.what] = target.met()
	}
	want := map[string]bool{goodput: false, throttled: true, "goodput over `aws-adaptive`'s": false}
	if len(got) != len(want) {
		t.Errorf("there are %d targets, want %d: %v", len(got), len(want), got)
	}
	for what, met := range want {
		if got[what] != met {
			t.Errorf("%s is met: %v, want %v", what, got[what], met)
		}
	}
}

func TestStudyShowsWhatIsCertain(t *testing.T) {
	variant := subject + ":learningRate=1"
	s := study{seeds: 3, compared: []comparison{
		compare(&sim.Scenario{Name: "loses"}, []entry{did(subject, 1, 0, 0.9, 0.8, 0.7), did(variant, 1, 0, 0.8, 0.7, 0.6)}),
		compare(&sim.Scenario{Name: "wavers"}, []entry{did(subject, 1, 0, 0.9, 0.8, 0.7), did(variant, 1, 0, 1, 0.7, 0.6)}),
		compare(&sim.Scenario{Name: "floods"}, []entry{did(subject, 1, 0, 0.9, 0.9, 0.9), did(variant, 1, 0.1, 1, 1, 1)}),
	}}
	var b strings.Builder
	s.table(&b, []string{variant}, func(string) string { return "1" })
	for _, want := range []string{"| loses | 0.800 | -10.00 |", "| wavers | 0.800 | · |", "| floods | 0.900 | +10.00 ! |"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table does not hold %q:\n%s", want, b.String())
		}
	}
}
