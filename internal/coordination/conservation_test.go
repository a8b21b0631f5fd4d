package coordination

import (
	"slices"
	"testing"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// takeover has another leader go on from what was recorded.
func (f *fixture) takeover(spec protocol.Transfer) {
	f.t.Helper()
	snapshot, progress := f.c.Snapshot(), f.c.Progress(spec.ID)
	spec.Recorded = map[string]protocol.Recorded{}
	for _, p := range progress.Prefixes {
		spec.Recorded[p.Prefix] = p.Recorded()
	}
	c, err := NewPipelineCoordinator(Options{Rand: newRand(2)})
	must(f.t, err)
	snapshot.Epoch++
	must(f.t, c.Start(f.now, snapshot))
	must(f.t, c.PutTransfer(f.now, spec))
	c.SetPlanning(spec.ID, !progress.Planned)
	for _, g := range f.grants {
		c.AdoptGrant(f.now, g)
	}
	f.c = c
}

// ranged has one transfer of a planned prefix.
func ranged(t *testing.T, config protocol.Config, p protocol.Planned) *fixture {
	f := newFixture(t, config)
	must(t, f.c.PlanPrefix(f.now, "t", protocol.PlannedPrefix{Prefix: "a", Planned: p}))
	return f
}

func outcome(number int64, done, failed, skipped protocol.Tally) protocol.Outcome {
	return protocol.Outcome{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: number}, Done: done, Failed: failed, Skipped: skipped}
}

// All files of an archive that uses up its attempts have failed, though nobody knows how
// many it holds until everything else has ended; also under the next leader.
func TestExhaustedArchivesFailWithAllTheirFiles(t *testing.T) {
	config := protocol.DefaultConfig()
	config.MaxAttempts = 2
	for name, restart := range map[string]bool{"one leader": false, "the next leader": true} {
		t.Run(name, func(t *testing.T) {
			f := ranged(t, config, protocol.Planned{Archives: 3, Files: 1110, Bytes: 5000})
			f.c.SetPlanning("t", true)
			f.start("t", "w")
			for range 2 {
				f.report("w", again("a", 1))
				f.tick()
			}
			f.report("w", outcome(0, protocol.Tally{Files: 100, Bytes: 2000}, protocol.Tally{}, protocol.Tally{}))
			running := f.prefix("a")
			if running.Exhausted != 1 || running.Failed != (protocol.Tally{}) || f.c.Progress("t").Counts().Failed.Files != 1 {
				t.Errorf("while the rest is sent: %+v, want one archive of at least one file", running)
			}
			if restart {
				f.takeover(protocol.Transfer{ID: "t", Weight: 1, Config: config})
			}
			f.report("w", outcome(2, protocol.Tally{}, protocol.Tally{}, protocol.Tally{Files: 10, Bytes: 0}))
			if p := f.prefix("a"); p.Failed != (protocol.Tally{}) {
				t.Errorf("%+v failed while more may be planned", p.Failed)
			}
			f.c.SetPlanning("t", false)
			p := f.c.Progress("t")
			if got := p.Counts(); got.Failed != (protocol.Tally{Files: 1000, Bytes: 3000}) || !p.Conserved() {
				t.Errorf("counts %+v, conserved %v; want every file of the archive failed", got, p.Conserved())
			}
			if restart {
				f.takeover(protocol.Transfer{ID: "t", Weight: 1, Config: config})
				if again := f.c.Progress("t"); again.Counts() != p.Counts() || !again.Conserved() {
					t.Errorf("the next leader counts %+v, want %+v", again.Counts(), p.Counts())
				}
			}
		})
	}
}

// What a worker leaves out of its counts is missing for good: no other may make up for it.
func TestCountsThatFallShortAreNotConserved(t *testing.T) {
	f := ranged(t, protocol.DefaultConfig(), protocol.Planned{Archives: 2, Files: 20, Bytes: 200})
	f.start("t", "w")
	f.report("w", outcome(0, protocol.Tally{Files: 9, Bytes: 100}, protocol.Tally{}, protocol.Tally{}), outcome(1, protocol.Tally{Files: 10, Bytes: 100}, protocol.Tally{}, protocol.Tally{}))
	p := f.c.Progress("t")
	if got := p.Counts(); got.Ended != 2 || got.Failed.Files != 0 || p.Conserved() {
		t.Errorf("counts %+v, conserved %v; want a file that nobody accounts for", got, p.Conserved())
	}
}

// An outcome of more than is planned is throttled as a whole, and the archive tried again.
func TestCountsBeyondThePlanAreRefused(t *testing.T) {
	tests := map[string]protocol.Outcome{
		"files":            outcome(0, protocol.Tally{Files: 21, Bytes: 100}, protocol.Tally{}, protocol.Tally{}),
		"bytes":            outcome(0, protocol.Tally{Files: 10, Bytes: 201}, protocol.Tally{}, protocol.Tally{}),
		"of all kinds":     outcome(0, protocol.Tally{Files: 7, Bytes: 10}, protocol.Tally{Files: 7, Bytes: 10}, protocol.Tally{Files: 7, Bytes: 10}),
		"beyond any count": outcome(0, protocol.Tally{Files: 1 << 62, Bytes: 1 << 62}, protocol.Tally{Files: 1 << 62, Bytes: 1 << 62}, protocol.Tally{Files: 1 << 62, Bytes: 1 << 62}),
	}
	for name, lie := range tests {
		t.Run(name, func(t *testing.T) {
			f := ranged(t, protocol.DefaultConfig(), protocol.Planned{Archives: 2, Files: 20, Bytes: 200})
			f.start("t", "w")
			f.report("w", lie)
			f.tick()
			if p := f.prefix("a"); p.Finished.Count() != 0 || p.Done != (protocol.Tally{}) {
				t.Fatalf("counted %+v", p)
			}
			if got := f.assigned("w", "a"); !slices.Contains(got, 0) {
				t.Errorf("assigned %v, want the archive once more", got)
			}
			f.report("w", outcome(0, protocol.Tally{Files: 10, Bytes: 100}, protocol.Tally{}, protocol.Tally{}), outcome(1, protocol.Tally{Files: 10, Bytes: 100}, protocol.Tally{}, protocol.Tally{}))
			if p := f.c.Progress("t"); !p.Conserved() {
				t.Errorf("counts %+v are not conserved", p.Counts())
			}
		})
	}
}

// An empty source is a plan of nothing, once somebody who had the duty said so.
func TestNothingToDoIsConservedOnceItIsPlanned(t *testing.T) {
	f := planners(t)
	if f.c.Progress("t").Conserved() {
		t.Error("nothing is planned yet, and it is conserved")
	}
	must(t, f.tellPlan("v", protocol.PlanProgress{Complete: true}))
	if !f.c.Progress("t").Conserved() {
		t.Error("an empty plan is not conserved")
	}
}

// A new leader counts on from what was recorded, whatever has ended since.
func TestTheNextLeaderCountsOn(t *testing.T) {
	f := ranged(t, protocol.DefaultConfig(), protocol.Planned{Archives: 40, Files: 400, Bytes: 4000})
	f.start("t", "w")
	for n := range int64(40) {
		f.takeover(protocol.Transfer{ID: "t", Weight: 1, Config: protocol.DefaultConfig()})
		f.report("w", outcome(n, protocol.Tally{Files: 7, Bytes: 70}, protocol.Tally{Files: 2, Bytes: 20}, protocol.Tally{Files: 1, Bytes: 10}))
		f.report("w", outcome(n, protocol.Tally{Files: 7, Bytes: 70}, protocol.Tally{Files: 2, Bytes: 20}, protocol.Tally{Files: 1, Bytes: 10})) // it was not acknowledged
		f.tick()
		f.round("w")
		if p := f.prefix("a"); p.Finished.Count() != n+1 || p.Done != (protocol.Tally{Files: 7 * (n + 1), Bytes: 70 * (n + 1)}) {
			t.Fatalf("after archive %d: %+v", n, p)
		}
	}
	if p := f.c.Progress("t"); !p.Conserved() {
		t.Errorf("counts %+v are not conserved", p.Counts())
	}
}
