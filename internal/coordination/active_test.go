package coordination

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// serving counts the workers with slots, by what was granted last.
func serving(grants map[protocol.WorkerID]protocol.Grant) int {
	n := 0
	for _, g := range grants {
		if g.Window() > 0 {
			n++
		}
	}
	return n
}

// A large fleet begins with as few workers as can report every second, and all together ask for
// no more than the budget allows.
func TestALargeFleetBeginsWithAFewWorkers(t *testing.T) {
	for workers, idle := range map[int]time.Duration{100: 4 * time.Second, 1000: 40 * time.Second} {
		f := newFixture(t, protocol.DefaultConfig())
		f.schedule("t", "a", 20_000)
		var ids []protocol.WorkerID
		for i := range workers {
			ids = append(ids, protocol.WorkerID(fmt.Sprint(i)))
		}
		f.start("t", ids...)
		f.tick()
		if n := serving(f.grants); n < 30 || n > 35 {
			t.Errorf("%d of %d workers have slots, want the 32 of the first window", n, workers)
		}
		requests := 0.0
		for _, g := range f.grants {
			switch {
			case g.Window() > 0 && g.ReportInterval != time.Second:
				t.Fatalf("a worker with slots reports every %v, want every second", g.ReportInterval)
			case g.Window() == 0 && g.ReportInterval != time.Second && g.ReportInterval != idle:
				t.Fatalf("a worker without slots reports every %v, want %v", g.ReportInterval, idle)
			}
			cost := 5.0
			if g.ReportInterval >= protocol.LargeInterval {
				cost = 3
			}
			requests += cost / g.ReportInterval.Seconds()
		}
		if most := 5.0 * defaultReportsPerSecond; requests > most {
			t.Errorf("%d workers make %.0f requests per second, want %.0f at most", workers, requests, most)
		}
	}
}

// Once slow start has ended all workers come to have slots, as far as there are any.
func TestALargeFleetComesToSendWithAll(t *testing.T) {
	l := newLoop(t, 200, protocol.DefaultConfig())
	l.path.link = 100 * l.part / l.path.service // holds 100 requests
	grants := func() map[protocol.WorkerID]protocol.Grant {
		all := map[protocol.WorkerID]protocol.Grant{}
		for _, w := range l.workers {
			all[w.report.Worker] = w.grant
		}
		return all
	}
	l.run(6 * time.Second)
	if n := serving(grants()); n > 35 {
		t.Errorf("%d workers have slots at first, want 35 at most", n)
	}
	l.run(3 * time.Minute)
	if n, window := serving(grants()), l.c.control.Window(); n < 3*min(200, window)/4 {
		t.Errorf("%d workers have slots of a window of %d, want most that can", n, window)
	}
}

// In a large fleet nothing is written for a worker that has reported and is not to send: its lease was
// opened before. Those that are to send first look for a grant, and one of them is given the plan.
func TestALargeFleetIsLeasedByItsFirstReports(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.c.SetPlanning("t", true)
	soon := func() {
		f.now = f.now.Add(shortestInterval / 2)
		for _, g := range f.c.Tick(f.now).Grants {
			f.grants[g.Worker] = g
		}
	}
	var ids []protocol.WorkerID
	for i := range 1000 {
		id := protocol.WorkerID(fmt.Sprintf("%04d", (i*7)%1000)) // who comes first is not first by name
		ids = append(ids, id)
		f.c.AddWorker(f.now, id, "t", 100)
		f.reports[id] = &protocol.Report{Worker: id, Transfer: "t", Instance: "1", MaxInFlight: 100}
		if i%25 == 24 {
			soon()
		}
	}
	before := map[protocol.WorkerID]protocol.Grant{}
	for i := range ids {
		id := ids[(i*13)%1000] // nor is who reports first
		before[id] = f.grants[id]
		f.report(id)
		if i%60 == 59 {
			soon()
		}
	}
	soon()
	written, opened, planners := 0, 0, 0
	for _, id := range ids {
		g, first := f.grants[id], before[id]
		if first.Opens() {
			opened++
			if g.Plan || g.ReportInterval < protocol.LargeInterval {
				t.Errorf("worker %s, whose lease was opened, is to act at once; it looks in half a minute", id)
			}
		}
		if g.Sequence != first.Sequence {
			written++
		}
		if g.Plan {
			planners++
		}
	}
	if opened < 900 || opened == 1000 || planners != 1 {
		t.Errorf("the leases of %d workers were opened, and %d plan, want those of all but some, and one", opened, planners)
	}
	if written > 150 {
		t.Errorf("%d grants were written for 1,000 workers that have reported, want some of those whose intervals were short", written)
	}
	if m := f.c.Metrics(f.now); m.LiveWorkers != 1000 {
		t.Errorf("%d workers hold a lease, want all", m.LiveWorkers)
	}
}

// The leases of a large fleet are opened with the interval that its idle workers will have, whoever comes
// first, so that none is written anew when the others come, and none of them reports sooner.
func TestLeasesAreOpenedForTheWholeFleet(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	spec := f.c.transfers[0].spec
	spec.Workers = 1000
	must(t, f.c.PutTransfer(f.now, spec))
	opened := map[protocol.WorkerID]int64{}
	for i := range 1000 {
		f.c.AddWorker(f.now, protocol.WorkerID(fmt.Sprintf("%04d", i)), "t", 100)
		if i%100 != 99 {
			continue
		}
		f.tick()
		for id, g := range f.grants {
			if !g.Opens() {
				continue
			}
			if first, known := opened[id]; known && g.Sequence != first {
				t.Fatalf("with %d workers the grant of %s is written anew", i+1, id)
			}
			if opened[id] = g.Sequence; g.ReportInterval != 40*time.Second {
				t.Fatalf("with %d workers the lease of %s is opened for reports every %v, want 40 s", i+1, id, g.ReportInterval)
			}
		}
	}
	if len(opened) < 900 {
		t.Errorf("the leases of %d workers were opened, want those of all but some", len(opened))
	}
}

// Where those that are awaited do not come, others send.
func TestAwaitedWorkersThatDoNotComeAreReplaced(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 20_000)
	var ids []protocol.WorkerID
	for i := range 200 {
		id := protocol.WorkerID(fmt.Sprintf("%04d", i))
		ids = append(ids, id)
		f.c.AddWorker(f.now, id, "t", 100)
		f.reports[id] = &protocol.Report{Worker: id, Transfer: "t", Instance: "1", MaxInFlight: 100}
	}
	f.tick()
	came := slices.DeleteFunc(ids, func(id protocol.WorkerID) bool { return !f.grants[id].Opens() })
	for range 15 {
		f.round(came...)
	}
	if n := serving(f.grants); n < 30 {
		t.Errorf("%d workers have slots, want others in place of those that did not come", n)
	}
}

// In slow start a large fleet, whose workers report every second, ticks four times as often, and what is
// decided is granted in that tick, though other grants were written a moment before.
func TestALargeFleetIsToldOfADecisionAtOnce(t *testing.T) {
	l := newLoop(t, 100, protocol.DefaultConfig())
	const step = shortestInterval / 2
	decided := 0
	for k := 0; k < 100 && decided < 5; k++ {
		l.send(step)
		l.now = l.now.Add(step)
		for i, w := range l.workers {
			if (i+k)%int(time.Second/step) == 0 {
				w.report.Sequence++
				must(t, l.c.Observe(l.now, w.report))
			}
		}
		plan, sum := l.c.Tick(l.now), 0
		for i, g := range plan.Grants {
			l.workers[i].grant = g
			sum += g.Window()
		}
		if d := plan.Decision; d.Made() && d.Window.Window > d.Window.Before {
			if decided++; sum != d.Window.Window {
				t.Errorf("windows of %d are granted when %d is decided", sum, d.Window.Window)
			}
		}
	}
	if next := l.c.Interval(); next > step || decided < 5 {
		t.Errorf("the next tick is to come after %v, and there were %d decisions, want %v, and five", next, decided, step)
	}
}
