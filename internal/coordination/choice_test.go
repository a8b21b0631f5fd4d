package coordination

import (
	"fmt"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// seen is a prefix of which each round told so.
func seen(rounds ...protocol.PrefixCounters) congestion.PrefixModel {
	m, now := congestion.NewPrefixModel(), start
	for _, r := range rounds {
		now = now.Add(2 * time.Second)
		m.Count(r)
		m.EndRound(now, 2*time.Second, protocol.CongestionAvoidance, protocol.DefaultConfig())
	}
	return m
}

// Each factor decides where the others are alike, and the best of all scores 1.
func TestScore(t *testing.T) {
	base := func() (*cell, *TransferScheduler) {
		tr := &TransferScheduler{spec: protocol.Transfer{Config: protocol.DefaultConfig()}, drain: 100}
		l := &lane{transfer: tr, drain: 100, sharing: 1}
		l.backlog.plan(protocol.Planned{Archives: 100, Files: 100, Bytes: 100})
		return &cell{lane: l, share: fairshare.Part{Window: 10}, worker: &worker{transfer: tr, serves: 1, granting: 10}}, tr
	}
	tests := map[string]struct {
		change func(*cell)
		want   float64
	}{
		"best":                      {func(*cell) {}, 1},
		"window in use":             {func(c *cell) { c.counters.MaxInFlight = 5 }, 1 - windowFactor/2},
		"more in flight than slots": {func(c *cell) { c.counters.MaxInFlight = 50 }, 1 - windowFactor},
		"soon empty":                {func(c *cell) { c.lane.drain = 50 }, 1 - throughputFactor/2},
		"throughput unknown":        {func(c *cell) { c.lane.drain = 0 }, 1},
		"requests wait": {func(c *cell) {
			c.lane.model = seen(protocol.PrefixCounters{Accepted: 100, AttemptP50: 100 * time.Millisecond},
				protocol.PrefixCounters{Accepted: 100, AttemptP50: 400 * time.Millisecond})
		}, 1 - latencyFactor*0.75},
		"half fail":  {func(c *cell) { c.lane.model = seen(protocol.PrefixCounters{Failed: 100}) }, 1 - errorFactor/2},
		"hands full": {func(c *cell) { c.held = make([]*holding, 8) }, 1 - loadFactor/2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := base()
			test.change(c)
			if got := c.score(); got < test.want-1e-9 || got > test.want+1e-9 {
				t.Errorf("score %v, want %v", got, test.want)
			}
		})
	}
}

// What a worker holds ahead lies where it will be sent: with nearly all of its window on
// one prefix it would soon be done with a prefix's ordinary share.
func TestTheHandsFollowTheWindow(t *testing.T) {
	config := protocol.DefaultConfig()
	f := newFixture(t, config)
	f.schedule("t", "a", 1000)
	f.schedule("t", "b", 1000)
	f.start("t", "w")
	w := f.c.workers["w"]
	w.cells[0].share.Window, w.cells[1].share.Window = 30, 2
	f.c.assign(f.now.Add(2 * time.Second))
	if a, b := w.cells[0].ahead(), w.cells[1].ahead(); a != 30 || b != 2 {
		t.Errorf("%d and %d archives ahead on windows of 30 and 2, want %d divided by the windows", a, b, 2*config.PipelineDepth)
	}
	if w.serves = 10; w.cells[0].ahead() != protocol.MaxPipelineDepth {
		t.Errorf("%d archives ahead on one prefix, want what a grant can list", w.cells[0].ahead())
	}
	if held := len(w.cells[0].held); held != 30 {
		t.Errorf("the worker holds %d archives where its window is, want 30", held)
	}
}

// Where a worker can hold fewer archives than its prefixes could take, each of
// them has some.
func TestHandsAreSharedByThePrefixes(t *testing.T) {
	config := protocol.DefaultConfig()
	config.PipelineDepth = 64
	f := newFixture(t, config)
	for i := range 8 {
		prefix := fmt.Sprint("p", i)
		must(t, f.c.RegisterPrefix(f.now, "t", prefix))
		f.schedule("t", prefix, 1000)
	}
	f.start("t", "w")
	for i := range 8 {
		if got := len(f.assigned("w", fmt.Sprint("p", i))); got < protocol.MaxOutstanding/8-2 {
			t.Errorf("prefix p%d: %d archives, want about %d", i, got, protocol.MaxOutstanding/8)
		}
	}
}

// Workers that see the same begin with different prefixes, the same ones in every run.
func TestWorkersSpread(t *testing.T) {
	first := map[string]int{}
	for i := range 100 {
		id := protocol.WorkerID(fmt.Sprint("w", i))
		best, name := -1.0, ""
		for p := range 4 {
			prefix := fmt.Sprint("p", p)
			if x := jitter(id, prefix); x > best {
				best, name = x, prefix
			}
		}
		if best < 0 || best > spread {
			t.Fatalf("jitter %v, must be between 0 and %v", best, spread)
		}
		first[name]++
	}
	for p := range 4 {
		if n := first[fmt.Sprint("p", p)]; n < 10 || n > 40 {
			t.Errorf("%d of 100 workers begin with p%d: %v", n, p, first)
		}
	}
}

// A prefix whose requests wait four times as long as the others' keeps its slots
// only as far as the floor, and has them back once it has healed. Refusals, and
// differences that may be noise, move none.
func TestQueueingPrefixGivesUpSlots(t *testing.T) {
	model, config := congestion.NewPrefixModel(), protocol.DefaultConfig()
	transfer := fairshare.Transfer{Strategy: protocol.Adaptive}
	now := start
	rounds := func(latency time.Duration, throttled int64) float64 {
		for range 13 { // 26 s: the smallest latency is remembered
			now = now.Add(2 * time.Second)
			model.Count(protocol.PrefixCounters{Accepted: 10, Throttled: throttled, AttemptP50: latency})
			model.EndRound(now, 2*time.Second, protocol.CongestionAvoidance, config)
		}
		return transfer.Weigh(&fairshare.Prefix{Efficiency: model.Efficiency()}, 1)
	}
	config.LearningRate = 0.5
	for _, step := range []struct {
		latency   time.Duration
		throttled int64
		want      float64
	}{
		{100 * time.Millisecond, 0, 1}, {100 * time.Millisecond, 90, 1}, {120 * time.Millisecond, 0, 1},
		{100 * time.Millisecond, 0, 1}, {500 * time.Millisecond, 0, 0.25}, {100 * time.Millisecond, 0, 1},
	} {
		if got := rounds(step.latency, step.throttled); got != step.want {
			t.Errorf("weight %v after rounds of %v with %d refusals each, want %v", got, step.latency, step.throttled, step.want)
		}
	}
}

// A worker that ends archives faster than its hands are filled is given more ahead.
func TestAheadFollowsTheTurnover(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 1000)
	f.start("t", "w")
	w := f.c.workers["w"]
	w.serves, w.granting = 1, w.cells[0].share.Window
	if got := w.cells[0].ahead(); got != 16 {
		t.Fatalf("%d archives ahead, want the pipeline's depth", got)
	}
	if w.turnover = 8; w.cells[0].ahead() != 8*aheadIntervals*2 {
		t.Errorf("%d archives ahead at 8 per second and reports every 2 s, want those of %d reports", w.cells[0].ahead(), aheadIntervals)
	}
	if w.turnover = 1e6; w.cells[0].ahead() != protocol.MaxPipelineDepth {
		t.Errorf("%d archives ahead, want no more than a grant can list", w.cells[0].ahead())
	}
}

// A worker that has run out of archives while some are queued has its transfer report in
// haste; one that has just as little to send at the end has not.
func TestAWorkerThatRunsDryMakesHaste(t *testing.T) {
	for queued, want := range map[int64]time.Duration{1000: shortestInterval, 16: 2 * time.Second} {
		f := newFixture(t, protocol.DefaultConfig())
		f.c.control.Settle(32, protocol.CongestionAvoidance)
		f.schedule("t", "a", queued)
		f.start("t", "w")
		var all []protocol.Outcome
		for _, n := range f.assigned("w", "a") {
			all = append(all, done("a", n))
		}
		f.reports["w"].Prefixes = []protocol.PrefixCounters{{Prefix: "a", SenderLimited: true}}
		f.report("w", all...)
		f.c.hasten()
		if got := f.c.transfers[0].terms.Interval; got != want {
			t.Errorf("with %d archives for a worker that ended all of its own the interval is %v, want %v", queued, got, want)
		}
	}
}
