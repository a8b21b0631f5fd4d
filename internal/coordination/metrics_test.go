package coordination

import (
	"math"
	"slices"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// One of four workers that stands still shows in the balance, as the mean of
// what the others use over all four.
func TestLoadBalanceOfAStalledWorker(t *testing.T) {
	l := newLoop(t, 4, protocol.DefaultConfig())
	l.path.policer = 400
	l.run(time.Minute)
	for end := l.now.Add(10 * time.Second); l.now.Before(end); {
		l.send(2 * time.Second)
		l.now = l.now.Add(2 * time.Second)
		for i, w := range l.workers {
			w.report.Sequence++
			r := w.report
			if i == 0 {
				if last := l.c.workers[r.Worker].prefixes; len(last) > 0 {
					r.Prefixes = []protocol.PrefixCounters{last[0].counters}
				}
				w.report.Prefixes = r.Prefixes
			}
			must(t, l.c.Observe(l.now, r))
		}
		for i, g := range l.c.Tick(l.now).Grants {
			l.workers[i].grant = g
		}
	}
	if got := l.c.Metrics(l.now).LoadBalance; math.Abs(got-0.75) > 0.03 {
		t.Errorf("load balance %v of three workers at work and one that stands still, want 0.75", got)
	}
}

func TestOverheadCountsTheLoop(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	for range 10 {
		f.tick()
		f.c.Spend(100 * time.Millisecond)
	}
	f.c.Spend(-time.Hour)
	if m := f.c.Metrics(f.now); math.Abs(m.LoopShare-0.05) > 1e-9 || m.Overhead != m.LoopShare {
		t.Errorf("loop share %v and overhead %v of 0.1 s in every 2 s, want 0.05", m.LoopShare, m.Overhead)
	}
	f.c.Spend(time.Hour)
	if got := f.c.Metrics(f.now).Overhead; got != 1 {
		t.Errorf("overhead %v, want at most 1", got)
	}
}

func TestAdaptationRate(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.tick()
	for range 300 { // twice the window or half of it, every 2 s
		f.resize(96 - f.c.control.Bound())
		f.tick()
	}
	want := 30 * math.Log(2)
	if got := f.c.Metrics(f.now).AdaptationRate; math.Abs(got-want) > 0.01*want {
		t.Errorf("adaptation rate %v of a window that doubles or halves every 2 s, want %v", got, want)
	}
	for range 300 {
		f.tick()
	}
	if got := f.c.Metrics(f.now).AdaptationRate; got > 0.01 {
		t.Errorf("adaptation rate %v of a steady window", got)
	}
}

func TestComparison(t *testing.T) {
	signal := func(bytes float64, latency time.Duration) congestion.Signal {
		return congestion.Signal{Accepted: 200, Bytes: bytes, Latency: latency}
	}
	limited := signal(1, time.Hour)
	limited.SenderLimited = true
	type round struct {
		bound  int
		signal congestion.Signal
	}
	tests := map[string]struct {
		rounds                 []round
		wantBase               float64
		improvement, reduction float64
		measured               bool
	}{
		"nothing changed yet": {rounds: []round{{32, signal(100, time.Second)}}},
		"half as slow and four times as fast": {
			rounds: []round{
				{32, signal(100, time.Second)}, {32, limited}, {64, signal(300, time.Second/2)}, {64, signal(300, time.Second/2)}, {64, signal(300, time.Second/2)},
				{128, limited}, {128, signal(500, time.Second/2)}, {128, signal(500, time.Second/2)}, {128, signal(500, time.Second/2)},
			},
			wantBase: 100, improvement: 3, reduction: 0.5, measured: true,
		},
		"worse": {
			rounds:   append([]round{{32, signal(100, time.Second)}}, slices.Repeat([]round{{16, signal(50, 2*time.Second)}}, 5)...),
			wantBase: 100, improvement: -0.5, reduction: -1, measured: true,
		},
		"too soon": {rounds: []round{{32, signal(100, time.Second)}, {16, signal(50, 2*time.Second)}}},
		"a thousand times as fast and as slow": {
			rounds:   append([]round{{32, signal(100, time.Second)}}, slices.Repeat([]round{{64, signal(1e5, time.Hour)}}, 5)...),
			wantBase: 100, improvement: mostChange, reduction: -mostChange, measured: true,
		},
		"few requests": {rounds: append([]round{{32, congestion.Signal{Accepted: 99, Bytes: 0.1}}}, slices.Repeat([]round{{64, signal(100, time.Second)}}, 5)...)},
		"one request for each in flight": {rounds: append([]round{{32, congestion.Signal{Accepted: 120, Busy: 32, InFlight: 120, Bytes: 10}}},
			slices.Repeat([]round{{64, signal(100, time.Second)}}, 5)...)},
		"only limited rounds": {rounds: []round{{32, limited}, {64, signal(100, time.Second)}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var c comparison
			now := start
			for _, r := range test.rounds {
				c.grant(r.bound)
				now = now.Add(2 * time.Second)
				c.endRound(now, r.signal)
			}
			base, improvement, reduction := c.result()
			if base.Measured != test.measured || base.Throughput != test.wantBase ||
				math.Abs(improvement-test.improvement) > 1e-9 || math.Abs(reduction-test.reduction) > 1e-9 {
				t.Errorf("baseline %+v, improvement %v, latency reduction %v", base, improvement, reduction)
			}
		})
	}
}

// What coordination brings and costs, in runs of which the answer is known.
func TestKnownImprovement(t *testing.T) {
	tests := map[string]struct {
		path      path
		window    int
		later     float64 // link, as a part of the one before, after ten seconds
		low, high float64
	}{
		"the first window fills the path":          {path: path{link: 32 / 0.12 * (8 << 20)}, window: 32, low: 0.95, high: 1.06},
		"the path takes twice the first window":    {path: path{link: 64 / 0.12 * (8 << 20)}, window: 32, low: 1.85, high: 2.05},
		"half of the path goes to somebody else":   {path: path{link: 32 / 0.12 * (8 << 20)}, window: 32, later: 0.5, low: 0.45, high: 0.6},
		"a window with a queue gives all there is": {path: path{link: 32 / 0.12 * (8 << 20)}, window: 100, low: 0.9, high: 1.01},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := protocol.DefaultConfig()
			config.GlobalCongestionWindow = test.window
			l := newLoop(t, 4, config)
			test.path.service = 0.12
			l.path = test.path
			l.run(10 * time.Second)
			if test.later > 0 {
				l.path.link *= test.later
			}
			l.run(5 * time.Minute)
			m := l.c.Metrics(l.now)
			if got := 1 + m.Improvement; !m.Baseline.Measured || got < test.low || got > test.high {
				t.Errorf("%.3f of the baseline %+v, want between %v and %v", got, m.Baseline, test.low, test.high)
			}
			if m.Overhead > 0.05 {
				t.Errorf("overhead %.3f of a run in which nobody waits", m.Overhead)
			}
		})
	}
}

// What a worker that has gone holds of the window until its lease is over is a cost
// while others want it, and none while they don't.
func TestKnownOverhead(t *testing.T) {
	for name, test := range map[string]struct {
		wanted    bool
		low, high float64
	}{"wanted": {true, 0.17, 0.25}, "not wanted": {false, 0, 0.05}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, protocol.DefaultConfig())
			f.schedule("t", "a", 500)
			f.start("t", "v", "w")
			for range 5 {
				f.round("v", "w")
			}
			if !test.wanted {
				f.reports["v"].Prefixes = []protocol.PrefixCounters{{Prefix: "a", MaxInFlight: 2, SenderLimited: true}}
				f.reports["v"].MaxInFlight = 16
				f.round("v", "w")
			}
			f.c.RemoveWorker(f.now, "w", false) // half of the window, for ten seconds
			for range 5 {
				f.round("v")
			}
			if got := f.c.Metrics(f.now).Overhead; got < test.low || got > test.high {
				t.Errorf("overhead %.3f, want between %v and %v", got, test.low, test.high)
			}
		})
	}
}
