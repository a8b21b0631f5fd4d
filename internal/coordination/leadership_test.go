package coordination

import (
	"math"
	"slices"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// After a restart grants stand as they were, newcomers share the reserve, and
// after a lease lifetime all is shared again.
func TestLearning(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.start("t", "w")
	f.reports["w"].Prefixes = []protocol.PrefixCounters{{Prefix: "a", Started: 1}}
	f.round("w")
	snapshot := f.c.Snapshot()
	held := f.assigned("w", "a")

	c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
	must(t, err)
	f.c = c
	snapshot.Epoch++
	must(t, c.Start(f.now, snapshot))
	must(t, c.PutTransfer(f.now, protocol.Transfer{ID: "t", Weight: 1, Config: protocol.DefaultConfig()}))
	c.AdoptGrant(f.now, f.grants["w"])
	f.schedule("t", "a", 500)
	f.start("t", "v")
	f.round("w", "v")
	if g := f.grants["w"]; g.Epoch != 4 || !slices.Equal(f.assigned("w", "a"), held) {
		t.Errorf("epoch %d, assigned %v; want 4 and still %v", g.Epoch, f.assigned("w", "a"), held)
	}
	if f.window("w")+f.window("v") > 32+congestion.WindowFloor {
		t.Errorf("windows %d and %d exceed what was recorded and the reserve", f.window("w"), f.window("v"))
	}
	for range 20 {
		f.round("w", "v")
	}
	if a, b := f.window("w"), f.window("v"); a != 16 || b != 16 {
		t.Errorf("windows %d and %d after learning, want 16 each", a, b)
	}
}

// While learning nothing but the reserve goes to newcomers, though the recorded
// window is free: its holders may not have been heard yet.
func TestLearningReserve(t *testing.T) {
	c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
	must(t, err)
	f := &fixture{t: t, c: c, now: start, reports: map[protocol.WorkerID]*protocol.Report{}, grants: map[protocol.WorkerID]protocol.Grant{}}
	must(t, c.Start(start, protocol.Snapshot{Epoch: 2, Path: &protocol.PathSnapshot{Window: 400, State: protocol.CongestionAvoidance}}))
	f.transfer("t", 1, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.start("t", "v")
	if got := f.window("v"); got != congestion.WindowFloor {
		t.Errorf("window %d, want the reserve of %d", got, congestion.WindowFloor)
	}
}

func TestStartRejects(t *testing.T) {
	tests := map[string]protocol.Snapshot{
		"no epoch":          {},
		"no window":         {Epoch: 1, Path: &protocol.PathSnapshot{}},
		"rate not a number": {Epoch: 1, Path: &protocol.PathSnapshot{Window: 8}, Groups: []protocol.GroupSnapshot{{Name: congestion.GroupName, Rate: math.NaN()}}},
	}
	for name, snapshot := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
			must(t, err)
			if c.Start(start, snapshot) == nil {
				t.Error("it started")
			}
			if p := c.Tick(start); p.Grants != nil {
				t.Errorf("it granted %+v", p.Grants)
			}
		})
	}
}

func TestAdoptGrantOfAnUnknownTransfer(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.c.AdoptGrant(f.now, protocol.Grant{
		Worker: "w", Transfer: "gone", Epoch: 2, Sequence: 9, Duration: 30 * time.Second,
		Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 5, Assignments: []protocol.Assignment{{Archive: protocol.ArchiveID{Transfer: "gone", Prefix: "a", Number: 0}, Attempt: 1}}}},
	})
	f.tick()
	if g := f.grants["w"]; !g.Drain || g.Epoch != 3 || g.Sequence != 10 {
		t.Errorf("got %+v, want to drain", g)
	}
	if charged := f.c.Metrics(f.now).Charged; charged != 5 {
		t.Errorf("%d slots are charged, want 5 until the lease is over", charged)
	}
	f.c.RemoveWorker(f.now, "w", false)
	for range 17 {
		f.tick()
	}
	if m := f.c.Metrics(f.now); m.Workers != 0 || m.Charged != 0 {
		t.Errorf("%d workers and %d slots are left", m.Workers, m.Charged)
	}
}

// Of two workers that were given the same archive the later attempt counts.
func TestAdoptGrantsOfOneArchive(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	for i, id := range []protocol.WorkerID{"v", "w", "x"} {
		f.c.AdoptGrant(f.now, protocol.Grant{
			Worker: id, Transfer: "t", Epoch: 2, Sequence: 9, Duration: 30 * time.Second,
			Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 5, Assignments: []protocol.Assignment{{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: 0}, Attempt: 1 + i%2}}}},
		})
	}
	if holder, attempt := f.c.transfers[0].prefixes[0].work.Holder(0); holder != "w" || attempt != 2 {
		t.Errorf("%s holds the archive at attempt %d, want w at 2", holder, attempt)
	}
	if p := f.prefix("a"); p.Assigned != 1 || p.Queued != 0 {
		t.Errorf("%d assigned, %d queued, want 1 and 0", p.Assigned, p.Queued)
	}
}

// A worker that has not seen the adopted grant may be on the floor of the one
// before, whatever the adopted one says.
func TestAdoptedWorkersAreChargedAFloor(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.c.AdoptGrant(f.now, protocol.Grant{Worker: "w", Transfer: "t", Epoch: 2, Sequence: 9, Duration: 30 * time.Second})
	charged := func() int { return f.c.Metrics(f.now).Charged }
	if got := charged(); got != 1 {
		t.Errorf("%d slots are charged, want a floor of 1", got)
	}
	must(t, f.c.Observe(f.now, protocol.Report{Worker: "w", Transfer: "t", Instance: "1", Sequence: 4, Epoch: 2, GrantSequence: 9}))
	if got := charged(); got != 0 {
		t.Errorf("%d slots are charged once the worker acts on the adopted grant", got)
	}
}

func TestPlanning(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.start("t", "w", "v")
	planners := func() (ids []protocol.WorkerID) {
		for id, g := range f.grants {
			if g.Plan {
				ids = append(ids, id)
			}
		}
		return ids
	}
	if got := planners(); len(got) > 0 {
		t.Fatalf("%v plan, nothing is to be planned", got)
	}
	f.c.SetPlanning("t", true)
	f.round("w", "v")
	if got := planners(); !slices.Equal(got, []protocol.WorkerID{"v"}) {
		t.Fatalf("%v plan, want v", got)
	}
	var after time.Duration
	for ; !f.grants["w"].Plan && after < time.Minute; after += 2 * time.Second {
		f.round("w") // v is not heard
	}
	if after < 26*time.Second || after > 34*time.Second {
		t.Errorf("the duty moved after %v, want a lease", after)
	}
	f.c.SetPlanning("t", false)
	f.round("w")
	if f.grants["w"].Plan {
		t.Error("w plans, nothing is to be planned")
	}
}

// The duty passes from a worker that leaves only once that one has let go of it.
func TestPlannersDoNotOverlap(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.c.SetPlanning("t", true)
	f.start("t", "v", "w")
	if !f.grants["v"].Plan {
		t.Fatal("v does not plan")
	}
	f.c.RemoveWorker(f.now, "v", false)
	f.round("w")
	if f.grants["v"].Plan || f.grants["w"].Plan {
		t.Fatalf("planning: v %v, w %v, want neither before v has let go", f.grants["v"].Plan, f.grants["w"].Plan)
	}
	f.round("v", "w")
	if !f.grants["w"].Plan {
		t.Error("w does not plan after v has let go")
	}
}

// What an earlier leader has recalled, or withdrawn from a reserve, is nobody else's until the
// worker acts on a grant that says so: it may be sending it meanwhile.
func TestWhatWasRecalledIsNobodyElses(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	must(t, f.c.PlanPrefix(f.now, "t", protocol.PlannedPrefix{Prefix: "a", Planned: protocol.Planned{Archives: 4, Files: 4, Bytes: 400}}))
	withdrawn, err := protocol.ParseRanges("1-2")
	must(t, err)
	recalled := []protocol.Assignment{{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a"}, Attempt: 1}}
	f.grants["w"] = protocol.Grant{
		Worker: "w", Transfer: "t", Epoch: 2, Sequence: 9, Instance: "1", Duration: 30 * time.Second, Coasting: time.Hour,
		Prefixes: []protocol.PrefixGrant{{Prefix: "a", Recalled: recalled, Withdrawn: withdrawn}},
	}
	f.c.AdoptGrant(f.now, f.grants["w"])
	f.start("t", "v")
	deaf := protocol.Report{Worker: "w", Transfer: "t", Instance: "1", MaxInFlight: 100, Epoch: 2, GrantSequence: 8}
	for range 3 {
		deaf.Sequence++
		must(t, f.c.Observe(f.now, deaf))
		f.round("v")
	}
	if got := f.assigned("v", "a"); !slices.Equal(got, []int64{3}) {
		t.Fatalf("v was given %v, want 3 alone: w may be sending the others", got)
	}
	if p := f.prefix("a"); p.Assigned != 2 || p.Queued != 2 {
		t.Errorf("%d assigned, %d queued, want 2 and 2", p.Assigned, p.Queued)
	}
	hearing := deaf
	hearing.Sequence, hearing.GrantSequence = deaf.Sequence+1, 9
	must(t, f.c.Observe(f.now, hearing))
	f.round("v")
	if held := len(f.assigned("v", "a")) + len(f.assigned("w", "a")); held != 4 {
		t.Errorf("v was given %v and w %v after w has let go, want all", f.assigned("v", "a"), f.assigned("w", "a"))
	}
}

// A grant names what it recalls, also from a worker that shall end, until the worker acts on it;
// to name it no longer is worth no write.
func TestGrantsNameWhatTheyRecall(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 40)
	f.start("t", "v")
	f.round("v")
	held := f.assigned("v", "a")
	f.c.Drain(f.now, "t")
	f.tick()
	var recalled []int64
	for _, p := range f.grants["v"].Prefixes {
		for _, a := range p.Recalled {
			recalled = append(recalled, a.Archive.Number)
		}
	}
	if !slices.Equal(recalled, held) || f.window("v") != 0 || len(f.assigned("v", "a")) != 0 {
		t.Errorf("the grant recalls %v of %v, with a window of %d", recalled, held, f.window("v"))
	}
	before := f.grants["v"].Sequence
	f.round("v")
	if g := f.grants["v"]; g.Sequence != before {
		t.Errorf("it was written again: %+v", g)
	}
}
