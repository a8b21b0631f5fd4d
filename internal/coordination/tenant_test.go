package coordination

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// claims drives a coordinator with transfers of several tenants that all have more to
// send than there is window for.
type claims struct {
	t   *testing.T
	f   *fixture
	ids []protocol.WorkerID
}

func newClaims(t *testing.T) *claims {
	t.Helper()
	c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
	must(t, err)
	f := &fixture{t: t, c: c, now: start, reports: map[protocol.WorkerID]*protocol.Report{}, grants: map[protocol.WorkerID]protocol.Grant{}}
	must(t, c.Start(f.now, protocol.Snapshot{Epoch: 3}))
	return &claims{t: t, f: f}
}

// add makes a transfer with as many workers; none has no lease.
func (x *claims) add(tenant string, id protocol.TransferID, weight, workers int, change func(*protocol.Config)) {
	x.t.Helper()
	config := protocol.DefaultConfig()
	if change != nil {
		change(&config)
	}
	f := x.f
	must(x.t, f.c.PutTransfer(f.now, protocol.Transfer{ID: id, Tenant: tenant, Weight: weight, Config: config}))
	must(x.t, f.c.RegisterPrefix(f.now, id, "a"))
	f.schedule(id, "a", 500)
	for i := range workers {
		w := protocol.WorkerID(fmt.Sprintf("%s-%d", id, i))
		f.c.AddWorker(f.now, w, id, 1000)
		f.reports[w] = &protocol.Report{Worker: w, Transfer: id, Instance: "1", MaxInFlight: 1000}
		x.ids = append(x.ids, w)
	}
}

// window is what a tenant has of the whole after some rounds.
func (x *claims) window(whole int, tenant string) int {
	x.t.Helper()
	x.f.round(x.ids...)
	x.f.resize(whole)
	for range 8 {
		x.f.round(x.ids...)
	}
	sum := 0
	for _, w := range x.f.c.ordered {
		if w.transfer.spec.Tenant == tenant {
			sum += x.f.window(w.id)
		}
	}
	return sum
}

// Whoever makes many transfers of one gets no more than with the one, and one that
// nobody works on changes nothing for anybody.
func TestATenantGainsNothingByMoreTransfers(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 3))
		whole, mine, theirs := 40+random.IntN(400), 1+random.IntN(50), 1+random.IntN(50)
		parts, idle := 2+random.IntN(8), random.IntN(5)
		alone := newClaims(t)
		alone.add("theirs", "t", theirs, 2, nil)
		alone.add("mine", "m", mine, 2, nil)
		want := alone.window(whole, "mine")

		split := newClaims(t)
		split.add("theirs", "t", theirs, 2, nil)
		for i := range parts {
			split.add("mine", protocol.TransferID(fmt.Sprint("m", i)), 1+random.IntN(mine), 1+random.IntN(2), nil)
		}
		for i := range idle {
			split.add("mine", protocol.TransferID(fmt.Sprint("idle", i)), 1000, 0, nil)
		}
		if got := split.window(whole, "mine"); got > want+want/10+1 {
			t.Errorf("seed %d: %d of %d slots with %d transfers and %d idle ones, %d with one", seed, got, whole, parts, idle, want)
		}
	}
}

// Two tenants of one weight have half each, however many transfers one has.
func TestTenantsShareByWeight(t *testing.T) {
	x := newClaims(t)
	x.add("one", "a", 3, 2, nil)
	for i := range 9 {
		x.add("nine", protocol.TransferID(fmt.Sprint("b", i)), 3, 2, nil)
	}
	if got := x.window(200, "one"); got < 95 || got > 105 {
		t.Errorf("%d of 200 slots, want half", got)
	}
}

// A transfer that nobody works on has no say in the law, in leases or in how long a
// leader learns, whatever its weight.
func TestTransfersWithoutLeasesHaveNoSay(t *testing.T) {
	x := newClaims(t)
	x.add("one", "a", 1, 2, nil)
	x.window(100, "one")
	before, interval := x.f.c.control.Config(), x.f.c.Interval()
	x.add("other", "b", 1000, 0, func(c *protocol.Config) {
		c.CongestionSensitivity, c.LeaseDuration, c.UpdateInterval = 0, 10*time.Minute, 100*time.Millisecond
		c.GlobalCongestionWindow, c.AdvancedFlowControl = protocol.MaxWindow, false
	})
	if got := x.window(100, "one"); got < 95 {
		t.Errorf("%d of 100 slots beside a transfer without workers", got)
	}
	if after := x.f.c.control.Config(); after != before {
		t.Errorf("the law is %+v, was %+v", after, before)
	}
	if got := x.f.c.Interval(); got != interval {
		t.Errorf("ticks come every %v, came every %v", got, interval)
	}
	if got := x.f.c.Snapshot().LeaseLifetime; got > protocol.Lifetime(30*time.Second) {
		t.Errorf("the next leader learns for %v", got)
	}
}

// Of those that hold leases the safest value of each parameter counts, whoever weighs
// most; one's long leases and intervals are nobody's.
func TestTheSafestParametersCount(t *testing.T) {
	x := newClaims(t)
	x.add("one", "a", 1, 2, nil)
	x.add("other", "b", 1000, 1, func(c *protocol.Config) {
		c.CongestionSensitivity, c.LeaseDuration, c.UpdateInterval = 0, time.Hour, time.Minute
		c.GlobalCongestionWindow, c.SlowStartThreshold = protocol.MaxWindow, protocol.MaxWindow
		c.AdvancedFlowControl, c.RecoveryAggressiveness, c.BandwidthProbingRate, c.LearningRate = false, 10, 1, 1
	})
	x.f.round(x.ids...)
	x.f.round(x.ids...)
	if got, want := x.f.c.control.Config(), protocol.DefaultConfig(); got != want {
		t.Errorf("the law is\n%+v, want\n%+v", got, want)
	}
	for _, w := range x.ids {
		if g := x.f.grants[w]; g.Duration != 30*time.Second || g.ReportInterval > 2*time.Second {
			t.Errorf("the lease of %s holds for %v, its reports come every %v", w, g.Duration, g.ReportInterval)
		}
	}
	if got := x.f.c.Snapshot().LeaseLifetime; got > protocol.Lifetime(30*time.Second) {
		t.Errorf("the next leader learns for %v", got)
	}
}
