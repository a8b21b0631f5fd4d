package coordination

import (
	"fmt"
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
