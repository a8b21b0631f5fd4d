package coordination

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// fleet is a drawn domain: transfers, their queues, and workers that report
// what is drawn anew each round.
type fleet struct {
	t       *rapid.T
	f       *fixture
	ids     []protocol.WorkerID
	plenty  bool // every prefix has archives for all workers
	workers map[protocol.TransferID]int
}

func drawFleet(t *rapid.T, outer *testing.T, plenty bool) *fleet {
	config := protocol.DefaultConfig()
	config.GlobalCongestionWindow = rapid.IntRange(1, 200).Draw(t, "window")
	config.Strategy = rapid.SampledFrom([]protocol.Strategy{protocol.TCPLike, protocol.FairShare, protocol.Adaptive}).Draw(t, "strategy")
	config.MaxActivePrefixes = rapid.IntRange(1, 8).Draw(t, "active")
	config.PipelineDepth = rapid.IntRange(1, 4).Draw(t, "depth")
	d := &fleet{t: t, f: newFixture(outer, config), workers: map[protocol.TransferID]int{}, plenty: plenty}
	for i := range rapid.IntRange(1, 3).Draw(t, "transfers") {
		id := protocol.TransferID("t")
		if i > 0 {
			id = protocol.TransferID(fmt.Sprint("t", i))
			d.f.transfer(id, rapid.IntRange(1, 9).Draw(t, "weight"), config)
		}
		for p := range rapid.IntRange(1, 6).Draw(t, "prefixes") {
			prefix := fmt.Sprint("p", p)
			must(outer, d.f.c.RegisterPrefix(d.f.now, id, prefix))
			archives := int64(200)
			if !d.plenty {
				archives = rapid.Int64Range(0, 12).Draw(t, "archives")
			}
			d.f.schedule(id, prefix, archives)
		}
		for w := range rapid.IntRange(1, 6).Draw(t, "workers") {
			name := protocol.WorkerID(fmt.Sprintf("%s-%d", id, w))
			d.ids = append(d.ids, name)
			d.workers[id]++
			d.f.c.AddWorker(d.f.now, name, id, 0)
			d.f.reports[name] = &protocol.Report{
				Worker: name, Transfer: id, Instance: "1", MaxInFlight: rapid.IntRange(1, 60).Draw(t, "maxInFlight"),
			}
		}
	}
	return d
}

func (d *fleet) round() {
	for _, id := range d.ids {
		d.f.reports[id].Blocked = !d.plenty && rapid.IntRange(0, 9).Draw(d.t, "blocked") == 0
		if err := d.f.tryReport(id); err != nil {
			d.t.Fatal(err)
		}
	}
	d.f.tick()
	d.check()
}

func (d *fleet) check() {
	sum := 0
	for _, id := range d.ids {
		w := d.f.window(id)
		sum += w
		if most := d.f.reports[id].MaxInFlight; w > most {
			d.t.Fatalf("%s has a window of %d, can have %d in flight", id, w, most)
		}
		if d.f.reports[id].Blocked && w > 1 {
			d.t.Fatalf("%s is blocked and has a window of %d", id, w)
		}
	}
	if bound := d.f.c.control.Bound(); sum > bound {
		d.t.Fatalf("windows sum to %d, bound is %d", sum, bound)
	}
	for _, t := range d.f.c.transfers {
		d.checkTransfer(t)
	}
}

func (d *fleet) checkTransfer(t *transfer) {
	active := 0
	for _, l := range t.prefixes {
		if l.share.Window > 0 {
			active++
		}
		if l.share.Window > 0 && l.work.Remaining() == 0 {
			d.t.Fatalf("prefix %s has a window of %d and no archives", l.name, l.share.Window)
		}
	}
	if active > t.spec.Config.MaxActivePrefixes {
		d.t.Fatalf("%d prefixes have windows, at most %d should", active, t.spec.Config.MaxActivePrefixes)
	}
}

// checkSettled holds what is given once all has been acknowledged, there being
// work for everybody: the whole bound or all that the workers can hold, and
// something for every transfer.
func (d *fleet) checkSettled() {
	sum, usable := 0, 0
	windows := map[protocol.TransferID]int{}
	for _, id := range d.ids {
		w := d.f.window(id)
		sum += w
		windows[d.f.reports[id].Transfer] += w
		usable += d.f.reports[id].MaxInFlight
	}
	bound := d.f.c.control.Bound()
	if want := min(bound, usable); sum != want {
		d.t.Fatalf("windows sum to %d, want %d", sum, want)
	}
	for id := range d.workers {
		if windows[id] == 0 && bound >= len(d.workers) {
			d.t.Fatalf("transfer %s has no window of %d", id, bound)
		}
	}
}

func TestDistribution(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := drawFleet(rt, t, rapid.Bool().Draw(rt, "plenty"))
		for range 6 {
			d.round()
		}
		if d.plenty {
			d.checkSettled()
		}
	})
}

// However the window jumps about, and however small it ends, no archive is
// left waiting for ever in the hands of a worker that has no slot for it.
func TestEveryArchiveIsSent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := drawFleet(rt, t, false)
		for range 20 {
			d.f.resize(rapid.IntRange(1, 64).Draw(rt, "window"))
			d.send(rapid.Bool().Draw(rt, "busy"))
		}
		d.f.resize(rapid.IntRange(1, 4).Draw(rt, "last"))
		for range 1500 {
			if d.send(true) {
				return
			}
		}
		rt.Fatalf("archives are left after 1500 rounds: %+v", d.f.c.Progress("t"))
	})
}

// send passes a round in which each worker, if busy, finishes one archive of
// every prefix on which it has a window. It tells whether all are finished.
func (d *fleet) send(busy bool) bool {
	for _, id := range d.ids {
		var finished []protocol.Outcome
		for _, p := range d.f.grants[id].Prefixes {
			if busy && p.Window > 0 && len(p.Assignments) > 0 {
				finished = append(finished, protocol.Outcome{Archive: p.Assignments[0].Archive, Done: protocol.Tally{Files: 1}})
			}
		}
		if err := d.f.tryReport(id, finished...); err != nil {
			d.t.Fatal(err)
		}
	}
	d.f.tick()
	d.check()
	for _, t := range d.f.c.transfers {
		for _, l := range t.prefixes {
			if l.work.Remaining() > 0 {
				return false
			}
		}
	}
	return true
}

// Workers that hold archives of a prefix with fewer slots than there are of them go on
// with the others.
func TestAScarcePrefixBlocksNoWorker(t *testing.T) {
	config := protocol.DefaultConfig()
	config.PipelineDepth = 4
	f := newFixture(t, config)
	f.schedule("t", "a", 1000)
	f.start("t", "w1", "w2", "w3", "w4")
	workers := []protocol.WorkerID{"w1", "w2", "w3", "w4"}
	for _, id := range workers {
		if len(f.assigned(id, "a")) == 0 {
			t.Fatalf("worker %s has no archive of the only prefix", id)
		}
	}
	f.schedule("t", "b", 1000)
	f.path(100*time.Millisecond, 100*time.Millisecond)
	f.part("t", "a", 0.1) // two slots
	withoutWindow := 0
	for range 8 {
		for _, id := range workers {
			var ended []protocol.Outcome
			for _, n := range f.assigned(id, "b") {
				ended = append(ended, done("b", n))
			}
			f.report(id, ended...)
		}
		f.tick()
		for _, id := range workers {
			if c := f.c.workers[id].prefixes[0]; waits(c) && len(f.assigned(id, "a")) == 1 {
				withoutWindow++
			}
		}
	}
	for _, id := range workers {
		if a, b := f.assigned(id, "a"), f.assigned(id, "b"); len(b) == 0 {
			t.Errorf("worker %s has ended all of the open prefix and was given no more: it has %d of the scarce one", id, len(a))
		}
	}
	if withoutWindow == 0 {
		t.Error("no worker kept just the archive that it may have begun, without a window on it")
	}
}

// Where there are fewer slots than workers, what one has begun waits for a few turns at
// most, and the coordinator remembers no more of who could hold what than there is.
func TestScarceSlotsGoRound(t *testing.T) {
	f := newTickFleet(t)
	f.schedule(5_000)
	since := map[*workerPrefix]time.Time{}
	var longest time.Duration
	for i := range 6 * fairshare.TurnIntervals {
		f.report()
		placed := fixture{t: t, c: f.c, now: f.now}
		if placed.settle(2000); i >= 4 {
			placed.resize(700)
		}
		f.tick()
		for _, w := range f.c.ordered {
			for _, c := range w.prefixes {
				if !waits(c) {
					delete(since, c)
					continue
				}
				if since[c].IsZero() {
					since[c] = f.now
				}
				longest = max(longest, f.now.Sub(since[c]))
			}
		}
	}
	turn := fairshare.TurnIntervals * f.c.transfers[0].terms.BaseInterval // once all are active
	remembered := 0
	for _, w := range f.c.ordered {
		remembered += len(w.prefixes)
	}
	if len(since) == 0 {
		t.Error("nothing waits: the test tests nothing")
	}
	if longest > 4*turn {
		t.Errorf("an archive waited for %v, want at most four turns of %v", longest, turn)
	}
	if remembered > 4*len(f.c.ordered) {
		t.Errorf("%d workers are remembered on %d prefixes", len(f.c.ordered), remembered)
	}
}
