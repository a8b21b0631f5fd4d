package coordination

import (
	"fmt"
	"testing"

	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/protocol"
)

func TestTransfersShareByWeight(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.transfer("u", 3, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.schedule("u", "a", 500)
	f.start("t", "t1")
	f.start("u", "u1")
	f.round("t1", "u1")
	f.round("t1", "u1")
	if a, b := f.window("t1"), f.window("u1"); a != 8 || b != 24 {
		t.Errorf("windows %d and %d, want 8 and 24", a, b)
	}
}

func TestUncoordinatedWindowsAreFixed(t *testing.T) {
	config := protocol.DefaultConfig()
	config.Uncoordinated, config.MaxPrefixes, config.MaxConcurrentUploads = true, 1, 3
	f := newFixture(t, config)
	f.schedule("t", "a", 500)
	f.schedule("t", "b", 500)
	f.start("t", "v", "w")
	if got := f.window("v"); got != 3 {
		t.Errorf("window %d, want 3 on one prefix", got)
	}
	if a, b := f.grants["v"].Prefixes[0].Prefix, f.grants["w"].Prefixes[0].Prefix; a == b {
		t.Errorf("both workers send to prefix %s", a)
	}
	if charged := f.c.Metrics(f.now).Charged; charged != 0 {
		t.Errorf("%d slots are charged, want none", charged)
	}
}

// With fewer slots than workers, each gets its turn.
func TestSlotsRotate(t *testing.T) {
	config := protocol.DefaultConfig()
	config.GlobalCongestionWindow = 2
	f := newFixture(t, config)
	f.schedule("t", "a", 5000)
	ids := []protocol.WorkerID{"w1", "w2", "w3", "w4", "w5"}
	f.start("t", ids...)
	served := map[protocol.WorkerID]int{}
	for range 100 {
		f.round(ids...)
		if sum := f.window(ids...); sum > 2 {
			t.Fatalf("%d slots are given, want 2", sum)
		}
		for _, id := range ids {
			served[id] += f.window(id)
		}
	}
	for _, id := range ids {
		if served[id] < 20 {
			t.Errorf("%s had a slot in %d of 100 rounds, its share is 40", id, served[id])
		}
	}
}

func TestMaxActivePrefixes(t *testing.T) {
	config := protocol.DefaultConfig()
	config.MaxActivePrefixes = 1
	f := newFixture(t, config)
	f.schedule("t", "a", 2)
	f.schedule("t", "b", 2)
	f.start("t", "w")
	if len(f.assigned("w", "a")) != 2 || len(f.assigned("w", "b")) != 0 {
		t.Fatalf("assigned %v and %v, want prefix a alone", f.assigned("w", "a"), f.assigned("w", "b"))
	}
	f.report("w", done("a", 0), done("a", 1))
	f.tick()
	if len(f.assigned("w", "b")) != 2 {
		t.Errorf("assigned %v, want prefix b once a is finished", f.assigned("w", "b"))
	}
}

// Where the window is smaller than the number of prefixes, they take turns; what a worker
// has begun of one that waits stays with it, the rest goes back to the queue.
func TestPrefixesTakeTurns(t *testing.T) {
	config := protocol.DefaultConfig()
	config.PipelineDepth = 3
	f := newFixture(t, config)
	f.schedule("t", "a", 100)
	f.schedule("t", "b", 100)
	f.start("t", "w")
	if a, b := f.assigned("w", "a"), f.assigned("w", "b"); len(a) != 3 || len(b) != 3 {
		t.Fatalf("assigned %v and %v, want three of each", a, b)
	}
	f.resize(1)
	waiting := 0
	for range 4 * fairshare.TurnIntervals {
		var finished []protocol.Outcome
		for _, p := range f.grants["w"].Prefixes {
			if p.Window > 0 && len(p.Assignments) > 0 {
				finished = append(finished, done(p.Prefix, p.Assignments[0].Archive.Number))
			} else if p.Window == 0 && len(p.Assignments) == 1 {
				waiting++
			}
		}
		f.report("w", finished...)
		f.tick()
	}
	if a, b := f.prefix("a").Finished, f.prefix("b").Finished; a.Count() < fairshare.TurnIntervals || b.Count() < fairshare.TurnIntervals {
		t.Errorf("finished %s of a and %s of b, want the archives of a turn of each", a, b)
	}
	if waiting == 0 {
		t.Error("the worker never kept just the archive that it had begun")
	}
}

// Who has had the only slot for long gives it to who came later.
func TestNewcomersGetTheirTurn(t *testing.T) {
	config := protocol.DefaultConfig()
	config.GlobalCongestionWindow = 1
	f := newFixture(t, config)
	f.schedule("t", "a", 5000)
	f.start("t", "old")
	for range 40 {
		f.round("old")
	}
	f.start("t", "new")
	for range 5 {
		f.round("old", "new")
	}
	if f.window("new") != 1 || f.window("old") != 0 {
		t.Errorf("windows %d and %d, want the newcomer's turn", f.window("old"), f.window("new"))
	}
}

// Lost workers may each have a request in flight; those that are left can go on.
func TestLostWorkersDoNotStarveTheOthers(t *testing.T) {
	config := protocol.DefaultConfig()
	config.GlobalCongestionWindow = 4
	f := newFixture(t, config)
	f.schedule("t", "a", 5000)
	var lost []protocol.WorkerID
	for i := range 8 {
		lost = append(lost, protocol.WorkerID(fmt.Sprint("lost", i)))
	}
	f.start("t", lost...)
	for range 40 {
		f.round(lost...) // each has its turn
	}
	f.start("t", "w")
	for range 30 {
		f.round("w")
	}
	if got := f.window("w"); got != 4 {
		t.Errorf("window %d, want all of 4 once the leases of the others are over", got)
	}
}

// What is leased to a worker that is not heard is not there for others.
func TestSilentWorkersKeepWhatIsLeased(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.start("t", "v", "w")
	for range 4 {
		f.round("v")
	}
	f.resize(20)
	f.round("v")
	if got := f.window("v"); got != 4 {
		t.Errorf("window %d of 20, want 4 beside the 16 of the silent worker", got)
	}
}
