package sim

import (
	"bytes"
	"testing"
)

// jsonOf runs a scenario and gives the result as it is written.
func jsonOf(t *testing.T, file, controller string, parallel int) string {
	t.Helper()
	scenarios, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		s.Duration = seconds(20)
	}
	c, err := FindController(controller)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	o := Options{Seeds: 3, Seed: 7, Parallel: parallel}
	if err := Compare(scenarios, []Controller{c}, o, func(row Row) error { return WriteJSON(&b, row) }); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSameSeedSameBytes(t *testing.T) {
	for _, controller := range []string{"adaptive", "fixed-8", "falcon"} {
		one := jsonOf(t, "scenarios/02-policer.yaml", controller, 1)
		two := jsonOf(t, "scenarios/02-policer.yaml", controller, 2)
		if one != two {
			t.Errorf("%s: the same seeds gave\n%sand\n%s", controller, one, two)
		}
	}
}

// Random scenarios with everything that can go wrong break no invariant. `make
// fuzz-coordination` runs many more.
func TestRandomScenariosKeepTheInvariants(t *testing.T) {
	Fuzz(1, 60, 2, func(seed uint64, violation string) {
		if violation != "" {
			t.Errorf("seed %d: %s", seed, violation)
		}
	})
}
