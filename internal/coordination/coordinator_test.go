package coordination

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// fixture drives a coordinator by hand: one transfer "t", prefixes "a" and "b".
type fixture struct {
	t       *testing.T
	c       *PipelineCoordinator
	now     time.Time
	reports map[protocol.WorkerID]*protocol.Report
	grants  map[protocol.WorkerID]protocol.Grant
}

func newFixture(t *testing.T, config protocol.Config) *fixture {
	t.Helper()
	c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
	must(t, err)
	f := &fixture{t: t, c: c, now: start, reports: map[protocol.WorkerID]*protocol.Report{}, grants: map[protocol.WorkerID]protocol.Grant{}}
	must(t, c.Start(f.now, protocol.Snapshot{Epoch: 3}))
	f.transfer("t", 1, config)
	return f
}

func (f *fixture) transfer(id protocol.TransferID, weight int, config protocol.Config) {
	f.t.Helper()
	must(f.t, f.c.PutTransfer(f.now, protocol.Transfer{ID: id, Weight: weight, Config: config}))
	for _, prefix := range []string{"a", "b"} {
		must(f.t, f.c.RegisterPrefix(f.now, id, prefix))
	}
}

func (f *fixture) schedule(transfer protocol.TransferID, prefix string, count int64) {
	f.t.Helper()
	for n := range count {
		must(f.t, f.c.ScheduleUpload(protocol.Upload{Archive: protocol.ArchiveID{Transfer: transfer, Prefix: prefix, Number: n}, Bytes: 100, Files: 2}))
	}
}

// start adds workers that have reported once.
func (f *fixture) start(transfer protocol.TransferID, ids ...protocol.WorkerID) {
	f.t.Helper()
	for _, id := range ids {
		f.c.AddWorker(f.now, id, transfer, 100)
		f.reports[id] = &protocol.Report{Worker: id, Transfer: transfer, Instance: "1", MaxInFlight: 100}
		f.report(id)
	}
	f.tick()
}

// report sends the worker's report, acting on its newest grant.
func (f *fixture) report(id protocol.WorkerID, finished ...protocol.Outcome) {
	f.t.Helper()
	must(f.t, f.tryReport(id, finished...))
}

func (f *fixture) tryReport(id protocol.WorkerID, finished ...protocol.Outcome) error {
	r := f.reports[id]
	r.Sequence++
	r.Finished = finished
	r.Epoch, r.GrantSequence = f.grants[id].Epoch, f.grants[id].Sequence
	return f.c.Observe(f.now, *r)
}

// tick passes an update interval.
func (f *fixture) tick() protocol.Plan {
	f.now = f.now.Add(2 * time.Second)
	p := f.c.Tick(f.now)
	for _, g := range p.Grants {
		f.grants[g.Worker] = g
	}
	return p
}

// round passes an interval in which the workers report.
func (f *fixture) round(ids ...protocol.WorkerID) protocol.Plan {
	f.t.Helper()
	for _, id := range ids {
		f.report(id)
	}
	return f.tick()
}

func (f *fixture) window(ids ...protocol.WorkerID) int {
	sum := 0
	for _, id := range ids {
		for _, p := range f.grants[id].Prefixes {
			sum += p.Window
		}
	}
	return sum
}

// assigned lists the numbers that a worker is given of a prefix.
func (f *fixture) assigned(id protocol.WorkerID, prefix string) []int64 {
	var numbers []int64
	for _, p := range f.grants[id].Prefixes {
		for _, a := range p.Assignments {
			if p.Prefix == prefix {
				numbers = append(numbers, a.Archive.Number)
			}
		}
	}
	return numbers
}

func (f *fixture) prefix(name string) protocol.PrefixProgress {
	f.t.Helper()
	for _, p := range f.c.Progress("t").Prefixes {
		if p.Prefix == name {
			return p
		}
	}
	f.t.Fatalf("there is no progress of prefix %s", name)
	return protocol.PrefixProgress{}
}

func done(prefix string, n int64) protocol.Outcome {
	return protocol.Outcome{Archive: protocol.ArchiveID{Transfer: "t", Prefix: prefix, Number: n}, Done: protocol.Tally{Files: 2, Bytes: 100}}
}

func again(prefix string, n int64) protocol.Outcome {
	return protocol.Outcome{Archive: protocol.ArchiveID{Transfer: "t", Prefix: prefix, Number: n}, Retry: true, Reason: "Reset", Message: "connection reset"}
}

func TestNothingIsGrantedBeforeTheFirstReport(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 50)
	f.c.AddWorker(f.now, "w", "t", 100)
	f.tick()
	if g := f.grants["w"]; g.Sequence != 1 || g.Epoch != 3 || len(g.Prefixes) > 0 {
		t.Errorf("got %+v, want an empty first grant", g)
	}
}

func TestFirstGrant(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 50)
	f.start("t", "w")
	g := f.grants["w"]
	if g.AcknowledgedReport != 1 || g.Instance != "1" || g.Duration != 30*time.Second || g.ReportInterval != shortestInterval {
		t.Errorf("got %+v", g)
	}
	if got := f.window("w"); got != 32 {
		t.Errorf("window %d, want all of 32", got)
	}
	if got := f.assigned("w", "a"); len(got) != 16 || got[0] != 0 || got[15] != 15 {
		t.Errorf("assigned %v, want 0 to 15", got)
	}
}

func TestUnchangedGrantsKeepTheirSequence(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 50)
	f.start("t", "w")
	before := f.grants["w"].Sequence
	var renewed time.Duration
	for renewed = 0; f.grants["w"].Sequence == before && renewed < time.Minute; renewed += 2 * time.Second {
		f.round("w")
	}
	if renewed < 10*time.Second || renewed > 14*time.Second {
		t.Errorf("renewed after %v, want a third of 30s", renewed)
	}
}

func TestRemoveWorker(t *testing.T) {
	tests := map[string]struct {
		confirmed bool
		wantAfter time.Duration // until the other worker has the archives
	}{
		"confirmed":     {true, 4 * time.Second},
		"not confirmed": {false, 34 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withoutCoasting())
			f.schedule("t", "a", 1)
			f.start("t", "w")
			f.start("t", "v")
			f.c.RemoveWorker(f.now, "w", test.confirmed)
			var after time.Duration
			for ; len(f.assigned("v", "a")) == 0 && after < time.Minute; after += 2 * time.Second {
				f.round("v")
			}
			if after > test.wantAfter || after < test.wantAfter-6*time.Second {
				t.Errorf("the archive moved after %v, want about %v", after, test.wantAfter)
			}
			if f.c.Metrics(f.now).Workers != 1 {
				t.Errorf("%d workers are left, want 1", f.c.Metrics(f.now).Workers)
			}
		})
	}
}

// What is taken from one worker is another's only once the first has said so.
func TestWindowsMoveAfterAcknowledgement(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.start("t", "w")
	f.start("t", "v")
	if got := f.window("v"); got != 0 || f.window("w") != 16 {
		t.Fatalf("windows %d and %d, want 16 and 0 before the acknowledgment", f.window("w"), got)
	}
	f.round("w", "v")
	if got := f.window("v"); got != 16 {
		t.Errorf("window %d after the acknowledgment, want 16", got)
	}
	// Of three ticks of 32 slots, one withheld 16.
	if got := f.c.Metrics(f.now).Overhead; math.Abs(got-16.0/96) > 1e-3 {
		t.Errorf("overhead %v, want %v", got, 16.0/96)
	}
}

func TestDrain(t *testing.T) {
	config := protocol.DefaultConfig()
	config.MaxAttempts = 1 // that ending in good order costs nothing of
	f := newFixture(t, config)
	f.schedule("t", "a", 50)
	f.start("t", "w")
	f.c.Drain(f.now, "t")
	f.tick()
	if g := f.grants["w"]; !g.Drain || slices.ContainsFunc(g.Prefixes, protocol.PrefixGrant.Gives) {
		t.Fatalf("got %+v, want to drain", g)
	}
	if p := f.prefix("a"); p.Assigned != 16 {
		t.Fatalf("%d archives are assigned before the worker has drained, want 16", p.Assigned)
	}
	f.reports["w"].Drained = true
	f.report("w")
	f.tick()
	if p := f.prefix("a"); p.Assigned != 0 || p.Queued != 50 {
		t.Errorf("%d assigned, %d queued after draining, want 0 and 50", p.Assigned, p.Queued)
	}
	if charged := f.c.Metrics(f.now).Charged; charged != 0 {
		t.Errorf("%d slots are charged after draining", charged)
	}
	f.start("t", "v")
	if got := f.grants["v"].Prefixes[0].Assignments[0].Attempt; got != 2 {
		t.Errorf("attempt %d, want 2: or the worker would not look for what the one before has sent", got)
	}
}

func TestRemoveTransfer(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 50)
	f.start("t", "w")
	f.c.RemoveTransfer(f.now, "t")
	f.tick()
	if g := f.grants["w"]; !g.Drain {
		t.Fatalf("got %+v, want to drain", g)
	}
	if f.c.PutTransfer(f.now, protocol.Transfer{ID: "t", Weight: 1, Config: protocol.DefaultConfig()}) == nil {
		t.Error("the transfer was put again while its worker is there")
	}
	f.c.RemoveWorker(f.now, "w", true)
	if p := f.tick(); len(p.Grants) > 0 || len(f.c.Progress("t").Prefixes) > 0 {
		t.Errorf("%+v is left", p.Grants)
	}
	f.transfer("t", 1, protocol.DefaultConfig())
}

func TestSuspended(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 50)
	f.start("t", "w")
	must(t, f.c.PutTransfer(f.now, protocol.Transfer{ID: "t", Weight: 1, Config: protocol.DefaultConfig(), Suspended: true}))
	f.report("w", done("a", 0))
	f.tick()
	if f.window("w") != 0 || len(f.assigned("w", "a")) != 15 {
		t.Errorf("window %d, assigned %v, want 0 and nothing new", f.window("w"), f.assigned("w", "a"))
	}
}

func TestBlockedWorker(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.start("t", "w", "v")
	held := f.assigned("w", "a")
	r := f.reports["w"]
	r.Blocked = true
	for i := range int64(5) {
		r.Prefixes = []protocol.PrefixCounters{{Prefix: "a", Started: 100 * i, Throttled: 100 * i}}
		f.report("w", done("a", held[i]))
		f.report("v")
		f.tick()
	}
	if got := f.window("w"); got != 1 {
		t.Errorf("window %d, want 1", got)
	}
	if got := f.assigned("w", "a"); !slices.Equal(got, held[5:]) {
		t.Errorf("assigned %v, want the rest of %v and nothing new", got, held[5:])
	}
	if m, g := f.c.Metrics(f.now), f.c.Metrics(f.now).Groups[0]; m.Window != 32 || g.CongestionEvents != 0 {
		t.Errorf("the window is %d after %d cuts, want 32: what a blocked worker meets is no congestion", m.Window, g.CongestionEvents)
	}
	r.Blocked = false
	f.round("w", "v")
	f.round("w", "v")
	if got := f.window("w"); got != 16 {
		t.Errorf("window %d after the block, want 16", got)
	}
}

// A worker that was not heard yet, and is not awaited, is told the interval of those that send nothing.
func TestReportIntervalGrowsWithTheFleet(t *testing.T) {
	for workers, want := range map[int]time.Duration{50: time.Second, 51: protocol.LargeInterval, 175: 7 * time.Second, 1000: 40 * time.Second} {
		f := newFixture(t, protocol.DefaultConfig())
		f.schedule("t", "a", 5)
		for i := range workers {
			f.c.AddWorker(f.now, protocol.WorkerID(fmt.Sprintf("%04d", i)), "t", 1)
		}
		f.tick()
		if g := f.grants[protocol.WorkerID(fmt.Sprintf("%04d", workers-1))]; g.ReportInterval != want || g.Duration < 3*want {
			t.Errorf("%d workers report every %v and hold leases of %v when they begin, want %v and several times that", workers, g.ReportInterval, g.Duration, want)
		}
	}
}

// While a fleet comes up the intervals of all its workers change, which is not worth a write for
// each of those that wait to be heard; but none of them shall report twice as often as it may.
func TestAFleetThatComesUpIsNotWrittenAnewAllTheTime(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	for i := range 1000 {
		f.c.AddWorker(f.now, protocol.WorkerID(fmt.Sprint(i)), "t", 1)
		if i%10 == 9 {
			f.now = f.now.Add(shortestInterval)
			f.tick()
		}
	}
	for range 20 {
		f.now = f.now.Add(time.Second)
		f.tick()
	}
	writes, often := int64(0), 0
	for _, g := range f.grants {
		writes += g.Sequence
		if g.ReportInterval < 10*time.Second {
			often++
		}
	}
	if often > 35 {
		t.Errorf("%d workers are to report more often than every 10 s, where 40 s are in force, want the 35 that are awaited", often)
	}
	if writes > 4*1000 {
		t.Errorf("%d grants were written for 1,000 workers of which none was heard", writes)
	}
}

// A lease runs from the last report, however often the grant was written since.
func TestLeaseRunsFromTheReport(t *testing.T) {
	f := newFixture(t, withoutCoasting())
	f.schedule("t", "a", 5)
	f.start("t", "w")
	f.start("t", "v") // w's grant is written anew
	f.c.RemoveWorker(f.now, "w", false)
	ends := start.Add(protocol.Lifetime(30 * time.Second))
	for f.now.Before(ends) {
		if !f.c.HasWorker("w") {
			t.Fatalf("the lease is over after %v", f.now.Sub(start))
		}
		f.round("v")
	}
	if f.c.HasWorker("w") {
		t.Errorf("the lease still holds after %v", f.now.Sub(start))
	}
}
