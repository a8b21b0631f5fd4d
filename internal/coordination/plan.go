package coordination

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// PlanPrefix tells how much of a prefix the inventory lists by now, and queues what is
// new of it. A plan never shrinks.
func (c *PipelineCoordinator) PlanPrefix(now time.Time, id protocol.TransferID, p protocol.PlannedPrefix) error {
	c.now = now
	t := c.transfer(id)
	if t == nil {
		return fmt.Errorf("plan prefix %s: transfer %s is unknown", p.Prefix, id)
	}
	if err := t.work.CheckPlan(protocol.PlanProgress{Prefixes: []protocol.PlannedPrefix{p}}); err != nil {
		return fmt.Errorf("plan prefix %s of transfer %s: %w", p.Prefix, id, err)
	}
	l, err := c.register(t, p.Prefix)
	if err == nil {
		l.work.Plan(p.Planned)
	}
	return err
}

// HasPrefix tells whether a prefix of a transfer is known.
func (c *PipelineCoordinator) HasPrefix(id protocol.TransferID, prefix string) bool {
	t := c.transfer(id)
	return t != nil && t.byName[prefix] != nil
}

// restoreRecorded takes over what an earlier leader has recorded, after validation.
func (c *PipelineCoordinator) restoreRecorded(t *transfer, recorded map[string]protocol.Recorded) {
	for _, prefix := range slices.Sorted(maps.Keys(recorded)) {
		if l, err := c.register(t, prefix); err == nil {
			l.work.Restore(recorded[prefix])
		}
	}
}

// duty tells whether the worker may act on a grant of the planning duty. A plan of one
// that acts on another grant is an error; that of one whose grant has run out is late.
func (w *worker) duty(r protocol.Report) (bool, error) {
	if w.lease.MayPlan() {
		return true, nil
	}
	if w.lease.MayActOn(r.ActsOn()) {
		return false, errors.New("it tells of a plan, and was not given the planning duty")
	}
	return false, nil
}

// checkPlan tells why the plan of a report is not to be believed.
func (w *worker) checkPlan(r protocol.Report) error {
	if r.Plan == nil {
		return nil
	}
	if held, err := w.duty(r); !held || err != nil {
		return err
	}
	t := w.transfer
	for _, p := range r.Plan.Prefixes {
		if l := t.byName[p.Prefix]; !t.planning && (l == nil || l.work.Planned() != p.Planned) {
			return fmt.Errorf("the plan of prefix %q changes after it was complete", p.Prefix)
		}
	}
	return t.work.CheckPlan(*r.Plan)
}

// observePlan takes over the plan of a report that was checked, if the worker still has
// the duty.
func (c *PipelineCoordinator) observePlan(w *worker, r protocol.Report) {
	if r.Plan == nil || !w.transfer.planning {
		return
	}
	if held, _ := w.duty(r); !held {
		return
	}
	for _, p := range r.Plan.Prefixes {
		if l, err := c.register(w.transfer, p.Prefix); err == nil {
			l.work.Plan(p.Planned)
		}
	}
	w.transfer.planning = !r.Plan.Complete
}
