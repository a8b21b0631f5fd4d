package coordination

import (
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// haulNICs passes report intervals in which the first worker sends through a NIC
// of its own of so many requests per second, 0 for none, before the shared link.
func haulNICs(l *loop, nic float64, d time.Duration) {
	l.t.Helper()
	for end := l.now.Add(d); l.now.Before(end); {
		rates := make([]float64, len(l.workers))
		sum := 0.0
		for i, w := range l.workers {
			rates[i] = float64(w.window()) / l.path.service
			if i == 0 && nic > 0 {
				rates[i] = min(rates[i], nic)
			}
			sum += rates[i]
		}
		for i, w := range l.workers {
			w.report.Epoch, w.report.GrantSequence = w.grant.Epoch, w.grant.Sequence
			rate := rates[i] * min(1, l.path.link/l.part/max(sum, 1))
			if rate > 0 {
				l.workerSends(w, 2*rate, 2*rate, float64(w.window())/rate, 1)
			}
		}
		l.now = l.now.Add(2 * time.Second)
		for _, w := range l.workers {
			w.report.Sequence++
			must(l.t, l.c.Observe(l.now, w.report))
		}
		for i, g := range l.c.Tick(l.now).Grants {
			l.workers[i].grant = g
		}
	}
}

// A worker behind a slow NIC keeps the slots that it can use and no more, and
// has its share again once the NIC has healed.
func TestSlowWorkerGivesUpSlots(t *testing.T) {
	l := newLoop(t, 4, protocol.DefaultConfig())
	l.path.link = 1.25e9
	haulNICs(l, 0, time.Minute)
	fair := l.workers[0].window()
	haulNICs(l, 2, time.Minute)
	slow, other := l.workers[0].window(), l.workers[1].window()
	if slow > 2 || other <= fair {
		t.Errorf("the slow worker holds %d slots and another %d, each held %d before", slow, other, fair)
	}
	l.accepted = 0
	haulNICs(l, 2, time.Minute)
	if rate := l.accepted / 60; rate < 0.96*149 {
		t.Errorf("%.1f requests per second beside a slow worker, want 96%% of 149", rate)
	}
	haulNICs(l, 0, 40*time.Second)
	if slow, other := l.workers[0].window(), l.workers[1].window(); slow < other-1 {
		t.Errorf("the worker that healed holds %d slots, another %d", slow, other)
	}
}
