package coordination

import (
	"fmt"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/protocol"
)

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

// A prefix whose requests wait four times as long as the others' keeps its slots
// only as far as the floor, and has them back once it has healed. 503s, and
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
			t.Errorf("weight %v after rounds of %v with %d 503s each, want %v", got, step.latency, step.throttled, step.want)
		}
	}
}

// A worker that has run out of archives while some are queued has its transfer report
// fast; one that has just as little to send at the end has not.
func TestAStarvedWorkerReportsFast(t *testing.T) {
	for queued, want := range map[int64]time.Duration{1000: shortestInterval, 16: 2 * time.Second} {
		f := newFixture(t, protocol.DefaultConfig())
		f.settle(32)
		f.schedule("t", "a", queued)
		f.start("t", "w")
		var all []protocol.Outcome
		for _, n := range f.assigned("w", "a") {
			all = append(all, done("a", n))
		}
		f.reports["w"].Prefixes = []protocol.PrefixCounters{{Prefix: "a", SenderLimited: true}}
		f.report("w", all...)
		f.c.setIntervals()
		if got := f.c.transfers[0].terms.Interval; got != want {
			t.Errorf("with %d archives for a worker that ended all of its own the interval is %v, want %v", queued, got, want)
		}
	}
}
