package coordination

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// What is recorded of the finished archives stays within these bounds, in bytes: the
// ranges of one prefix, those of all, and one range, two numbers of eight digits.
const (
	maxRecordedPrefix = 64 << 10
	maxRecordedAll    = 512 << 10
	recordedRange     = 2*8 + 2
)

// mostUnfinished is how many archives of a prefix may be under way at once: between two
// ranges of finished archives there is an unfinished one, so that there are no more
// ranges than can be recorded, in whatever order archives end.
func (t *TransferScheduler) mostUnfinished() int64 {
	return int64(min(maxRecordedPrefix, maxRecordedAll/max(1, len(t.lanes)))/recordedRange - 1)
}

// PlanPrefix tells how much of a prefix the inventory lists by now, and queues what is
// new of it. A plan never shrinks.
func (c *PipelineCoordinator) PlanPrefix(now time.Time, id protocol.TransferID, p protocol.PlannedPrefix) error {
	c.now = now
	t := c.transfer(id)
	if t == nil {
		return fmt.Errorf("plan prefix %s: transfer %s is unknown", p.Prefix, id)
	}
	if err := t.checkPlan(protocol.PlanProgress{Prefixes: []protocol.PlannedPrefix{p}}); err != nil {
		return fmt.Errorf("plan prefix %s of transfer %s: %w", p.Prefix, id, err)
	}
	l, err := c.register(t, p.Prefix)
	if err == nil {
		l.backlog.plan(p.Planned)
	}
	return err
}

// HasPrefix tells whether a prefix of a transfer is known.
func (c *PipelineCoordinator) HasPrefix(id protocol.TransferID, prefix string) bool {
	t := c.transfer(id)
	return t != nil && t.byName[prefix] != nil
}

// restoreLanes takes over what an earlier leader has recorded, which was validated.
func (c *PipelineCoordinator) restoreLanes(t *TransferScheduler, recorded map[string]protocol.Recorded) {
	for _, prefix := range slices.Sorted(maps.Keys(recorded)) {
		if l, err := c.register(t, prefix); err == nil {
			l.restore(recorded[prefix])
		}
	}
}

// checkPlan tells why a plan cannot follow the one that is known.
func (t *TransferScheduler) checkPlan(p protocol.PlanProgress) error {
	named := map[string]bool{}
	var total protocol.Planned
	for _, next := range p.Prefixes {
		if named[next.Prefix] {
			return fmt.Errorf("the plan names prefix %q twice", next.Prefix)
		}
		named[next.Prefix] = true
		if err := t.checkGrowth(next); err != nil {
			return err
		}
		total.Add(next.Planned)
	}
	prefixes := len(named)
	for _, l := range t.lanes {
		if !named[l.name] {
			total.Add(l.backlog.planned)
			prefixes++
		}
	}
	if prefixes > protocol.MaxPlannedPrefixes {
		return fmt.Errorf("the plan has %d prefixes, a transfer can have %d", prefixes, protocol.MaxPlannedPrefixes)
	}
	return total.Validate()
}

func (t *TransferScheduler) checkGrowth(next protocol.PlannedPrefix) error {
	if next.Prefix == "" || len(next.Prefix) > protocol.MaxPrefixLength {
		return fmt.Errorf("the name of a planned prefix has %d bytes, must have 1 to %d", len(next.Prefix), protocol.MaxPrefixLength)
	}
	if err := next.Validate(); err != nil {
		return fmt.Errorf("prefix %q: %w", next.Prefix, err)
	}
	var known protocol.Planned
	if l := t.byName[next.Prefix]; l != nil {
		known = l.backlog.planned
	}
	archives, files := next.Archives-known.Archives, next.Files-known.Files
	switch {
	case known == next.Planned:
		return nil
	case archives < 1 || files < archives || next.Bytes < known.Bytes:
		return fmt.Errorf("the plan of prefix %q goes from %d archives, %d files and %d bytes to %d, %d and %d", next.Prefix,
			known.Archives, known.Files, known.Bytes, next.Archives, next.Files, next.Bytes)
	}
	return nil
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
		if l := t.byName[p.Prefix]; !t.planning && (l == nil || l.backlog.planned != p.Planned) {
			return fmt.Errorf("the plan of prefix %q changes after it was complete", p.Prefix)
		}
	}
	return t.checkPlan(*r.Plan)
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
			l.backlog.plan(p.Planned)
		}
	}
	w.transfer.planning = !r.Plan.Complete
}
