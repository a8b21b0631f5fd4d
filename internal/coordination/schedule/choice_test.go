package schedule

import (
	"fmt"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Each factor decides where the others are alike, and the best of all scores 1.
func TestScore(t *testing.T) {
	base := func() *Holdings {
		tr := &TransferScheduler{Config: protocol.DefaultConfig(), drain: 100, sharing: 1, record: record{underWay: 1000}}
		l := &Prefix{transfer: tr, drain: 100, sharing: 1}
		l.backlog.plan(protocol.Planned{Archives: 100, Files: 100, Bytes: 100})
		return &Holdings{prefix: l, Window: 10, worker: &Worker{transfer: tr, serves: 1, granting: 10}}
	}
	tests := map[string]struct {
		change func(*Holdings)
		want   float64
	}{
		"best":                      {func(*Holdings) {}, 1},
		"window in use":             {func(c *Holdings) { c.MaxInFlight = 5 }, 1 - windowFactor/2},
		"more in flight than slots": {func(c *Holdings) { c.MaxInFlight = 50 }, 1 - windowFactor},
		"soon empty":                {func(c *Holdings) { c.prefix.drain = 50 }, 1 - throughputFactor/2},
		"throughput unknown":        {func(c *Holdings) { c.prefix.drain = 0 }, 1},
		"requests wait":             {func(c *Holdings) { c.prefix.Latency, c.prefix.BaseLatency = 0.4, 0.1 }, 1 - latencyFactor*0.75},
		"half fail":                 {func(c *Holdings) { c.prefix.Failures = 0.5 }, 1 - errorFactor/2},
		"holds much":                {func(c *Holdings) { c.held = make([]*holding, 8) }, 1 - loadFactor/2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := base()
			test.change(c)
			if got := c.score(c.depth()); got < test.want-1e-9 || got > test.want+1e-9 {
				t.Errorf("score %v, want %v", got, test.want)
			}
		})
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

// handed is a worker with windows on as many prefixes of 1000 archives each.
func handed(windows ...int) *Worker {
	t := New("t", protocol.DefaultConfig())
	t.BaseInterval = 2 * time.Second
	w := t.AddWorker("w")
	w.Ready, w.Capacity = true, 1000
	for i, window := range windows {
		l, _ := t.Register(fmt.Sprint("p", i))
		l.Plan(protocol.Planned{Archives: 1000, Files: 1000, Bytes: 1000})
		w.Join(l).Window = window
	}
	t.Prepare()
	t.Begin(time.Unix(1000, 0))
	return w
}

// What a worker holds ahead lies where it will be sent: with nearly all of its window on
// one prefix it would soon be done with a prefix's ordinary share.
func TestTheHandsFollowTheWindow(t *testing.T) {
	w := handed(30, 2)
	if a, b := w.holdings[0].ahead(), w.holdings[1].ahead(); a != 30 || b != 2 {
		t.Errorf("%d and %d archives ahead on windows of 30 and 2, want %d divided by the windows", a, b, 2*w.transfer.Config.PipelineDepth)
	}
	w.Assign(time.Unix(1000, 0))
	if held := w.holdings[0].Held(); held != 30 {
		t.Errorf("the worker holds %d archives where its window is, want 30", held)
	}
	if w.serves = 10; w.holdings[0].ahead() != protocol.MaxPipelineDepth {
		t.Errorf("%d archives ahead on one prefix, want what a grant can list", w.holdings[0].ahead())
	}
	if w.transfer.Large = true; w.holdings[0].ahead() > w.transfer.Config.PipelineDepth {
		t.Errorf("%d archives ahead on one of ten prefixes in a large fleet, want the pipeline's depth at most", w.holdings[0].ahead())
	}
}

// A worker that ends archives faster than they are assigned is given more ahead.
func TestAheadFollowsTheCompletionRate(t *testing.T) {
	w := handed(32)
	if got := w.holdings[0].ahead(); got != 16 {
		t.Fatalf("%d archives ahead, want the pipeline's depth", got)
	}
	if w.completionRate = 8; w.holdings[0].ahead() != 8*aheadIntervals*2 {
		t.Errorf("%d archives ahead at 8 per second and reports every 2 s, want those of %d reports", w.holdings[0].ahead(), aheadIntervals)
	}
	if w.completionRate = 1e6; w.holdings[0].ahead() != protocol.MaxPipelineDepth {
		t.Errorf("%d archives ahead, want no more than a grant can list", w.holdings[0].ahead())
	}
}
