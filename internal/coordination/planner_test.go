package coordination

import (
	"testing"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// A planner that is not heard loses its duty once its lease is over, and nothing else: with nobody heard it may be the
// manager that is away.
func TestASilentPlannerKeepsItsWindows(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.c.SetPlanning("t", true)
	f.start("t", "v", "w")
	for range 10 {
		f.round("v", "w")
	}
	before := f.window("v")
	if before == 0 || !f.grants["v"].Plan {
		t.Fatalf("v plans: %v, and has a window of %d", f.grants["v"].Plan, before)
	}
	for range 20 {
		f.tick()
	}
	if got := f.window("v"); got != before || f.grants["v"].Plan || len(f.assigned("v", "a")) == 0 {
		t.Errorf("unheard, its window is %d, of %d; it plans: %v; it holds %v", got, before, f.grants["v"].Plan, f.assigned("v", "a"))
	}
}
