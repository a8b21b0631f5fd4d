package coordination

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cargoship.dev/operator/internal/coordination/protocol"
)

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
	f := newFixture(t, withoutCoasting())
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
