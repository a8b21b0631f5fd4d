//go:build !race

package sim

import "testing"

// Data keeps moving while the control plane is away (I9), and nobody sends more than was
// granted.
func TestTheControlPlaneMayBeAway(t *testing.T) {
	scenarios, err := Load("away")
	if err != nil {
		t.Fatal(err)
	}
	adaptive, err := FindController("adaptive")
	if err != nil {
		t.Fatal(err)
	}
	err = Compare(scenarios, []Controller{adaptive}, Options{Seeds: 2, Seed: 1, Parallel: 2}, func(row Row) error {
		if row.Violation != "" {
			t.Errorf("%s: %s", row.Scenario, row.Violation)
		}
		for _, target := range row.Targets {
			if !target.Met {
				t.Errorf("%s: %s is %.4f, want %s", row.Scenario, target.Metric, row.Metrics[target.Metric].Median, target.Target)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
