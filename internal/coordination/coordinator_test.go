package coordination

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
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

func TestTheLastArchivesSpreadOverTheWorkers(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 8)
	f.start("t", "w1", "w2")
	if a, b := len(f.assigned("w1", "a")), len(f.assigned("w2", "a")); a != 2 || b != 2 {
		t.Errorf("assigned %d and %d of 8 to two workers, want a quarter each", a, b)
	}
}

func TestOutstandingIsBounded(t *testing.T) {
	config := protocol.DefaultConfig()
	config.PipelineDepth = 64
	f := newFixture(t, config)
	for i := range 4 {
		prefix := fmt.Sprint("p", i)
		must(t, f.c.RegisterPrefix(f.now, "t", prefix))
		f.schedule("t", prefix, 1000)
	}
	f.start("t", "w")
	sum := 0
	for i := range 4 {
		sum += len(f.assigned("w", fmt.Sprint("p", i)))
	}
	if sum != protocol.MaxOutstanding {
		t.Errorf("%d archives assigned, want %d", sum, protocol.MaxOutstanding)
	}
}

func TestScheduleUpload(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	for range 2 {
		f.schedule("t", "a", 10)
	}
	if p := f.prefix("a"); p.Queued != 10 || p.Planned != (protocol.Planned{Archives: 10, Files: 20, Bytes: 1000}) {
		t.Errorf("%d archives are queued and %+v planned, want 10 of two files", p.Queued, p.Planned)
	}
	for _, u := range []protocol.Upload{
		{Archive: protocol.ArchiveID{Transfer: "x", Prefix: "a", Number: 0}}, {Archive: protocol.ArchiveID{Transfer: "t", Prefix: "x", Number: 0}}, {Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: -1}},
		{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: 99}, Bytes: -1},
	} {
		if f.c.ScheduleUpload(u) == nil {
			t.Errorf("%+v was scheduled", u)
		}
	}
}

func TestFinishedCountsOnce(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 50)
	f.start("t", "w", "v")
	mine, theirs := f.assigned("w", "a")[0], f.assigned("v", "a")[0]
	f.report("w", done("a", mine), done("a", mine), done("a", theirs), done("a", 49), done("x", 0),
		protocol.Outcome{Archive: protocol.ArchiveID{Transfer: "other", Prefix: "a", Number: mine}, Done: protocol.Tally{Files: 9}})
	f.report("w", done("a", mine))
	p := f.prefix("a")
	if p.Done != (protocol.Tally{Files: 2, Bytes: 100}) || p.Finished.Count() != 1 || !p.Finished.Contains(mine) {
		t.Errorf("done %+v, finished %s, want archive %d once", p.Done, p.Finished, mine)
	}
}

func TestRetriesEnd(t *testing.T) {
	config := protocol.DefaultConfig()
	config.MaxAttempts = 3
	f := newFixture(t, config)
	f.schedule("t", "a", 1)
	f.start("t", "w")
	for attempt := 1; attempt <= 3; attempt++ {
		if got := f.grants["w"].Prefixes[0].Assignments[0].Attempt; got != attempt {
			t.Fatalf("attempt %d, want %d", got, attempt)
		}
		f.report("w", again("a", 0))
		f.tick()
	}
	p := f.prefix("a")
	if p.Finished.Count() != 1 || p.FailedArchives != 1 || p.Failed != (protocol.Tally{Files: 2, Bytes: 100}) {
		t.Errorf("got %+v, want one failed archive of two files", p)
	}
	if want := (protocol.FailedArchive{Number: 0, Reason: "Reset", Message: "connection reset"}); len(p.Failures) != 1 || p.Failures[0] != want {
		t.Errorf("failures %+v, want %+v", p.Failures, want)
	}
}

// What an earlier leader may have had sent is looked for what is left of it, and has all
// its attempts still.
func TestBegunArchivesAreAnotherAttemptButCountNone(t *testing.T) {
	config := protocol.DefaultConfig()
	config.MaxAttempts = 1
	f := newFixture(t, config)
	f.c.RemoveTransfer(f.now, "t")
	must(t, f.c.PutTransfer(f.now, protocol.Transfer{ID: "t", Weight: 1, Config: config, Recorded: map[string]protocol.Recorded{
		"a": {Planned: protocol.Planned{Archives: 1, Files: 2, Bytes: 100}}}}))
	f.start("t", "w")
	if got := f.grants["w"].Prefixes[0].Assignments[0].Attempt; got != 2 {
		t.Errorf("attempt %d, want 2", got)
	}
	f.report("w", done("a", 0))
	f.tick()
	if p := f.prefix("a"); p.FailedArchives != 0 || p.Finished.Count() != 1 {
		t.Errorf("got %+v, want the archive done", p)
	}
}

// A worker repeats an outcome until it is acknowledged; it must not end the
// next attempt, which the worker has not seen yet.
func TestARepeatedRetryIsOfTheFirstAttempt(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 1)
	f.start("t", "w")
	seen := f.grants["w"]
	f.report("w", again("a", 0))
	f.tick()
	f.grants["w"] = seen // the new grant has not arrived
	f.report("w", again("a", 0))
	f.tick()
	if got := f.grants["w"].Prefixes[0].Assignments[0].Attempt; got != 2 {
		t.Errorf("attempt %d, want 2", got)
	}
}

func TestFailuresAreBounded(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 200)
	f.start("t", "w")
	for f.prefix("a").Finished.Count() < 200 {
		var outcomes []protocol.Outcome
		for _, n := range f.assigned("w", "a") {
			outcomes = append(outcomes, protocol.Outcome{
				Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: n}, Failed: protocol.Tally{Files: 1}, Reason: "Unreadable", Message: strings.Repeat("é", 1000),
			})
		}
		f.report("w", outcomes...)
		f.tick()
	}
	p := f.prefix("a")
	if p.FailedArchives != 200 || len(p.Failures) != protocol.MaxFailures || len(p.Failures[0].Message) > protocol.MaxMessage {
		t.Errorf("%d failed, %d listed, message of %d bytes", p.FailedArchives, len(p.Failures), len(p.Failures[0].Message))
	}
}

func TestLateCompletion(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 1)
	f.start("t", "lost")
	f.start("t", "other")
	for range 20 {
		f.round("other") // the first is not heard for 40 s
	}
	if got := f.assigned("other", "a"); !slices.Equal(got, []int64{0}) {
		t.Fatalf("the other worker is assigned %v, want archive 0", got)
	}
	f.report("lost", done("a", 0))
	f.report("other", done("a", 0))
	f.tick()
	if p := f.prefix("a"); p.Done.Files != 2 || p.Assigned != 0 || p.Queued != 0 {
		t.Errorf("%d files done, %d assigned, %d queued; want 2, 0, 0", p.Done.Files, p.Assigned, p.Queued)
	}
	if got := f.assigned("other", "a"); len(got) > 0 {
		t.Errorf("the other worker is still assigned %v", got)
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
			f := newFixture(t, protocol.DefaultConfig())
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
		t.Fatalf("windows %d and %d, want 16 and 0 before the acknowledgement", f.window("w"), got)
	}
	f.round("w", "v")
	if got := f.window("v"); got != 16 {
		t.Errorf("window %d after the acknowledgement, want 16", got)
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
	if g := f.grants["w"]; !g.Drain || len(g.Prefixes) > 0 {
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

func TestPlanning(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.start("t", "w", "v")
	planners := func() (ids []protocol.WorkerID) {
		for id, g := range f.grants {
			if g.Plan {
				ids = append(ids, id)
			}
		}
		return ids
	}
	if got := planners(); len(got) > 0 {
		t.Fatalf("%v plan, nothing is to be planned", got)
	}
	f.c.SetPlanning("t", true)
	f.round("w", "v")
	if got := planners(); !slices.Equal(got, []protocol.WorkerID{"v"}) {
		t.Fatalf("%v plan, want v", got)
	}
	var after time.Duration
	for ; !f.grants["w"].Plan && after < time.Minute; after += 2 * time.Second {
		f.round("w") // v is not heard
	}
	if after < 26*time.Second || after > 34*time.Second {
		t.Errorf("the duty moved after %v, want a lease", after)
	}
	f.c.SetPlanning("t", false)
	f.round("w")
	if f.grants["w"].Plan {
		t.Error("w plans, nothing is to be planned")
	}
}

func TestObserveRejects(t *testing.T) {
	good := protocol.Report{
		Worker: "w", Transfer: "t", Instance: "1", Sequence: 10, Epoch: 3, GrantSequence: 2,
		Prefixes: []protocol.PrefixCounters{{Prefix: "a", Started: 10, Accepted: 9, Bytes: 9}},
	}
	tests := map[string]struct {
		change func(*protocol.Report)
		want   error
	}{
		"unknown worker":    {func(r *protocol.Report) { r.Worker = "x" }, ErrUnknownWorker},
		"another transfer":  {func(r *protocol.Report) { r.Transfer = "x" }, ErrImpossibleReport},
		"a later epoch":     {func(r *protocol.Report) { r.Epoch = 4 }, ErrNewerEpoch},
		"an earlier epoch":  {func(r *protocol.Report) { r.Epoch = 2 }, ErrStaleReport},
		"an older grant":    {func(r *protocol.Report) { r.GrantSequence = 1 }, ErrStaleReport},
		"a grant not given": {func(r *protocol.Report) { r.GrantSequence = 99 }, ErrImpossibleReport},
		"the same again":    {func(r *protocol.Report) { r.Sequence = 5 }, ErrStaleReport},
		"an older one":      {func(r *protocol.Report) { r.Sequence = 4 }, ErrStaleReport},
		"no instance":       {func(r *protocol.Report) { r.Instance = "" }, ErrImpossibleReport},
		"an old instance":   {func(r *protocol.Report) { r.Instance, r.Sequence, r.Epoch, r.GrantSequence = "0", 6, 0, 0 }, ErrStaleReport},
		"counters go back":  {func(r *protocol.Report) { r.Prefixes[0].Accepted = 1 }, ErrImpossibleReport},
		"more than started": {func(r *protocol.Report) { r.Prefixes[0].Accepted = 99 }, ErrImpossibleReport},
		"negative counter":  {func(r *protocol.Report) { r.Prefixes[0].Failed = -1 }, ErrImpossibleReport},
		"negative duration": {func(r *protocol.Report) { r.Prefixes[0].AttemptP50 = -1 }, ErrImpossibleReport},
		"too many requests": {func(r *protocol.Report) { r.Prefixes[0].Started = 1e8 }, ErrImpossibleReport},
		"too many bytes":    {func(r *protocol.Report) { r.Prefixes[0].Bytes = 1e13 }, ErrImpossibleReport},
		"overflow":          {func(r *protocol.Report) { r.Prefixes[0].Started = math.MaxInt64 }, ErrImpossibleReport},
		"a prefix twice":    {func(r *protocol.Report) { r.Prefixes = append(r.Prefixes, r.Prefixes[0]) }, ErrImpossibleReport},
		"negative tally": {func(r *protocol.Report) {
			r.Finished = []protocol.Outcome{{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: 0}, Done: protocol.Tally{Files: -1}}}
		}, ErrImpossibleReport},
		"nothing wrong": {func(*protocol.Report) {}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, protocol.DefaultConfig())
			f.schedule("t", "a", 50)
			f.c.AddWorker(f.now, "w", "t", 100)
			must(t, f.c.Observe(f.now, protocol.Report{Worker: "w", Transfer: "t", Instance: "0", Sequence: 4}))
			f.tick()
			first := good
			first.Sequence = 5
			first.GrantSequence = 1
			first.Prefixes = []protocol.PrefixCounters{{Prefix: "a", Started: 5, Accepted: 5, Bytes: 5}}
			must(t, f.c.Observe(f.now, first))
			f.tick()
			first.Sequence, first.GrantSequence = 6, 2
			must(t, f.c.Observe(f.now, first))
			r := good
			r.Prefixes = slices.Clone(good.Prefixes)
			test.change(&r)
			if err := f.c.Observe(f.now, r); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// What a worker counts on a prefix that it was never granted moves nothing.
func TestCountersOfAnotherPrefixAreNotBelieved(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 50)
	f.start("t", "w")
	f.round("w")
	must(t, f.c.RegisterPrefix(f.now, "t", "b"))
	for n := range int64(4) {
		f.reports["w"].Prefixes = []protocol.PrefixCounters{{Prefix: "b", Started: 1000 * n, Accepted: 10 * n, Throttled: 990 * n, Bytes: n}}
		f.round("w")
	}
	if rate := f.grants["w"].Prefixes[0].Rate; rate != 0 {
		t.Errorf("refusals told of another prefix left a rate of %v", rate)
	}
}

// A new process of a worker begins its counters again.
func TestNewInstance(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 50)
	f.start("t", "w")
	f.reports["w"].Prefixes = []protocol.PrefixCounters{{Prefix: "a", Started: 100, Accepted: 100}}
	f.round("w")
	held := f.assigned("w", "a")
	last := f.reports["w"].Sequence
	f.reports["w"] = &protocol.Report{Worker: "w", Transfer: "t", Instance: "2", Sequence: last, MaxInFlight: 100}
	f.grants["w"] = protocol.Grant{}
	f.round("w")
	if g := f.grants["w"]; g.Instance != "2" || g.AcknowledgedReport != last+1 {
		t.Errorf("got %+v, want report %d of instance 2 acknowledged", g, last+1)
	}
	if got := f.assigned("w", "a"); !slices.Equal(got, held) {
		t.Errorf("assigned %v, want the same %v", got, held)
	}
}

func TestTransfersShareByWeight(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.transfer("u", 3, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.schedule("u", "a", 500)
	f.start("t", "t1")
	f.start("u", "u1")
	f.round("t1", "u1")
	f.round("t1", "u1")
	if a, b := f.window("t1"), f.window("u1"); a != 8 || b != 24 {
		t.Errorf("windows %d and %d, want 8 and 24", a, b)
	}
}

func TestUncoordinatedWindowsAreFixed(t *testing.T) {
	config := protocol.DefaultConfig()
	config.Uncoordinated, config.MaxPrefixes, config.MaxConcurrentUploads = true, 1, 3
	f := newFixture(t, config)
	f.schedule("t", "a", 500)
	f.schedule("t", "b", 500)
	f.start("t", "v", "w")
	if got := f.window("v"); got != 3 {
		t.Errorf("window %d, want 3 on one prefix", got)
	}
	if a, b := f.grants["v"].Prefixes[0].Prefix, f.grants["w"].Prefixes[0].Prefix; a == b {
		t.Errorf("both workers send to prefix %s", a)
	}
	if charged := f.c.Metrics(f.now).Charged; charged != 0 {
		t.Errorf("%d slots are charged, want none", charged)
	}
}

// With fewer slots than workers, each gets its turn.
func TestSlotsRotate(t *testing.T) {
	config := protocol.DefaultConfig()
	config.GlobalCongestionWindow = 2
	f := newFixture(t, config)
	f.schedule("t", "a", 5000)
	ids := []protocol.WorkerID{"w1", "w2", "w3", "w4", "w5"}
	f.start("t", ids...)
	served := map[protocol.WorkerID]int{}
	for range 100 {
		f.round(ids...)
		if sum := f.window(ids...); sum > 2 {
			t.Fatalf("%d slots are given, want 2", sum)
		}
		for _, id := range ids {
			served[id] += f.window(id)
		}
	}
	for _, id := range ids {
		if served[id] < 20 {
			t.Errorf("%s had a slot in %d of 100 rounds, its share is 40", id, served[id])
		}
	}
}

func TestMaxActivePrefixes(t *testing.T) {
	config := protocol.DefaultConfig()
	config.MaxActivePrefixes = 1
	f := newFixture(t, config)
	f.schedule("t", "a", 2)
	f.schedule("t", "b", 2)
	f.start("t", "w")
	if len(f.assigned("w", "a")) != 2 || len(f.assigned("w", "b")) != 0 {
		t.Fatalf("assigned %v and %v, want prefix a alone", f.assigned("w", "a"), f.assigned("w", "b"))
	}
	f.report("w", done("a", 0), done("a", 1))
	f.tick()
	if len(f.assigned("w", "b")) != 2 {
		t.Errorf("assigned %v, want prefix b once a is finished", f.assigned("w", "b"))
	}
}

func TestReportIntervalGrowsWithTheFleet(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	for i := range 1000 {
		f.c.AddWorker(f.now, protocol.WorkerID(fmt.Sprint(i)), "t", 1)
	}
	f.tick()
	if g := f.grants["0"]; g.ReportInterval != 20*time.Second || g.Duration < 60*time.Second {
		t.Errorf("interval %v and duration %v, want 50 reports per second and a lease of several", g.ReportInterval, g.Duration)
	}
}

// After a restart grants stand as they were, newcomers share the reserve, and
// after a lease lifetime all is shared again.
func TestLearning(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.start("t", "w")
	f.reports["w"].Prefixes = []protocol.PrefixCounters{{Prefix: "a", Started: 1}}
	f.round("w")
	snapshot := f.c.Snapshot()
	held := f.assigned("w", "a")

	c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
	must(t, err)
	f.c = c
	snapshot.Epoch++
	must(t, c.Start(f.now, snapshot))
	must(t, c.PutTransfer(f.now, protocol.Transfer{ID: "t", Weight: 1, Config: protocol.DefaultConfig()}))
	c.AdoptGrant(f.now, f.grants["w"])
	f.schedule("t", "a", 500)
	f.start("t", "v")
	f.round("w", "v")
	if g := f.grants["w"]; g.Epoch != 4 || !slices.Equal(f.assigned("w", "a"), held) {
		t.Errorf("epoch %d, assigned %v; want 4 and still %v", g.Epoch, f.assigned("w", "a"), held)
	}
	if f.window("w")+f.window("v") > 32+congestion.LearningReserve {
		t.Errorf("windows %d and %d exceed what was recorded and the reserve", f.window("w"), f.window("v"))
	}
	for range 20 {
		f.round("w", "v")
	}
	if a, b := f.window("w"), f.window("v"); a != 16 || b != 16 {
		t.Errorf("windows %d and %d after learning, want 16 each", a, b)
	}
}

// While learning nothing but the reserve goes to newcomers, though the recorded
// window is free: its holders may not have been heard yet.
func TestLearningReserve(t *testing.T) {
	c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
	must(t, err)
	f := &fixture{t: t, c: c, now: start, reports: map[protocol.WorkerID]*protocol.Report{}, grants: map[protocol.WorkerID]protocol.Grant{}}
	must(t, c.Start(start, protocol.Snapshot{Epoch: 2, Path: &protocol.PathSnapshot{Window: 400, State: protocol.CongestionAvoidance}}))
	f.transfer("t", 1, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.start("t", "v")
	if got := f.window("v"); got != congestion.LearningReserve {
		t.Errorf("window %d, want the reserve of %d", got, congestion.LearningReserve)
	}
}

func TestStartRejects(t *testing.T) {
	tests := map[string]protocol.Snapshot{
		"no epoch":          {},
		"no window":         {Epoch: 1, Path: &protocol.PathSnapshot{}},
		"rate not a number": {Epoch: 1, Path: &protocol.PathSnapshot{Window: 8}, Groups: []protocol.GroupSnapshot{{Name: congestion.GroupName, Rate: math.NaN()}}},
	}
	for name, snapshot := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
			must(t, err)
			if c.Start(start, snapshot) == nil {
				t.Error("it started")
			}
			if p := c.Tick(start); p.Grants != nil {
				t.Errorf("it granted %+v", p.Grants)
			}
		})
	}
}

func TestAdoptGrantOfAnUnknownTransfer(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.c.AdoptGrant(f.now, protocol.Grant{
		Worker: "w", Transfer: "gone", Epoch: 2, Sequence: 9, Duration: 30 * time.Second,
		Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 5, Assignments: []protocol.Assignment{{Archive: protocol.ArchiveID{Transfer: "gone", Prefix: "a", Number: 0}, Attempt: 1}}}},
	})
	f.tick()
	if g := f.grants["w"]; !g.Drain || g.Epoch != 3 || g.Sequence != 10 {
		t.Errorf("got %+v, want to drain", g)
	}
	if charged := f.c.Metrics(f.now).Charged; charged != 5 {
		t.Errorf("%d slots are charged, want 5 until the lease is over", charged)
	}
	f.c.RemoveWorker(f.now, "w", false)
	for range 17 {
		f.tick()
	}
	if m := f.c.Metrics(f.now); m.Workers != 0 || m.Charged != 0 {
		t.Errorf("%d workers and %d slots are left", m.Workers, m.Charged)
	}
}

// Of two workers that were given the same archive the later attempt counts.
func TestAdoptGrantsOfOneArchive(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	for i, id := range []protocol.WorkerID{"v", "w", "x"} {
		f.c.AdoptGrant(f.now, protocol.Grant{
			Worker: id, Transfer: "t", Epoch: 2, Sequence: 9, Duration: 30 * time.Second,
			Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 5, Assignments: []protocol.Assignment{{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: 0}, Attempt: 1 + i%2}}}},
		})
	}
	if holder, attempt := f.c.transfers[0].lanes[0].work.Holder(0); holder != "w" || attempt != 2 {
		t.Errorf("%s holds the archive at attempt %d, want w at 2", holder, attempt)
	}
	if p := f.prefix("a"); p.Assigned != 1 || p.Queued != 0 {
		t.Errorf("%d assigned, %d queued, want 1 and 0", p.Assigned, p.Queued)
	}
}

// Lost workers may each have a request in flight; those that are left can go on.
func TestLostWorkersDoNotStarveTheOthers(t *testing.T) {
	config := protocol.DefaultConfig()
	config.GlobalCongestionWindow = 4
	f := newFixture(t, config)
	f.schedule("t", "a", 5000)
	var lost []protocol.WorkerID
	for i := range 8 {
		lost = append(lost, protocol.WorkerID(fmt.Sprint("lost", i)))
	}
	f.start("t", lost...)
	for range 40 {
		f.round(lost...) // each has its turn
	}
	f.start("t", "w")
	for range 30 {
		f.round("w")
	}
	if got := f.window("w"); got != 4 {
		t.Errorf("window %d, want all of 4 once the leases of the others are over", got)
	}
}

// A worker that has not seen the adopted grant may be on the floor of the one
// before, whatever the adopted one says.
func TestAdoptedWorkersAreChargedAFloor(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.c.AdoptGrant(f.now, protocol.Grant{Worker: "w", Transfer: "t", Epoch: 2, Sequence: 9, Duration: 30 * time.Second})
	charged := func() int { return f.c.Metrics(f.now).Charged }
	if got := charged(); got != 1 {
		t.Errorf("%d slots are charged, want a floor of 1", got)
	}
	must(t, f.c.Observe(f.now, protocol.Report{Worker: "w", Transfer: "t", Instance: "1", Sequence: 4, Epoch: 2, GrantSequence: 9}))
	if got := charged(); got != 0 {
		t.Errorf("%d slots are charged once the worker acts on the adopted grant", got)
	}
}

// What a worker did before it was known says nothing of the path now.
func TestFirstReportOnlySetsTheCounters(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 50)
	f.c.AddWorker(f.now, "w", "t", 100)
	r := &protocol.Report{
		Worker: "w", Transfer: "t", Instance: "1", MaxInFlight: 100,
		Prefixes: []protocol.PrefixCounters{{Prefix: "a", Started: 5000, Accepted: 1000, Throttled: 4000}},
	}
	f.reports["w"] = r
	f.round("w")
	if f.c.control.Begun() {
		t.Error("the first report was judged")
	}
	r.Prefixes = []protocol.PrefixCounters{{Prefix: "a", Started: 5100, Accepted: 1100, Throttled: 4000, MaxInFlight: 32}}
	f.round("w")
	if g := f.c.Metrics(f.now).Groups[0]; g.CongestionEvents != 0 || g.Requests != 50 {
		t.Errorf("%d cuts and %v requests per second, want none and 50", g.CongestionEvents, g.Requests)
	}
}

// Where the window is smaller than the number of prefixes, they take turns; what a worker
// has begun of one that waits stays with it, the rest goes back to the queue.
func TestPrefixesTakeTurns(t *testing.T) {
	config := protocol.DefaultConfig()
	config.PipelineDepth = 3
	f := newFixture(t, config)
	f.schedule("t", "a", 100)
	f.schedule("t", "b", 100)
	f.start("t", "w")
	if a, b := f.assigned("w", "a"), f.assigned("w", "b"); len(a) != 3 || len(b) != 3 {
		t.Fatalf("assigned %v and %v, want three of each", a, b)
	}
	f.c.control.SetWindow(1)
	waiting := 0
	for range 4 * fairshare.TurnIntervals {
		var finished []protocol.Outcome
		for _, p := range f.grants["w"].Prefixes {
			if p.Window > 0 && len(p.Assignments) > 0 {
				finished = append(finished, done(p.Prefix, p.Assignments[0].Archive.Number))
			} else if p.Window == 0 && len(p.Assignments) == 1 {
				waiting++
			}
		}
		f.report("w", finished...)
		f.tick()
	}
	if a, b := f.prefix("a").Finished, f.prefix("b").Finished; a.Count() < fairshare.TurnIntervals || b.Count() < fairshare.TurnIntervals {
		t.Errorf("finished %s of a and %s of b, want the archives of a turn of each", a, b)
	}
	if waiting == 0 {
		t.Error("the worker never kept just the archive that it had begun")
	}
}

// A lease runs from the last report, however often the grant was written since.
func TestLeaseRunsFromTheReport(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
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

// The duty passes from a worker that leaves only once that one has let go of it.
func TestPlannersDoNotOverlap(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.c.SetPlanning("t", true)
	f.start("t", "v", "w")
	if !f.grants["v"].Plan {
		t.Fatal("v does not plan")
	}
	f.c.RemoveWorker(f.now, "v", false)
	f.round("w")
	if f.grants["v"].Plan || f.grants["w"].Plan {
		t.Fatalf("planning: v %v, w %v, want neither before v has let go", f.grants["v"].Plan, f.grants["w"].Plan)
	}
	f.round("v", "w")
	if !f.grants["w"].Plan {
		t.Error("w does not plan after v has let go")
	}
}

// Who has had the only slot for long gives it to who came later.
func TestNewcomersGetTheirTurn(t *testing.T) {
	config := protocol.DefaultConfig()
	config.GlobalCongestionWindow = 1
	f := newFixture(t, config)
	f.schedule("t", "a", 5000)
	f.start("t", "old")
	for range 40 {
		f.round("old")
	}
	f.start("t", "new")
	for range 5 {
		f.round("old", "new")
	}
	if f.window("new") != 1 || f.window("old") != 0 {
		t.Errorf("windows %d and %d, want the newcomer's turn", f.window("old"), f.window("new"))
	}
}

// What is leased to a worker that is not heard is not there for others.
func TestSilentWorkersKeepWhatIsLeased(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.start("t", "v", "w")
	for range 4 {
		f.round("v")
	}
	f.c.control.SetWindow(20)
	f.round("v")
	if got := f.window("v"); got != 4 {
		t.Errorf("window %d of 20, want 4 beside the 16 of the silent worker", got)
	}
}

// A round is judged by reports that act on its grants, unless they do not come.
func TestRoundsWaitForTheirGrants(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.start("t", "w")
	send := func() {
		r := f.reports["w"]
		sent := 10 * (r.Sequence + 1)
		r.Prefixes = []protocol.PrefixCounters{{Prefix: "a", Started: sent, Accepted: sent, MaxInFlight: 3}}
		f.round("w")
	}
	send()
	f.c.control.SetWindow(20)
	seen := f.grants["w"]
	send() // ends a round and writes the new grant
	began := f.c.control.Began()
	waited := 0
	for f.c.control.Began().Equal(began) && waited < 10 {
		f.grants["w"] = seen
		send()
		waited++
	}
	// Three times the length of a round, which is nine tenths of an interval.
	if waited != 3 {
		t.Errorf("judged after %d intervals of reports on the old grant, want 3", waited)
	}
	f.round("w")
	began = f.c.control.Began()
	send()
	if f.c.control.Began().Equal(began) {
		t.Error("not judged by a report on the newest grant")
	}
}
