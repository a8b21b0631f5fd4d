package coordination

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The largest plan of a transfer. Sums of such stay far from the bounds of their types,
// a float64 holds each of them exactly, and a number of an archive has eight digits.
const (
	MaxPlannedArchives = 100_000_000
	MaxPlannedFiles    = 100_000_000_000
	MaxPlannedBytes    = 1 << 53
	// MaxPlannedPrefixes is as many as a status lists.
	MaxPlannedPrefixes = 64
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
func (c *PipelineCoordinator) PlanPrefix(now time.Time, id TransferID, p PlannedPrefix) error {
	c.now = now
	t := c.transfer(id)
	if t == nil {
		return fmt.Errorf("plan prefix %s: transfer %s is unknown", p.Prefix, id)
	}
	if err := t.checkPlan(PlanProgress{Prefixes: []PlannedPrefix{p}}); err != nil {
		return fmt.Errorf("plan prefix %s of transfer %s: %w", p.Prefix, id, err)
	}
	l, err := c.register(t, p.Prefix)
	if err == nil {
		l.backlog.plan(p.Planned)
	}
	return err
}

// HasPrefix tells whether a prefix of a transfer is known.
func (c *PipelineCoordinator) HasPrefix(id TransferID, prefix string) bool {
	t := c.transfer(id)
	return t != nil && t.byName[prefix] != nil
}

// restoreLanes takes over what an earlier leader has recorded, which was validated.
func (c *PipelineCoordinator) restoreLanes(t *TransferScheduler, recorded map[string]Recorded) {
	for _, prefix := range slices.Sorted(maps.Keys(recorded)) {
		if l, err := c.register(t, prefix); err == nil {
			l.restore(recorded[prefix])
		}
	}
}

// validateRecorded finds what no leader can have recorded.
func (t Transfer) validateRecorded() error {
	if len(t.Recorded) > maxPrefixes {
		return fmt.Errorf("%d prefixes are recorded, at most %d can be", len(t.Recorded), maxPrefixes)
	}
	var total Planned
	for prefix, r := range t.Recorded {
		if prefix == "" || len(prefix) > maxPrefixLength {
			return fmt.Errorf("the name of a recorded prefix has %d bytes, must have 1 to %d", len(prefix), maxPrefixLength)
		}
		if err := r.validate(); err != nil {
			return fmt.Errorf("recorded prefix %q: %w", prefix, err)
		}
		total.add(r.Planned)
	}
	return total.validate()
}

func (r Recorded) validate() error {
	if err := r.Planned.validate(); err != nil {
		return err
	}
	var ended Tally
	for _, counted := range []Tally{r.Done, r.Failed, r.Skipped} {
		if counted.Files < 0 || counted.Bytes < 0 {
			return errors.New("a count is negative")
		}
		ended = ended.Plus(counted)
	}
	switch {
	case r.Finished.end() > r.Planned.Archives:
		return fmt.Errorf("archive %d has ended, of %d planned", r.Finished.end()-1, r.Planned.Archives)
	case r.Exhausted < 0 || r.Exhausted > r.Finished.Count():
		return fmt.Errorf("%d archives used up their attempts, of %d that ended", r.Exhausted, r.Finished.Count())
	case ended.Files > r.Planned.Files || ended.Bytes > r.Planned.Bytes:
		return fmt.Errorf("%d files of %d bytes have ended, %d of %d are planned",
			ended.Files, ended.Bytes, r.Planned.Files, r.Planned.Bytes)
	}
	return nil
}

func (p *Planned) add(q Planned) {
	p.Archives = saturate(p.Archives, q.Archives)
	p.Files = saturate(p.Files, q.Files)
	p.Bytes = saturate(p.Bytes, q.Bytes)
}

// validate finds a plan that cannot be, or is too large: every archive holds a file.
func (p Planned) validate() error {
	switch {
	case p.Archives < 0 || p.Files < 0 || p.Bytes < 0:
		return errors.New("a count of the plan is negative")
	case p.Files < p.Archives || p.Archives == 0 && p.Files+p.Bytes > 0:
		return fmt.Errorf("the plan has %d files in %d archives", p.Files, p.Archives)
	case p.Archives > MaxPlannedArchives || p.Files > MaxPlannedFiles || p.Bytes > MaxPlannedBytes:
		return fmt.Errorf("the plan has %d archives, %d files and %d bytes, a transfer can have %d, %d and %d; divide the source",
			p.Archives, p.Files, p.Bytes, int64(MaxPlannedArchives), int64(MaxPlannedFiles), int64(MaxPlannedBytes))
	}
	return nil
}

// checkPlan tells why a plan cannot follow the one that is known.
func (t *TransferScheduler) checkPlan(p PlanProgress) error {
	named := map[string]bool{}
	var total Planned
	for _, next := range p.Prefixes {
		if named[next.Prefix] {
			return fmt.Errorf("the plan names prefix %q twice", next.Prefix)
		}
		named[next.Prefix] = true
		if err := t.checkGrowth(next); err != nil {
			return err
		}
		total.add(next.Planned)
	}
	prefixes := len(named)
	for _, l := range t.lanes {
		if !named[l.name] {
			total.add(l.backlog.planned)
			prefixes++
		}
	}
	if prefixes > MaxPlannedPrefixes {
		return fmt.Errorf("the plan has %d prefixes, a transfer can have %d", prefixes, MaxPlannedPrefixes)
	}
	return total.validate()
}

func (t *TransferScheduler) checkGrowth(next PlannedPrefix) error {
	if next.Prefix == "" || len(next.Prefix) > maxPrefixLength {
		return fmt.Errorf("the name of a planned prefix has %d bytes, must have 1 to %d", len(next.Prefix), maxPrefixLength)
	}
	if err := next.validate(); err != nil {
		return fmt.Errorf("prefix %q: %w", next.Prefix, err)
	}
	var known Planned
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
func (w *worker) duty(r Report) (bool, error) {
	if w.mayPlan() {
		return true, nil
	}
	if w.lease.version(r.Epoch, r.GrantSequence) != nil {
		return false, errors.New("it tells of a plan, and was not given the planning duty")
	}
	return false, nil
}

// checkPlan tells why the plan of a report is not to be believed.
func (w *worker) checkPlan(r Report) error {
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
func (c *PipelineCoordinator) observePlan(w *worker, r Report) {
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
