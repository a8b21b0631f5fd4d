package coordination

import (
	"math"
	"testing"
	"time"
)

// One of four workers that stands still shows in the balance, as the mean of
// what the others use over all four.
func TestLoadBalanceOfAStalledWorker(t *testing.T) {
	l := newLoop(t, 4, DefaultConfig())
	l.path.policer = 400
	l.run(time.Minute)
	for end := l.now.Add(10 * time.Second); l.now.Before(end); {
		l.send(2 * time.Second)
		l.now = l.now.Add(2 * time.Second)
		for i, w := range l.workers {
			w.report.Sequence++
			r := w.report
			if i == 0 {
				if last := l.c.workers[r.Worker].cells; len(last) > 0 {
					r.Prefixes = []PrefixCounters{last[0].counters}
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
	f := newFixture(t, DefaultConfig())
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
	f := newFixture(t, DefaultConfig())
	f.tick()
	for range 300 { // twice the window or half of it, every 2 s
		f.c.control.window.size = 96 - f.c.control.window.size
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
	signal := func(bytes float64, latency time.Duration) Signal {
		return Signal{Accepted: 20, Bytes: bytes, Latency: latency}
	}
	limited := signal(1, time.Hour)
	limited.SenderLimited = true
	type round struct {
		bound  int
		signal Signal
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
				{32, signal(100, time.Second)}, {32, limited}, {64, signal(300, time.Second/2)}, {128, limited}, {128, signal(500, time.Second/2)},
			},
			wantBase: 100, improvement: 3, reduction: 0.5, measured: true,
		},
		"worse": {
			rounds:   []round{{32, signal(100, time.Second)}, {16, signal(50, 2*time.Second)}},
			wantBase: 100, improvement: -0.5, reduction: -1, measured: true,
		},
		"few requests":        {rounds: []round{{32, Signal{Accepted: 2, Bytes: 0.1}}, {64, signal(100, time.Second)}}},
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
