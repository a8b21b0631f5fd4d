package coordination

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

func planned(prefix string, archives, files, bytes int64) protocol.PlannedPrefix {
	return protocol.PlannedPrefix{Prefix: prefix, Planned: protocol.Planned{Archives: archives, Files: files, Bytes: bytes}}
}

// tellPlan sends a report with a plan.
func (f *fixture) tellPlan(id protocol.WorkerID, plan protocol.PlanProgress) error {
	r := *f.reports[id]
	r.Sequence++
	r.Epoch, r.GrantSequence = f.grants[id].Epoch, f.grants[id].Sequence
	r.Plan = &plan
	err := f.c.Observe(f.now, r)
	if err == nil {
		r.Plan = nil
		f.reports[id] = &r
	}
	return err
}

// planners are two workers, the first of which has the planning duty.
func planners(t *testing.T) *fixture {
	f := newFixture(t, protocol.DefaultConfig())
	f.c.RemoveTransfer(f.now, "t")
	must(t, f.c.PutTransfer(f.now, protocol.Transfer{ID: "t", Weight: 1, Config: protocol.DefaultConfig()}))
	f.c.SetPlanning("t", true)
	f.start("t", "v", "w")
	if !f.grants["v"].Plan || f.grants["w"].Plan {
		t.Fatalf("the duties are %v and %v, want the first worker's", f.grants["v"].Plan, f.grants["w"].Plan)
	}
	return f
}

func TestPlanOfTheReport(t *testing.T) {
	f := planners(t)
	must(t, f.tellPlan("v", protocol.PlanProgress{Prefixes: []protocol.PlannedPrefix{planned("a", 3, 30, 300)}}))
	must(t, f.tellPlan("v", protocol.PlanProgress{})) // no news
	must(t, f.tellPlan("v", protocol.PlanProgress{Complete: true, Prefixes: []protocol.PlannedPrefix{planned("a", 5, 50, 500), planned("b", 1, 1, 0)}}))
	p := f.c.Progress("t")
	if got := p.Counts().Planned; !p.Planned || got != (protocol.Planned{Archives: 6, Files: 51, Bytes: 500}) {
		t.Errorf("planned %+v, complete %v; want all of it", got, p.Planned)
	}
	f.tick()
	if f.grants["v"].Plan {
		t.Error("the duty goes on after the plan was complete")
	}
}

// A plan is believed only from a worker that was given the duty, in a report that is
// believed as a whole, and only while it can be that of one source.
func TestImpossiblePlans(t *testing.T) {
	many := func(n int) (all []protocol.PlannedPrefix) {
		for i := range n {
			all = append(all, planned(fmt.Sprint(i), 1, 1, 1))
		}
		return all
	}
	tests := map[string]protocol.PlanProgress{
		"shrinks":                   {Prefixes: []protocol.PlannedPrefix{planned("a", 2, 30, 300)}},
		"loses files":               {Prefixes: []protocol.PlannedPrefix{planned("a", 4, 29, 300)}},
		"loses bytes":               {Prefixes: []protocol.PlannedPrefix{planned("a", 4, 31, 299)}},
		"files without an archive":  {Prefixes: []protocol.PlannedPrefix{planned("a", 3, 31, 300)}},
		"an archive without a file": {Prefixes: []protocol.PlannedPrefix{planned("a", 5, 31, 300)}},
		"a prefix without archives": {Prefixes: []protocol.PlannedPrefix{planned("b", 0, 0, 1)}},
		"negative":                  {Prefixes: []protocol.PlannedPrefix{planned("b", 1, 1, -1)}},
		"no name":                   {Prefixes: []protocol.PlannedPrefix{planned("", 1, 1, 1)}},
		"twice":                     {Prefixes: []protocol.PlannedPrefix{planned("b", 1, 1, 1), planned("b", 1, 1, 1)}},
		"too many archives":         {Prefixes: []protocol.PlannedPrefix{planned("b", 9e18, 9e18, 1)}},
		"too many files":            {Prefixes: []protocol.PlannedPrefix{planned("b", 1, protocol.MaxPlannedFiles+1, 1)}},
		"too many bytes in all":     {Prefixes: []protocol.PlannedPrefix{planned("b", 1, 1, protocol.MaxPlannedBytes-299)}},
		"too many prefixes":         {Prefixes: many(protocol.MaxPlannedPrefixes)},
	}
	for name, plan := range tests {
		t.Run(name, func(t *testing.T) {
			f := planners(t)
			must(t, f.tellPlan("v", protocol.PlanProgress{Prefixes: []protocol.PlannedPrefix{planned("a", 3, 30, 300)}}))
			plan.Complete = true
			if err := f.tellPlan("v", plan); !errors.Is(err, ErrImpossibleReport) {
				t.Errorf("the report gives %v", err)
			}
			if p := f.c.Progress("t"); p.Planned || p.Counts().Planned != (protocol.Planned{Archives: 3, Files: 30, Bytes: 300}) || len(p.Prefixes) != 1 {
				t.Errorf("an impossible plan changed what is planned to %+v", p)
			}
		})
	}
}

func TestPlanOfAnother(t *testing.T) {
	complete := protocol.PlanProgress{Complete: true, Prefixes: []protocol.PlannedPrefix{planned("a", 1, 1, 1)}}
	f := planners(t)
	if err := f.tellPlan("w", complete); !errors.Is(err, ErrImpossibleReport) {
		t.Errorf("a plan of a worker without the duty gives %v", err)
	}
	forged := *f.reports["v"]
	forged.Sequence, forged.Epoch, forged.GrantSequence, forged.Plan = 99, f.grants["v"].Epoch, 999_999, &complete
	if err := f.c.Observe(f.now, forged); !errors.Is(err, ErrImpossibleReport) {
		t.Errorf("a plan in a report on a grant that was never given gives %v", err)
	}
	other := *f.reports["w"]
	other.Instance, other.Sequence, other.Plan = "another", other.Sequence+1, &complete
	other.Epoch, other.GrantSequence = f.grants["w"].Epoch, f.grants["w"].Sequence
	if err := f.c.Observe(f.now, other); !errors.Is(err, ErrImpossibleReport) {
		t.Errorf("a plan of another process of a worker without the duty gives %v", err)
	}
	if p := f.c.Progress("t"); p.Planned || len(p.Prefixes) > 0 {
		t.Fatalf("a plan of a worker without the duty is believed: %+v", p)
	}
	// What a planner says after its lease has run out is late, and no lie.
	f.now = f.now.Add(5 * time.Minute)
	f.tick()
	if err := f.tellPlan("v", complete); err != nil {
		t.Errorf("a late plan gives %v", err)
	}
	if p := f.c.Progress("t"); p.Planned {
		t.Error("a late plan is believed")
	}
}

func TestCompletePlanIsFinal(t *testing.T) {
	f := planners(t)
	complete := protocol.PlanProgress{Complete: true, Prefixes: []protocol.PlannedPrefix{planned("a", 1, 1, 1)}}
	must(t, f.tellPlan("v", complete))
	must(t, f.tellPlan("v", complete)) // until it knows that it was heard
	for _, next := range []protocol.PlannedPrefix{planned("a", 2, 2, 2), planned("b", 1, 1, 1)} {
		if err := f.tellPlan("v", protocol.PlanProgress{Complete: true, Prefixes: []protocol.PlannedPrefix{next}}); !errors.Is(err, ErrImpossibleReport) {
			t.Errorf("a change of a complete plan to %+v gives %v", next, err)
		}
	}
}

// The largest plan costs no more than a small one: a number is no entry.
func TestLargestPlanIsTwoNumbers(t *testing.T) {
	f := planners(t)
	allocated := testing.AllocsPerRun(1, func() {
		must(t, f.c.PlanPrefix(f.now, "t", planned("a", protocol.MaxPlannedArchives, protocol.MaxPlannedFiles, protocol.MaxPlannedBytes)))
	})
	if allocated > 100 {
		t.Errorf("the largest plan takes %v allocations", allocated)
	}
	f.tick()
	if p := f.prefix("a"); p.Queued+p.Assigned != protocol.MaxPlannedArchives {
		t.Errorf("%d archives are queued and %d assigned", p.Queued, p.Assigned)
	}
}

// What a leader cannot have recorded is throttled, and the transfer with it.
func TestImpossibleRecords(t *testing.T) {
	finished, err := protocol.ParseRanges("0-3")
	must(t, err)
	tests := map[string]protocol.Recorded{
		"ended beyond the plan":   {Planned: protocol.Planned{Archives: 3, Files: 30, Bytes: 300}, Finished: finished},
		"exhausted beyond ended":  {Planned: protocol.Planned{Archives: 4, Files: 40, Bytes: 400}, Finished: finished, Exhausted: 5},
		"more files than planned": {Planned: protocol.Planned{Archives: 4, Files: 40, Bytes: 400}, Finished: finished, Done: protocol.Tally{Files: 30, Bytes: 1}, Skipped: protocol.Tally{Files: 11, Bytes: 1}},
		"more bytes than planned": {Planned: protocol.Planned{Archives: 4, Files: 40, Bytes: 400}, Finished: finished, Failed: protocol.Tally{Files: 1, Bytes: 401}},
		"a negative count":        {Planned: protocol.Planned{Archives: 4, Files: 40, Bytes: 400}, Finished: finished, Failed: protocol.Tally{Files: -1, Bytes: 1}},
		"too large a plan":        {Planned: protocol.Planned{Archives: protocol.MaxPlannedArchives + 1, Files: protocol.MaxPlannedFiles, Bytes: 1}},
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, protocol.DefaultConfig())
			spec := protocol.Transfer{ID: "x", Weight: 1, Config: protocol.DefaultConfig(), Recorded: map[string]protocol.Recorded{"a": r}}
			if err := f.c.PutTransfer(f.now, spec); err == nil {
				t.Error("it was taken over")
			}
			if len(f.c.Progress("x").Prefixes) > 0 {
				t.Error("a throttled transfer is known")
			}
		})
	}
}
