package coordination

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// clean is the signal of a round that used a window of 100 on a path of 100 ms.
func clean() Signal {
	return Signal{
		Started: 1000, Accepted: 1000, Bytes: 1000 << 20, Completions: 2000,
		Latency: 100 * time.Millisecond, InFlight: 100,
	}
}

// refused turns a share of what was accepted into throttles.
func refused(share float64) Signal {
	s := clean()
	s.Throttled = share * s.Accepted
	s.Accepted -= s.Throttled
	s.Throttles = int64(share * float64(s.Completions))
	return s
}

// settledController is in congestion avoidance, with a window of 100 on a path
// whose latency without a queue is 100 ms.
func settledController(rate float64) *GlobalCongestionController {
	c := newGlobalCongestionController(DefaultConfig(), newRand(1))
	c.path.observe(start, clean(), false)
	c.window, c.rate = 100, rate
	c.avoid(start)
	c.good = operatingPoint{100, rate}
	return c
}

func TestRound(t *testing.T) {
	slow := func(d time.Duration) func() Signal {
		return func() Signal { s := clean(); s.Latency = d; return s }
	}
	tests := map[string]struct {
		state      func() *GlobalCongestionController
		signal     func() Signal
		wantState  State
		wantWindow int
		wantRate   float64
		wantCause  string
	}{
		"slow start doubles": {
			state: func() *GlobalCongestionController {
				return newGlobalCongestionController(DefaultConfig(), newRand(1))
			},
			signal: clean, wantState: SlowStart, wantWindow: 64,
		},
		"slow start short of work waits": {
			state: func() *GlobalCongestionController {
				return newGlobalCongestionController(DefaultConfig(), newRand(1))
			},
			signal: func() Signal {
				s := clean()
				s.InFlight = 10
				return s
			},
			wantState: SlowStart, wantWindow: 32,
		},
		"nothing completed, nothing changes": {
			state:  func() *GlobalCongestionController { return settledController(0) },
			signal: func() Signal { return Signal{Started: 10, InFlight: 100} }, wantState: CongestionAvoidance, wantWindow: 100,
		},
		"no queue, one more": {
			state:  func() *GlobalCongestionController { return settledController(0) },
			signal: clean, wantState: CongestionAvoidance, wantWindow: 101,
		},
		// T doubles to 200 ms, smoothed 150 ms: a third of 100 waits, target 20.
		"a queue, fewer": {
			state:  func() *GlobalCongestionController { return settledController(0) },
			signal: slow(200 * time.Millisecond), wantState: CongestionAvoidance, wantWindow: 83,
		},
		"a small queue stays": {
			state:  func() *GlobalCongestionController { return settledController(0) },
			signal: slow(130 * time.Millisecond), wantState: CongestionAvoidance, wantWindow: 100,
		},
		"short of work, all stays": {
			state: func() *GlobalCongestionController { return settledController(0) },
			signal: func() Signal {
				s := slow(300 * time.Millisecond)()
				s.InFlight = 50
				return s
			},
			wantState: CongestionAvoidance, wantWindow: 100,
		},
		"two throttles are noise": {
			state: func() *GlobalCongestionController { return settledController(0) },
			signal: func() Signal {
				s := refused(0.1)
				s.Throttles = 2
				return s
			},
			wantState: CongestionAvoidance, wantWindow: 101,
		},
		// 950/s were accepted: R = 0.97·950, W = 1.3·R·T + 4.
		"throttling cuts to what was accepted": {
			state:  func() *GlobalCongestionController { return settledController(0) },
			signal: func() Signal { return refused(0.05) }, wantState: FastRecovery,
			wantWindow: 100, wantRate: 0.97 * 950, wantCause: CauseThrottled,
		},
		"throttling while short of work cuts too": {
			state: func() *GlobalCongestionController { return settledController(0) },
			signal: func() Signal {
				s := refused(0.5)
				s.InFlight = 40
				return s
			},
			wantState: FastRecovery, wantWindow: 67, wantRate: 0.97 * 500, wantCause: CauseThrottled,
		},
		"an outage goes straight to recovery": {
			state:  func() *GlobalCongestionController { return settledController(900) },
			signal: func() Signal { return refused(1) }, wantState: Recovery,
			wantWindow: 4, wantRate: lowestRate, wantCause: CauseNoSuccess,
		},
		"a clean round ends fast recovery": {
			state: func() *GlobalCongestionController {
				c := settledController(0)
				c.Round(start, refused(0.05))
				return c
			},
			signal: clean, wantState: CongestionAvoidance, wantWindow: 100, wantRate: 0.97 * 950, wantCause: CauseClean,
		},
		"throttling right after a cut was sent before it": {
			state: func() *GlobalCongestionController {
				c := settledController(0)
				c.Round(start, refused(0.05))
				return c
			},
			signal: func() Signal { return refused(0.4) }, wantState: FastRecovery, wantWindow: 100, wantRate: 0.97 * 950,
		},
		"heavy throttling after a cut is persistent": {
			state: func() *GlobalCongestionController {
				c := settledController(0)
				c.Round(start, refused(0.05))
				c.Round(start, refused(0.05))
				return c
			},
			signal: func() Signal { return refused(0.4) }, wantState: Recovery, wantWindow: 4, wantRate: 300, wantCause: CausePersistent,
		},
		"the first clean round of a recovery": {
			state: func() *GlobalCongestionController {
				c := settledController(0)
				c.Round(start, refused(1))
				return c
			},
			signal: clean, wantState: Recovery, wantWindow: 4, wantRate: halfOpenRate,
		},
		// A quarter of 0.9 times the last good window.
		"the second begins again": {
			state: func() *GlobalCongestionController {
				c := settledController(0)
				c.Round(start, refused(1))
				c.Round(start, clean())
				return c
			},
			signal: clean, wantState: SlowStart, wantWindow: 22, wantCause: CauseClean,
		},
		"regaining grows by the aggressiveness": {
			state: func() *GlobalCongestionController {
				c := settledController(0)
				for _, s := range []Signal{refused(1), clean(), clean()} {
					c.Round(start, s)
				}
				return c
			},
			signal: clean, wantState: SlowStart, wantWindow: 49,
		},
		"a rate that binds is probed when due": {
			state: func() *GlobalCongestionController {
				c := settledController(1000)
				c.probe.due = start
				return c
			},
			signal: clean, wantState: CongestionAvoidance, wantWindow: 125, wantRate: 1050,
		},
		"a queue where a rate was set drops the rate": {
			state:  func() *GlobalCongestionController { return settledController(2000) },
			signal: slow(200 * time.Millisecond), wantState: CongestionAvoidance, wantWindow: 83,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := test.state().Round(start, test.signal())
			if got.State != test.wantState || got.Window != test.wantWindow || got.Cause != test.wantCause ||
				math.Abs(got.Rate-test.wantRate) > 1e-6 {
				t.Errorf("got %+v, want {%d %v %s %s}", got, test.wantWindow, test.wantRate, test.wantState, test.wantCause)
			}
		})
	}
}

func TestSlowStartStops(t *testing.T) {
	tests := map[string]struct {
		next      func(window int, round int) Signal
		wantCause string
	}{
		"at a plateau": {func(window, _ int) Signal {
			s := clean()
			s.InFlight = window
			return s
		}, CausePlateau},
		"at a queue": {func(window, round int) Signal {
			s := clean()
			s.InFlight = window
			s.Latency <<= round
			s.Accepted *= float64(int(1) << round)
			return s
		}, CauseQueueGrowth},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newGlobalCongestionController(DefaultConfig(), newRand(1))
			for round := range 10 {
				d := c.Round(start.Add(time.Duration(round)*time.Second), test.next(int(c.window), round))
				if d.State == SlowStart {
					continue
				}
				if d.State != CongestionAvoidance || d.Cause != test.wantCause {
					t.Fatalf("round %d ends in %s for %s, want %s", round, d.State, d.Cause, test.wantCause)
				}
				return
			}
			t.Fatalf("still in slow start after ten rounds, window %v", c.window)
		})
	}
}

// Below the threshold slow start goes on doubling whatever its growth.
func TestSlowStartBelowItsThreshold(t *testing.T) {
	config := DefaultConfig()
	config.GlobalCongestionWindow, config.SlowStartThreshold = 4, 256
	c := newGlobalCongestionController(config, newRand(1))
	for c.window < 256 {
		s := clean()
		s.InFlight = int(c.window)
		if d := c.Round(start, s); d.State != SlowStart {
			t.Fatalf("left slow start at %d for %s", d.Window, d.Cause)
		}
	}
}

func TestProbe(t *testing.T) {
	raised := func() *GlobalCongestionController {
		c := settledController(1000)
		c.probe.due = start
		c.Round(start, clean())
		return c
	}
	at := func(accepted, throttled float64) Signal {
		s := clean()
		s.Started, s.Accepted, s.Throttled = accepted+throttled, accepted, throttled
		s.Throttles = int64(2 * throttled)
		s.InFlight = 125
		return s
	}
	t.Run("accepted", func(t *testing.T) {
		if d := raised().Round(start, at(1050, 0)); math.Abs(d.Rate-1050*1.1) > 1e-6 {
			t.Errorf("the next step gives %v, want %v", d.Rate, 1050*1.1)
		}
	})
	t.Run("at the edge", func(t *testing.T) {
		if d := raised().Round(start, at(1040, 10)); math.Abs(d.Rate-0.99*1040) > 1e-6 || d.State != CongestionAvoidance {
			t.Errorf("got %v in %s, want %v", d.Rate, d.State, 0.99*1040)
		}
	})
	t.Run("refused", func(t *testing.T) {
		c := raised()
		wait := c.probe.wait
		if d := c.Round(start, at(1010, 40)); d.Rate != 1000 || d.State != CongestionAvoidance {
			t.Errorf("got %v in %s, want the rate before", d.Rate, d.State)
		}
		if c.probe.wait <= wait {
			t.Errorf("the next probe waits %v, as long as before", c.probe.wait)
		}
	})
}

// Without advanced flow control there is no rate at all.
func TestRoundWithoutAdvancedFlowControl(t *testing.T) {
	c := settledController(0)
	c.config.AdvancedFlowControl = false
	for _, s := range []Signal{refused(0.3), refused(0.3), refused(0.3), refused(0.3), refused(1), clean(), clean(), clean()} {
		before := c.window
		if d := c.Round(start, s); d.Rate != 0 {
			t.Fatalf("rate %v in %s", d.Rate, d.State)
		}
		if s.Throttles > 0 && c.window > before {
			t.Fatalf("the window rose from %v to %v while throttled", before, c.window)
		}
	}
}

// Whatever a round tells, what is decided is usable.
func TestRoundStaysBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := DefaultConfig()
		config.AdvancedFlowControl = rapid.Bool().Draw(t, "advanced")
		config.GlobalCongestionWindow = rapid.IntRange(1, maxWindow).Draw(t, "window")
		config.CongestionSensitivity = rapid.Float64Range(0, 0.999).Draw(t, "sensitivity")
		config.RecoveryAggressiveness = rapid.Float64Range(0.1, 10).Draw(t, "aggressiveness")
		c := newGlobalCongestionController(config, newRand(1))
		floor := min(windowFloor, config.GlobalCongestionWindow)
		now := start
		rate := rapid.OneOf(rapid.Float64Range(0, 1e5), rapid.Just(0.0), rapid.Just(float64(maxCounter)))
		for range 30 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "passed")))
			d := c.Round(now, Signal{
				Started: rate.Draw(t, "started"), Accepted: rate.Draw(t, "accepted"), Throttled: rate.Draw(t, "throttled"),
				Failed: rate.Draw(t, "failed"), Bytes: rate.Draw(t, "bytes"),
				Completions: rapid.Int64Range(0, maxCounter).Draw(t, "completions"),
				Throttles:   rapid.Int64Range(0, maxCounter).Draw(t, "throttles"),
				Latency:     time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "latency")),
				InFlight:    rapid.IntRange(0, maxWindow).Draw(t, "inFlight"), SenderLimited: rapid.Bool().Draw(t, "limited"),
			})
			if d.Window < floor || d.Window > maxWindow {
				t.Fatalf("window %d, must be between %d and %d", d.Window, floor, maxWindow)
			}
			if !(d.Rate >= 0) || math.IsInf(d.Rate, 0) || d.Rate > 0 && !config.AdvancedFlowControl {
				t.Fatalf("rate %v", d.Rate)
			}
		}
	})
}

func TestBaseLatencyIsOfOneSize(t *testing.T) {
	var m pathModel
	m.learningRate = 0.1
	small, large := clean(), clean()
	small.Bytes = small.Accepted * 2000
	large.Latency = 400 * time.Millisecond
	m.observe(start, small, false)
	m.observe(start, large, false)
	if queue := m.queue(100); queue != 0 {
		t.Errorf("larger requests read as a queue of %v", queue)
	}
	m.observe(start, small, false)
	if m.base() != 0.1 {
		t.Errorf("the base latency of small requests is %v s, want 0.1", m.base())
	}
}

// An unconfirmed smallest latency does not outlive a change of the path.
func TestBaseLatencyExpires(t *testing.T) {
	var m pathModel
	slow := clean()
	slow.Latency *= 2
	m.observe(start, clean(), false)
	now := start
	for range 40 {
		now = now.Add(time.Second)
		m.observe(now, slow, false)
	}
	if math.Abs(m.base()-0.2) > 0.001 {
		t.Errorf("the base latency is %v s, want 0.2", m.base())
	}
}
