package coordination

import (
	"slices"
	"time"
)

// choosePlanner keeps one live worker on the planning duty. A planner that is
// blocked keeps it: what blocks it, most likely blocks every worker.
func (t *transfer) choosePlanner(now time.Time) {
	fit := func(w *worker) bool { return w.live(now) && !w.leaving() && !w.drained }
	needed := t.planning && !t.spec.Suspended
	if !needed || t.planner != nil && !fit(t.planner) {
		t.planner = nil
	}
	if !needed || t.planner != nil {
		return
	}
	if i := slices.IndexFunc(t.workers, func(w *worker) bool { return w.lease.MayPlan() }); i >= 0 {
		// Two must not plan at once; this one may, so it can as well go on.
		if w := t.workers[i]; fit(w) {
			t.planner = w
		}
		return
	}
	if slices.ContainsFunc(t.workers, func(w *worker) bool { return w.lease.MayPlanUnseen(now) }) {
		return // so may that
	}
	for _, w := range t.workers {
		if fit(w) && !w.blocked && w.listens { // else it would learn of it late
			t.planner = w
			return
		}
	}
}
