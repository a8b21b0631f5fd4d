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

// A worker from which the duty was taken by a grant that it has not seen goes on with it: the next leader, which adopts
// that grant, waits until it is heard or its lease is over.
func TestTheNextLeaderGivesTheDutyToNobodyBesideAPlanner(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.c.SetPlanning("t", true)
	f.start("t", "v", "w")
	f.round("v", "w")
	if !f.grants["v"].Plan {
		t.Fatal("v does not plan")
	}
	f.c.RemoveWorker(f.now, "v", false)
	f.round("w")
	s := f.c.Snapshot()
	s.Epoch++
	c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
	must(t, err)
	f.c = c
	must(t, c.Start(f.now, s))
	f.transfer("t", 1, protocol.DefaultConfig())
	c.SetPlanning("t", true)
	c.AdoptGrant(f.now, f.grants["v"])
	c.AdoptGrant(f.now, f.grants["w"])
	adopted := f.now
	for !f.grants["w"].Plan {
		if f.now.Sub(adopted) > 2*protocol.DefaultConfig().LeaseDuration {
			t.Fatal("nobody plans")
		}
		f.round("w")
	}
	if waited := f.now.Sub(adopted); waited < protocol.DefaultConfig().LeaseDuration {
		t.Errorf("w plans after %v, while v may", waited)
	}
}
