package coordination

import (
	"math"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

func TestAbsurdSnapshotsAreBounded(t *testing.T) {
	s, err := protocol.DecodeSnapshot([]byte(`{"version":1,"epoch":-4,"leaseLifetime":9000000000000000000,"path":{"window":2000000000,"state":"?",
		"threshold":-1,"goodWindow":-7,"profile":{"baseLatency":-5,"sizeClass":900,"bandwidth":1e300,"requestRate":-1,"confidence":40}},
		"groups":[{"name":"shared","rate":1e300,"goodRate":-1},{"name":"x","state":"Recovery","members":[{"transfer":"t","prefix":""},{"transfer":"t","prefix":"a"}]}]}`))
	must(t, err)
	if s.LeaseLifetime > 2*time.Hour || s.Path.Window != protocol.MaxWindow || s.Path.State != protocol.CongestionAvoidance || s.Path.GoodWindow != 0 ||
		s.Groups[0].Rate > protocol.FastestRate || s.Groups[0].GoodRate != 0 || len(s.Groups[1].Members) != 1 || math.IsInf(s.Path.Profile.Bandwidth, 0) {
		t.Errorf("got %+v %+v", s, *s.Path)
	}
	c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
	must(t, err)
	s.Epoch = 1
	must(t, c.Start(start, s))
}

// A snapshot of any bytes is read without harm, and what is read can be begun with.
func FuzzDecodeSnapshot(f *testing.F) {
	f.Add(protocol.EncodeSnapshot(protocol.Snapshot{Epoch: 7, Path: &protocol.PathSnapshot{Window: 280, State: protocol.SlowStart}, Groups: []protocol.GroupSnapshot{
		{Name: "shared", Rate: 3}, {Name: "shared-1", State: protocol.Recovery, GoodRate: 4, Members: []protocol.Member{{Transfer: "t", Prefix: "a"}}},
	}}, 4<<10))
	f.Add([]byte(`{"version":1,"path":{"window":-1},"groups":[{},{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := protocol.DecodeSnapshot(text)
		if err != nil {
			return
		}
		c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
		must(t, err)
		s.Epoch = 1
		must(t, c.Start(start, s))
		c.Tick(start.Add(time.Second))
	})
}

// The next leader begins with the groups of the one before.
func TestGroupsSurviveARestart(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.settle(32)
	f.part("t", "a", 123)
	snapshot := f.c.Snapshot()
	snapshot.Epoch++
	c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
	must(t, err)
	must(t, c.Start(f.now, snapshot))
	must(t, c.PutTransfer(f.now, protocol.Transfer{ID: "t", Weight: 1, Config: protocol.DefaultConfig()}))
	for _, prefix := range []string{"a", "b"} {
		must(t, c.RegisterPrefix(f.now, "t", prefix))
	}
	a, b := c.transfer("t").byName["a"].member, c.transfer("t").byName["b"].member
	rates := map[string]float64{}
	for _, g := range c.control.Groups() {
		rates[g.Name] = g.Rate
	}
	if a.Group() == b.Group() || rates[a.Group()] != 123 || rates[b.Group()] != 0 {
		t.Errorf("rates %v and %v, want 123 and none", rates[a.Group()], rates[b.Group()])
	}
}
