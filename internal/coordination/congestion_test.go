package coordination

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/coordination/protocol"
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
// whose latency without a queue is 100 ms, and a rate, 0 for none.
func settledController(rate float64) *GlobalCongestionController {
	c := newGlobalCongestionController(protocol.DefaultConfig(), newRand(1))
	c.groups[0].join(&lane{name: "a"})
	c.path.observe(start, clean(), false)
	c.path.rebase(start)
	c.begun, c.measured = true, true
	c.window.size = 100
	c.avoid()
	r := &c.groups[0].rate
	r.perSecond, r.good = rate, 1000
	r.scheduleProbe(start, c.view(Signal{}))
	return c
}

// judge has the only lane of the only group seen all of the signal.
func judge(c *GlobalCongestionController, now time.Time, s Signal) []protocol.Transition {
	c.groups[0].lanes[0].signal = s
	return c.Round(now, s)
}

// fresh is a controller in slow start with one lane.
func fresh(config protocol.Config) *GlobalCongestionController {
	c := newGlobalCongestionController(config, newRand(1))
	c.groups[0].join(&lane{name: "a"})
	return c
}

func after(rate float64, signals ...Signal) func() *GlobalCongestionController {
	return func() *GlobalCongestionController {
		c := settledController(rate)
		for _, s := range signals {
			judge(c, start, s)
		}
		return c
	}
}

func with(change func(s *Signal)) Signal {
	s := clean()
	change(&s)
	return s
}

// roundTest judges one round and says what is to come of it.
type roundTest struct {
	state      func() *GlobalCongestionController
	signal     Signal
	wantState  protocol.State
	wantWindow int
	wantRate   float64
	wantCause  string
}

func (test roundTest) run(t *testing.T) {
	c, cause := test.state(), ""
	for _, change := range judge(c, start, test.signal) {
		cause = change.Cause
	}
	g := c.groups[0]
	if state := c.state(g); state != test.wantState || int(c.window.size) != test.wantWindow || cause != test.wantCause ||
		math.Abs(g.rate.perSecond-test.wantRate) > 1e-6 {
		t.Errorf("got {%d %v %s %s}, want {%d %v %s %s}", int(c.window.size), g.rate.perSecond, state, cause,
			test.wantWindow, test.wantRate, test.wantState, test.wantCause)
	}
}

func slowed(d time.Duration) Signal { return with(func(s *Signal) { s.Latency = d }) }

func TestRoundSteersTheWindow(t *testing.T) {
	for name, test := range map[string]roundTest{
		"slow start doubles": {
			state:  func() *GlobalCongestionController { return fresh(protocol.DefaultConfig()) },
			signal: clean(), wantState: protocol.SlowStart, wantWindow: 64,
		},
		"slow start short of work waits": {
			state:     func() *GlobalCongestionController { return fresh(protocol.DefaultConfig()) },
			signal:    with(func(s *Signal) { s.InFlight, s.SenderLimited = 10, true }),
			wantState: protocol.SlowStart, wantWindow: 32,
		},
		"nothing completed, nothing changes": {
			state: after(0), signal: Signal{Started: 10, InFlight: 100}, wantState: protocol.CongestionAvoidance, wantWindow: 100,
		},
		"no queue, an eighth more": {
			state: after(0), signal: clean(), wantState: protocol.CongestionAvoidance, wantWindow: 112,
		},
		// T doubles to 200 ms: half of 100 wait, target 30.
		"a queue, fewer": {
			state: after(0), signal: slowed(200 * time.Millisecond), wantState: protocol.CongestionAvoidance, wantWindow: 82,
		},
		"a small queue stays": {
			state: after(0), signal: slowed(135 * time.Millisecond), wantState: protocol.CongestionAvoidance, wantWindow: 100,
		},
		"short of work, all stays": {
			state: after(0), signal: with(func(s *Signal) { s.Latency, s.InFlight, s.SenderLimited = time.Second, 50, true }),
			wantState: protocol.CongestionAvoidance, wantWindow: 100,
		},
		// Half as many again as the 40 in flight, and four; but at most a tenth less at once.
		"what rates leave of the window is given up slowly": {
			state: after(1000), signal: with(func(s *Signal) { s.InFlight = 40 }),
			wantState: protocol.CongestionAvoidance, wantWindow: 90, wantRate: 1000,
		},
		"two throttles are noise": {
			state: after(0), signal: with(func(s *Signal) { s.Throttled, s.Accepted, s.Throttles = 100, 900, 2 }),
			wantState: protocol.CongestionAvoidance, wantWindow: 112,
		},
	} {
		t.Run(name, test.run)
	}
}

func TestRoundSteersTheRate(t *testing.T) {
	due := func() *GlobalCongestionController {
		c := settledController(1000)
		c.groups[0].rate.probe.due = start
		return c
	}
	for name, test := range map[string]roundTest{
		"throttling cuts to what was accepted": {
			state: after(0), signal: refused(0.05), wantState: protocol.FastRecovery,
			wantWindow: 100, wantRate: 0.99 * 950, wantCause: CauseThrottled,
		},
		"an outage goes straight to recovery": {
			state: after(900), signal: refused(1), wantState: protocol.Recovery,
			wantWindow: 100, wantRate: 5, wantCause: CauseNoSuccess,
		},
		"a clean round ends fast recovery": {
			state: after(0, refused(0.05)), signal: clean(), wantState: protocol.CongestionAvoidance,
			wantWindow: 112, wantRate: 0.99 * 950, wantCause: CauseClean,
		},
		"throttling right after a cut was sent before it": {
			state: after(0, refused(0.05)), signal: refused(0.4), wantState: protocol.FastRecovery, wantWindow: 112, wantRate: 0.99 * 950,
		},
		"heavy throttling after a cut is persistent": {
			state: after(0, refused(0.05), refused(0.05)), signal: refused(0.4), wantState: protocol.Recovery,
			wantWindow: 137, wantRate: 300, wantCause: CausePersistent,
		},
		"the dark goes on": {
			state: after(900, refused(1)), signal: refused(1), wantState: protocol.Recovery, wantWindow: 100, wantRate: 5,
		},
		// Four times the rate, and an eighth of the 1000 of before.
		"the first success after an outage": {
			state: after(900, refused(1)), signal: clean(), wantState: protocol.SlowStart,
			wantWindow: 112, wantRate: 125, wantCause: CauseClean,
		},
		"then the rate grows": {
			state: after(900, refused(1), clean()), signal: clean(), wantState: protocol.SlowStart, wantWindow: 137, wantRate: 500,
		},
		"until it is what it was": {
			state: after(900, refused(1), clean(), clean()), signal: clean(), wantState: protocol.CongestionAvoidance,
			wantWindow: 137, wantRate: 900, wantCause: CauseRegained,
		},
		"a rate that binds is probed when due": {
			state: due, signal: clean(), wantState: protocol.CongestionAvoidance, wantWindow: 112, wantRate: 1050,
		},
		"a queue where a rate does not bind lifts the rate": {
			state: after(2000), signal: slowed(200 * time.Millisecond), wantState: protocol.CongestionAvoidance, wantWindow: 82,
		},
	} {
		t.Run(name, test.run)
	}
}

func TestSlowStartStops(t *testing.T) {
	tests := map[string]struct {
		next      func(s *Signal, round int)
		wantCause string
	}{
		"at a plateau": {func(*Signal, int) {}, CausePlateau},
		"at a queue": {func(s *Signal, round int) {
			s.Latency <<= round
			s.Accepted *= float64(int(1) << round)
		}, CauseQueueGrowth},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := fresh(protocol.DefaultConfig())
			for round := range 10 {
				s := with(func(s *Signal) { s.InFlight = int(c.window.size) })
				test.next(&s, round)
				for _, change := range judge(c, start.Add(time.Duration(round)*time.Second), s) {
					if change.To != protocol.CongestionAvoidance || change.Cause != test.wantCause {
						t.Errorf("round %d ends in %s for %s, want %s", round, change.To, change.Cause, test.wantCause)
					}
					return
				}
			}
			t.Fatalf("still in slow start after ten rounds, window %v", c.window.size)
		})
	}
}

// Below the threshold slow start goes on doubling whatever its growth.
func TestSlowStartBelowItsThreshold(t *testing.T) {
	config := protocol.DefaultConfig()
	config.GlobalCongestionWindow, config.SlowStartThreshold = 4, 256
	c := fresh(config)
	for c.window.size < 256 {
		s := with(func(s *Signal) { s.InFlight = int(c.window.size) })
		if changes := judge(c, start, s); changes != nil {
			t.Fatalf("left slow start at %v: %+v", c.window.size, changes)
		}
	}
}

// What was accepted while growth met the policer lags behind what it takes, in a round
// shorter than it takes requests to come back; so the rate is tried upwards at once.
func TestFirstCutOfAShortRoundIsTriedAtOnce(t *testing.T) {
	for length, want := range map[time.Duration]bool{0: false, 150 * time.Millisecond: true, 2 * time.Second: false} {
		c := settledController(0)
		c.groups[0].rate.events.cuts = 1 // long ago
		s := refused(0.1)
		s.Length = length
		judge(c, start, s)
		judge(c, start, clean())
		rate := c.groups[0].rate.perSecond
		judge(c, start, with(func(s *Signal) { s.Started, s.Accepted = rate, rate }))
		if raised := c.groups[0].rate.perSecond > rate; raised != want {
			t.Errorf("after a first cut in a round of %v the rate is raised: %v, want %v", length, raised, want)
		}
	}
}

// A group that is refused for the first time does not know what is taken: what was
// accepted is of its first burst. So the rate is doubled until something is refused.
func TestTheFirstCutIsDoubledFrom(t *testing.T) {
	c := settledController(0)
	judge(c, start, with(func(s *Signal) {
		s.Started, s.Accepted, s.Throttled, s.Throttles, s.Length = 70, 30, 40, 40, time.Second
	}))
	for now := start; c.groups[0].rate.perSecond < 240; now = now.Add(time.Second) {
		if now.Sub(start) > 6*time.Second {
			t.Fatalf("the rate is %.0f after six clean rounds, want 240", c.groups[0].rate.perSecond)
		}
		rate := c.groups[0].rate.perSecond
		judge(c, now, with(func(s *Signal) { s.Started, s.Accepted, s.Length = rate, rate, time.Second }))
	}
}

// Refusals come back at once, what is accepted only after the service time. So what the
// first reports hold of a burst is no round, and a round of refusals alone no outage
// before anything was ever accepted.
func TestRefusalsThatComeBackFirst(t *testing.T) {
	t.Run("are no round", func(t *testing.T) {
		c := fresh(protocol.DefaultConfig())
		c.begin(start)
		late := start.Add(3 * time.Second) // the workers have only now begun
		c.over(late, 500*time.Millisecond, 0)
		c.completions, c.throttles = 14, 14
		if c.over(late.Add(100*time.Millisecond), 500*time.Millisecond, 1) {
			t.Error("the first round ended before what was accepted could come back")
		}
		if !c.over(late.Add(1500*time.Millisecond), 500*time.Millisecond, 1) {
			t.Error("the first round does not end")
		}
	})
	t.Run("are no outage", func(t *testing.T) {
		c := fresh(protocol.DefaultConfig())
		judge(c, start, Signal{Started: 60, Throttled: 28, Completions: 14, Throttles: 14, InFlight: 16})
		for range starvedRounds {
			judge(c, start, Signal{Started: 60, Throttled: 28, Completions: 14, Throttles: 14, InFlight: 16})
		}
		if r := c.groups[0].rate; r.state != protocol.CongestionAvoidance || r.perSecond != 0 {
			t.Errorf("got %v per second in %s, want no bound yet", r.perSecond, r.state)
		}
		c.begin(start)
		if c.completions, c.throttles = 14, 14; c.over(start.Add(100*time.Millisecond), 500*time.Millisecond, 0) {
			t.Error("a round ended before what was accepted could come back")
		}
		for range unmeasuredRounds {
			judge(c, start, Signal{Started: 60, Throttled: 28, Completions: 14, Throttles: 14, InFlight: 16})
		}
		if r := c.groups[0].rate; r.state != protocol.Recovery {
			t.Errorf("in %s after %d rounds of refusals, want recovery", r.state, unmeasuredRounds)
		}
	})
	t.Run("hide what is accepted", func(t *testing.T) {
		c := settledController(0)
		burst := func(accepted float64) Signal {
			return with(func(s *Signal) { s.Started, s.Accepted, s.Throttled, s.Throttles = 120, accepted, 60, 30 })
		}
		judge(c, start, burst(2))
		judge(c, start, burst(100))
		if got := c.groups[0].rate.perSecond; math.Abs(got-99) > 1e-6 {
			t.Errorf("the rate after the cut is %v, want just below the 100 that were accepted since", got)
		}
	})
}

// The further a lost probe reached, the less is known of where in its step the capacity
// is, and the sooner the next one comes.
func TestAProbeThatReachedFarIsTriedAgainSoon(t *testing.T) {
	wait := func(won int) time.Duration {
		c := settledController(1000)
		r := &c.groups[0].rate
		r.probe.due, r.probe.won = start, won
		judge(c, start, clean())
		judge(c, start, refused(0.1))
		return r.probe.due.Sub(start)
	}
	if usual, soon := wait(0), wait(laggedSteps); usual < probeLatest/2 || soon > probeLatest/5 {
		t.Errorf("the next probe comes after %v, and %v where the last reached far", usual, soon)
	}
}

// Probes are paid for: the more refusals one has cost, those that come back after it
// included, the later the next, within bounds.
func TestAProbePaysForTheNext(t *testing.T) {
	wait := func(rate float64, during, after int64) time.Duration {
		c := settledController(rate)
		r := &c.groups[0].rate
		r.probe.due = start
		round := func(throttles int64) {
			judge(c, start, with(func(s *Signal) {
				s.Started, s.Accepted, s.Throttled, s.Throttles = rate, rate, float64(throttles)/2, throttles
				s.Completions = int64(rate)
			}))
		}
		round(0)
		if !r.probe.active {
			t.Fatal("no probe")
		}
		round(during)
		round(after)
		return r.probe.due.Sub(start)
	}
	least, most := probeSoonest*3/2, probeLatest/2
	if got := wait(1000, 1, 0); got > least {
		t.Errorf("after a refusal in a thousand the next probe comes after %v, want at most %v", got, least)
	}
	if got := wait(100, 50, 0); got < most || got > 3*most {
		t.Errorf("after 50 refusals at 100/s the next probe comes after %v, want %v to %v", got, most, 3*most)
	}
	if cheap, dear := wait(1000, 45, 0), wait(1000, 45, 30); dear < 3*cheap/2 {
		t.Errorf("after 45 refusals at 1000/s it comes after %v, and after 30 more that followed after %v", cheap, dear)
	}
}

// What comes back in the round after a probe is of that probe also where it ended at the
// edge, without congestion.
func TestAProbeAtTheEdgePaysForWhatFollows(t *testing.T) {
	wait := func(after int64) time.Duration {
		c := settledController(4000)
		r := &c.groups[0].rate
		r.probe.due = start
		for _, throttles := range []int64{0, 120, after} {
			judge(c, start, with(func(s *Signal) {
				s.Started, s.Accepted, s.Throttled = 4000, 4000, float64(throttles)/2
				s.Completions, s.Throttles = 4000, throttles
			}))
		}
		return r.probe.due.Sub(start)
	}
	if cheap, dear := wait(0), wait(120); dear < 3*cheap/2 {
		t.Errorf("the next probe comes after %v, and with as many refusals that followed after %v", cheap, dear)
	}
}

// When a server falls silent, a few requests are still accepted in the first rounds. What
// was good before is not forgotten for them: probes in the dark are a share of it.
func TestASilenceIsNoMeasureOfWhatWasGood(t *testing.T) {
	c := settledController(0)
	judge(c, start, clean())
	for _, accepted := range []float64{300, 20, 2} {
		judge(c, start, with(func(s *Signal) { s.Started, s.Accepted, s.Completions = accepted, accepted, int64(accepted) }))
	}
	if r := &c.groups[0].rate; r.lowest() < lowestShare*500 {
		t.Errorf("%v per second would be tried in the dark, after 1000 per second were good", r.lowest())
	}
	for range 20 {
		judge(c, start, with(func(s *Signal) { s.Started, s.Accepted, s.Completions = 200, 200, 400 }))
	}
	if good := c.groups[0].rate.good; good > 250 {
		t.Errorf("%v per second are held for good where 200 are accepted for long", good)
	}
}

// Before a probe is due reports become frequent, unless the rate is not what limits.
func TestReportsBecomeFrequentBeforeAProbe(t *testing.T) {
	c := settledController(1000)
	r := &c.groups[0].rate
	r.probe.due = start.Add(time.Minute)
	judge(c, start, clean())
	for _, test := range []struct {
		before time.Duration
		want   bool
	}{{time.Minute, false}, {probeLead + time.Second, false}, {probeLead - time.Second, true}, {-time.Second, true}, {-time.Hour, false}} {
		if got := r.hasty(r.probe.due.Add(-test.before)); got != test.want {
			t.Errorf("%v before the probe: hasty is %v", test.before, got)
		}
	}
	judge(c, start, with(func(s *Signal) { s.Started, s.Accepted = 500, 500 }))
	if r.hasty(r.probe.due) {
		t.Error("reports are frequent for a probe of a rate that does not limit")
	}
}

// A rate is divided by what the windows can use on a path without a queue: the latency
// of a round can be that of a few late answers, and who is granted little sends little.
func TestLateAnswersDoNotLowerTheRate(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 1000)
	f.start("t", "w")
	k := f.c.control
	k.groups[0].rate.perSecond, k.groups[0].rate.probe.due = 100, f.now.Add(time.Hour)
	for _, latencies := range [][2]float64{{0.1, 5}, {5, 0.1}} {
		k.path.bases[0], k.path.latency = baseLatency{seconds: latencies[0], at: f.now}, latencies[1]
		f.c.paceGrants()
		sum := 0.0
		for _, cell := range f.c.workers["w"].cells {
			sum += cell.rate
		}
		if math.Abs(sum-100) > 1 {
			t.Errorf("granted %v per second of 100 with a window of %d and latencies of %v", sum, f.window("w"), latencies)
		}
	}
}

// While a rate limits, that the window doubles and no more is accepted tells nothing of
// the path.
func TestARateIsNoPlateau(t *testing.T) {
	c := fresh(protocol.DefaultConfig())
	c.groups[0].rate.perSecond = 100
	c.groups[0].rate.probe.due = start.Add(time.Hour)
	for range 3 * plateauRounds {
		judge(c, start, with(func(s *Signal) { s.Started, s.Accepted, s.InFlight = 100, 100, int(c.window.size) }))
	}
	if c.window.state != protocol.SlowStart {
		t.Errorf("the window is in %s at %v, want slow start until it is what limits", c.window.state, c.window.size)
	}
}

func TestProbe(t *testing.T) {
	raised := func() *GlobalCongestionController {
		c := settledController(1000)
		c.groups[0].rate.probe.due = start
		judge(c, start, clean())
		return c
	}
	at := func(accepted, throttled float64) Signal {
		return with(func(s *Signal) {
			s.Started, s.Accepted, s.Throttled = accepted+throttled, accepted, throttled
			s.Throttles = int64(2 * throttled)
		})
	}
	t.Run("accepted", func(t *testing.T) {
		c := raised()
		judge(c, start, at(1050, 0))
		if got, want := c.groups[0].rate.perSecond, 1050*1.05; math.Abs(got-want) > 1e-6 {
			t.Errorf("the next step gives %v, want %v", got, want)
		}
		judge(c, start, at(1102.5, 0))
		if got, want := c.groups[0].rate.perSecond, 1050*1.05*1.2; math.Abs(got-want) > 1e-6 {
			t.Errorf("the step after it gives %v, want %v", got, want)
		}
	})
	t.Run("not followed yet", func(t *testing.T) {
		c := raised()
		judge(c, start, at(1010, 0)) // most of it may have been started before
		if r := c.groups[0].rate; r.perSecond != 1050 || !r.probe.active {
			t.Errorf("got %v, probe %v, want 1050 until a round shows more", r.perSecond, r.probe.active)
		}
		judge(c, start, at(1010, 0)) // all of this was started since, and nothing refused
		if got, want := c.groups[0].rate.perSecond, 1050*1.05; math.Abs(got-want) > 1e-6 {
			t.Errorf("a round later got %v, want the next step, %v", got, want)
		}
	})
	t.Run("not followed at all", func(t *testing.T) {
		c := raised()
		for range 3 {
			judge(c, start, at(800, 0))
		}
		if got := c.groups[0].rate.perSecond; got != 1050 {
			t.Errorf("got %v, want no step beyond 1050", got)
		}
	})
	t.Run("at the edge", func(t *testing.T) {
		c := raised()
		judge(c, start, at(1040, 10))
		if got := c.groups[0].rate.perSecond; math.Abs(got-0.99*1040) > 1e-6 || c.groups[0].rate.probe.active {
			t.Errorf("got %v, want %v and no probe", got, 0.99*1040)
		}
	})
	t.Run("refused", func(t *testing.T) {
		c := raised()
		judge(c, start, at(1010, 40))
		if r := c.groups[0].rate; math.Abs(r.perSecond-0.99*1010) > 1e-6 || r.state != protocol.CongestionAvoidance || !r.probe.due.After(start) {
			t.Errorf("got %v in %s, want just below what was accepted", r.perSecond, r.state)
		}
	})
}

// Without advanced flow control there is no rate at all, and the window answers.
func TestRoundWithoutAdvancedFlowControl(t *testing.T) {
	c := settledController(0)
	c.config.AdvancedFlowControl = false
	for _, s := range []Signal{refused(0.3), refused(0.3), refused(0.3), refused(1), refused(1)} {
		before := c.window.size
		judge(c, start, s)
		if c.groups[0].rate.perSecond != 0 {
			t.Fatalf("rate %v", c.groups[0].rate.perSecond)
		}
		if c.window.size > before {
			t.Fatalf("the window rose from %v to %v while throttled", before, c.window.size)
		}
	}
	if c.window.size != windowFloor || c.state(c.groups[0]) != protocol.Recovery {
		t.Errorf("window %v in %s after an outage, want the floor", c.window.size, c.state(c.groups[0]))
	}
	for range 8 {
		judge(c, start, with(func(s *Signal) { s.InFlight = int(c.window.size) }))
	}
	if c.window.size < 30 || c.state(c.groups[0]) != protocol.CongestionAvoidance {
		t.Errorf("window %v in %s after eight clean rounds", c.window.size, c.state(c.groups[0]))
	}
}

// Whatever a round tells, what is decided is usable.
func TestRoundStaysBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := protocol.DefaultConfig()
		config.AdvancedFlowControl = rapid.Bool().Draw(t, "advanced")
		config.GlobalCongestionWindow = rapid.IntRange(1, protocol.MaxWindow).Draw(t, "window")
		config.CongestionSensitivity = rapid.Float64Range(0, 0.999).Draw(t, "sensitivity")
		config.RecoveryAggressiveness = rapid.Float64Range(0.1, 10).Draw(t, "aggressiveness")
		c := fresh(config)
		for _, name := range []string{"b", "c", "d"} {
			c.groups[0].join(&lane{name: name})
		}
		lanes := slices.Clone(c.groups[0].lanes)
		const floor = 1 // of a path that even windowFloor overloads
		now := start
		rate := rapid.OneOf(rapid.Float64Range(0, 1e5), rapid.Just(0.0), rapid.Just(float64(protocol.MaxCounter)))
		count := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, protocol.MaxCounter))
		for range 30 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "passed")))
			total := Signal{
				Latency:  time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "latency")),
				InFlight: rapid.IntRange(0, protocol.MaxWindow).Draw(t, "inFlight"), SenderLimited: rapid.Bool().Draw(t, "limited"),
			}
			for _, l := range lanes {
				l.signal = Signal{
					Started: rate.Draw(t, "started"), Accepted: rate.Draw(t, "accepted"), Throttled: rate.Draw(t, "throttled"),
					Failed: rate.Draw(t, "failed"), Bytes: rate.Draw(t, "bytes"),
					Completions: count.Draw(t, "completions"), Throttles: count.Draw(t, "throttles"),
				}
				total.add(l.signal)
			}
			c.Round(now, total)
			if !(c.window.size >= floor) || c.window.size > protocol.MaxWindow {
				t.Fatalf("window %v, must be between %d and %d", c.window.size, floor, protocol.MaxWindow)
			}
			checkGroups(t, c, lanes)
		}
	})
}

// checkGroups finds lanes that are not in one group, and rates that cannot be.
func checkGroups(t *rapid.T, c *GlobalCongestionController, lanes []*lane) {
	if len(c.groups) > protocol.MaxGroups {
		t.Fatalf("%d groups", len(c.groups))
	}
	members := 0
	for i, g := range c.groups {
		members += len(g.lanes)
		for _, l := range g.lanes {
			if l.group != g {
				t.Fatalf("lane %s is listed in a group that it is not in", l.name)
			}
		}
		if r := g.rate.perSecond; !(r >= 0) || math.IsInf(r, 0) || r > 0 && !c.config.AdvancedFlowControl {
			t.Fatalf("rate %v", r)
		}
		if i > 0 && g.name == groupName {
			t.Fatalf("two groups are named %s", g.name)
		}
	}
	if members != len(lanes) {
		t.Fatalf("%d lanes are in groups, of %d", members, len(lanes))
	}
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

// The smallest latency is sound once more gets through than was in flight when it was
// seen, also when it was seen again later with fewer in flight.
func TestTheBaseLatencyIsSoundWithoutADrain(t *testing.T) {
	var m pathModel
	m.learningRate = 0.1
	m.observe(start, clean(), false)
	m.observe(start, clean(), false)
	if m.sound() {
		t.Fatal("sound, though as much was in flight as fills the path if it is right")
	}
	m.observe(start, with(func(s *Signal) { s.InFlight, s.Accepted, s.Bytes, s.Started = 40, 400, 400<<20, 400 }), false)
	m.observe(start, clean(), false)
	if !m.sound() {
		t.Error("not sound, though the latency was the same with 40 in flight, and 100 get through at a time")
	}
}

// A latency that stays high though fewer are sent is no queue: a drain shows it, and
// the window comes back.
func TestSlowerPathIsNoQueue(t *testing.T) {
	c := settledController(0)
	now := start
	for range 60 {
		now = now.Add(time.Second)
		x := c.window.size / 0.4
		judge(c, now, with(func(s *Signal) {
			s.Started, s.Accepted, s.Bytes = x, x, x*float64(1<<20)
			s.InFlight, s.Latency = int(c.window.size), 400*time.Millisecond
		}))
	}
	if math.Abs(c.path.base()-0.4) > 0.01 || c.window.size < 100 {
		t.Errorf("the base latency is %v s, the window %v, want 0.4 and more than 100", c.path.base(), c.window.size)
	}
}

// A first window that overfills the path hides the latency without a queue; drains
// find it.
func TestDrainsFindTheBaseLatency(t *testing.T) {
	c := fresh(protocol.DefaultConfig())
	now := start
	for range 60 {
		now = now.Add(3 * time.Second)
		latency := max(0.2, c.window.size/20) // 20 per second, 0.2 s each
		judge(c, now, with(func(s *Signal) {
			x := c.window.size / latency
			s.Started, s.Accepted, s.Bytes = x, x, x*float64(1<<20)
			s.InFlight, s.Latency = int(c.window.size), time.Duration(latency*float64(time.Second))
		}))
	}
	if c.path.base() > 0.21 || c.window.size > 10 {
		t.Errorf("the base latency is %v s, the window %v, want 0.2 and at most 10", c.path.base(), c.window.size)
	}
}

// The first to end are the fastest: a round in which many were started and few ended
// tells of no latency.
func TestYoungRoundsAreNoBase(t *testing.T) {
	c := settledController(0)
	judge(c, start, with(func(s *Signal) { s.Accepted, s.Latency = 500, 50*time.Millisecond }))
	if c.path.base() != 0.1 {
		t.Errorf("the base latency is %v s, want 0.1", c.path.base())
	}
}

// A thin path has few requests in any round; many such rounds tell its latency.
func TestMediansOfFewLowerTheBaseInTime(t *testing.T) {
	c := settledController(0)
	few := with(func(s *Signal) { s.Completions, s.Latency = 6, 50*time.Millisecond })
	c.path.observe(start, few, false)
	if got := c.path.base(); got < 0.095 {
		t.Errorf("six requests lowered the base latency to %v s, want hardly below 0.1", got)
	}
	for range 50 {
		c.path.observe(start, few, false)
	}
	if got := c.path.base(); got > 0.055 {
		t.Errorf("the base latency is %v s after fifty rounds at 0.05", got)
	}
}

// The median of a few requests lies off by chance; were it taken for the latency without
// a queue, every later round would read as one.
func TestMediansOfFewHardlyLowerTheBase(t *testing.T) {
	few := func(accepted, refused int64) Signal {
		return with(func(s *Signal) {
			s.Latency, s.Completions = 60*time.Millisecond, accepted+refused
			s.Throttled = s.Accepted * float64(refused) / float64(accepted)
		})
	}
	for name, s := range map[string]Signal{"few": few(25, 0), "few among refusals": few(25, 100)} {
		c := settledController(0)
		c.path.observe(start, s, false)
		if c.path.base() < 0.089 {
			t.Errorf("%s: the base latency is %v s, want 0.1 or a quarter of the way down", name, c.path.base())
		}
	}
}

// A window that shrinks for a queue and finds the latency as it was has measured its
// smallest latency wrong.
func TestAShrinkingWindowFindsThatThereWasNoQueue(t *testing.T) {
	c := settledController(0)
	c.path.bases[c.path.SizeClass].seconds = 0.06
	now := start
	before := c.window.size // what is in flight lags by a round
	for round := 0; c.path.base() < 0.09; round++ {
		if round == 12 {
			t.Fatalf("after %d rounds the base latency is %v s, want 0.1", round, c.path.base())
		}
		now = now.Add(time.Second)
		window := c.window.size
		judge(c, now, with(func(s *Signal) {
			x := window / 0.1
			s.Started, s.Accepted, s.Bytes, s.InFlight = x, x, x*float64(1<<20), int(before)
		}))
		before = window
	}
	if c.window.draining {
		t.Error("what was found is measured once more")
	}
}

// What was in flight before rounds of another kind is not compared with: the window may
// have moved for other reasons.
func TestOnlyRoundsInARowAreCompared(t *testing.T) {
	c := settledController(0)
	judge(c, start, slowed(200*time.Millisecond))
	judge(c, start, with(func(s *Signal) { s.InFlight, s.SenderLimited = 10, true }))
	c.window.size = 40
	judge(c, start, with(func(s *Signal) { s.InFlight, s.Latency = 40, 200*time.Millisecond }))
	if c.path.base() != 0.1 {
		t.Errorf("the base latency is %v s, want 0.1 as before", c.path.base())
	}
}

// Requests that time one another out on a thin path are sent fewer at a time, in
// the end alone; once the path carries more, the window has its floor again.
func TestTimeOutsShrinkTheWindow(t *testing.T) {
	c := settledController(0)
	c.window.size = 16
	lost := with(func(s *Signal) { s.Accepted, s.Bytes, s.Failed, s.Latency = 0, 0, 10, 0 })
	alone := with(func(s *Signal) { s.InFlight = int(c.window.size) })
	for range 8 {
		for range starvedRounds {
			judge(c, start, lost)
			if c.bound() < 1 {
				t.Fatal("no request is left that could find out whether the path carries any")
			}
		}
		judge(c, start, alone) // the outage seems to be over
	}
	if c.window.size >= windowFloor {
		t.Errorf("the window is still %v", c.window.size)
	}
	for range 10 {
		judge(c, start, with(func(s *Signal) { s.InFlight = int(c.window.size) }))
	}
	if c.window.size < windowFloor || c.floor() != windowFloor {
		t.Errorf("the window is %v, its floor %v after clean rounds", c.window.size, c.floor())
	}
}

// Once the rate has led back from an outage without refusals the window is what it was,
// if that was proven since the outage before: where requests time out at any window, it
// grows from where that left it.
func TestTheWindowIsRestoredAfterAnOutage(t *testing.T) {
	c := settledController(0)
	now := start
	round := func(s Signal) {
		now = now.Add(time.Second)
		judge(c, now, s)
	}
	lost := with(func(s *Signal) { s.Accepted, s.Bytes, s.Failed, s.Latency = 0, 0, 10, 0 })
	few := with(func(s *Signal) { s.Started, s.Accepted, s.Bytes, s.InFlight = 10, 10, 10<<20, 4 })
	outage := func() (least float64) {
		for range 3 * starvedRounds {
			round(lost)
		}
		least = c.window.size
		for range 10 {
			if round(few); c.groups[0].rate.state == protocol.CongestionAvoidance {
				return least
			}
			if c.window.size != least {
				t.Errorf("the window is %v while the rate is in %s, want %v until it has led back", c.window.size, c.groups[0].rate.state, least)
			}
		}
		t.Fatal("the rate has not led back")
		return 0
	}
	round(clean())
	before := c.window.good
	if least := outage(); least >= before || c.window.size != before {
		t.Errorf("the window is %v in an outage and %v after it, want less than the %v of before, and the same", least, c.window.size, before)
	}
	if least := outage(); c.window.size != least {
		t.Errorf("the window goes from %v to %v after a second outage, though nothing of that size was clean since", least, c.window.size)
	}
	for name, unproven := range map[string]Signal{
		"few requests":              with(func(s *Signal) { s.Completions = manyRequests / 2 }),
		"requests that mostly fail": with(func(s *Signal) { s.Failed = 2 * s.Accepted }),
	} {
		c.window.size = 100
		round(unproven)
		if least := outage(); c.window.size != least {
			t.Errorf("after %s, the window goes from %v to %v after an outage", name, least, c.window.size)
		}
	}
}

// What one group loses is no outage while another gets through: the window is not to be
// restored for it, and rounds do not become too short for the others.
func TestAnOutageIsOneOfAllGroups(t *testing.T) {
	c := settledController(0)
	dark := c.addGroup()
	dark.join(&lane{name: "b"})
	judge(c, start, clean())
	for range 3 * starvedRounds {
		dark.lanes[0].signal = Signal{Started: 10, Failed: 10, Completions: 20}
		judge(c, start, clean())
	}
	if dark.rate.state != protocol.Recovery {
		t.Fatalf("the group that gets nothing through is in %s, want recovery", dark.rate.state)
	}
	if c.window.proven == 0 || c.window.resume != 0 {
		t.Errorf("the window is proven at %v, to resume at %v, want the outage to be the group's alone", c.window.proven, c.window.resume)
	}
	if c.recovering() {
		t.Error("rounds do not wait for the latency of the group that gets through")
	}
}

// In an outage the requests that came back last took longest, and no round waits for
// as long.
func TestNoRoundWaitsForTheRequestsOfAnOutage(t *testing.T) {
	c := settledController(900)
	judge(c, start, with(func(s *Signal) { s.Accepted, s.Latency = 10, 5*time.Second }))
	if got := c.length(time.Second); got < 5*time.Second {
		t.Errorf("a round lasts %v while requests take 5 s, want as long at least", got)
	}
	judge(c, start, refused(1))
	if got := c.length(time.Second); got > time.Second {
		t.Errorf("a round lasts %v in an outage, want no more than a report interval", got)
	}
}

// A drain goes as far below what fills the path as shows that the path is not full.
func TestADrainIsDeepEnough(t *testing.T) {
	c := settledController(0)
	c.window.size = 180 // of a pipe of 100, so that drainShare alone leaves 99
	c.drain(start, with(func(s *Signal) { s.InFlight, s.Latency = 180, 180*time.Millisecond }))
	if fullPipe*c.window.size >= c.path.pipe() {
		t.Errorf("the window is drained to %v of a pipe of %v", c.window.size, c.path.pipe())
	}
}

// Where some requests are in time and most are not, fewer are sent; where most fail at
// once, it is for another reason.
func TestMostlyTimeOutsShrinkTheWindow(t *testing.T) {
	for name, test := range map[string]struct {
		busy   float64
		shrink bool
	}{
		"failures take long": {busy: 100, shrink: true},
		"failures are fast":  {busy: 20},
	} {
		c := settledController(0)
		signal := with(func(s *Signal) {
			s.Started, s.Accepted, s.Failed, s.Busy, s.InFlight = 400, 100, 300, test.busy, 100
			s.Bytes = 100 << 20
		})
		for range 12 {
			judge(c, start, signal)
		}
		if shrunk := c.window.size < windowFloor; shrunk != test.shrink {
			t.Errorf("%s: the window is %v", name, c.window.size)
		}
	}
}

// The first requests to end are the fastest, so a round lasts until as many have ended as
// were in flight before it, as far as patience goes.
func TestARoundLastsUntilWhatWasInFlightHasEnded(t *testing.T) {
	const interval = 500 * time.Millisecond
	c := settledController(0)
	judge(c, start, with(func(s *Signal) { s.Busy = 100 }))
	length := c.length(interval)
	c.begin(start)
	c.completions = 80
	if c.over(start.Add(length), interval, 1) {
		t.Error("the round ended with 80 of 100 requests")
	}
	if !c.over(start.Add(roundPatience*length), interval, 1) {
		t.Error("the round waits for ever for the others")
	}
	c.completions += 40
	if !c.over(start.Add(length), interval, 1) {
		t.Error("the round goes on though all that was in flight has ended")
	}
}

// What slow start leaves in flight is still to come back in the round after it.
func TestTheRoundAfterSlowStartIsNotJudged(t *testing.T) {
	c := fresh(protocol.DefaultConfig())
	judge(c, start, with(func(s *Signal) { s.InFlight = 32 }))
	queued := with(func(s *Signal) { s.InFlight, s.Latency = 64, 200*time.Millisecond })
	judge(c, start.Add(time.Second), queued)
	if c.window.state != protocol.CongestionAvoidance {
		t.Fatalf("the window of %v is in %s, want slow start to end at a queue", c.window.size, c.window.state)
	}
	before := c.window.size
	worse := with(func(s *Signal) { s.InFlight, s.Latency = 64, 400*time.Millisecond })
	judge(c, start.Add(2*time.Second), worse)
	if c.window.size != before {
		t.Errorf("the window went from %v to %v for the requests of slow start", before, c.window.size)
	}
	judge(c, start.Add(3*time.Second), with(func(s *Signal) { s.InFlight, s.Latency = int(before), 400*time.Millisecond }))
	if c.window.size >= before {
		t.Errorf("the window stays at %v though a later round shows a queue", c.window.size)
	}
}

// Rates of short rounds scatter. Were the rate what the least of them accepted it would
// sink round by round; and where it does not limit, what was accepted says nothing of it.
func TestTheEdgeIsLeftByWhatIsRefused(t *testing.T) {
	edge := with(func(s *Signal) {
		s.Started, s.Accepted, s.Throttled, s.Throttles = 930, 920, 9, 9
	})
	c := settledController(1000)
	judge(c, start, edge)
	if got := c.groups[0].rate.perSecond; got >= 1000 || got < 985 {
		t.Errorf("the rate is %.0f, want one in a hundred less than 1000", got)
	}
	c = settledController(1000)
	judge(c, start, with(func(s *Signal) { s.Started, s.Accepted, s.Throttled, s.Throttles = 500, 490, 9, 9 }))
	if got := c.groups[0].rate.perSecond; got != 1000 {
		t.Errorf("the rate is %.0f after a round that it did not limit, want 1000", got)
	}
}

// The first steps of a probe end at any refusal, that may be the edge. Later ones go far,
// where a single refusal is a coincidence of starts.
func TestASingleRefusalEndsOnlyAShortProbe(t *testing.T) {
	refusal := with(func(s *Signal) {
		s.Started, s.Accepted, s.Throttled, s.Throttles = 1050, 1049, 0.5, 1
	})
	for won, active := range map[int]bool{0: false, 1: false, 2: true} {
		c := settledController(1000)
		r := &c.groups[0].rate
		r.probe.won = won
		r.raise(clean(), c.view(clean()))
		judge(c, start, refusal)
		if r.probe.active != active {
			t.Errorf("after %d steps won the probe goes on: %v, want %v", won, r.probe.active, active)
		}
	}
}

// A small group that is refused does not keep the others from finding their rate.
func TestSlowStartGoesOnForTheOthers(t *testing.T) {
	for share, want := range map[float64]float64{0.1: 64, 0.6: 32} {
		c := fresh(protocol.DefaultConfig())
		c.measured, c.begun = true, true
		small := c.addGroup()
		small.join(&lane{name: "b"})
		small.lanes[0].signal = Signal{
			Started: 1000 * share, Accepted: 900 * share, Throttled: 100 * share,
			Bytes: 900 * share * (1 << 20), Completions: 1000, Throttles: 100,
		}
		rest := with(func(s *Signal) { s.Started, s.Accepted = 1000*(1-share), 1000*(1-share) })
		c.groups[0].lanes[0].signal = rest
		all := rest
		all.add(small.lanes[0].signal)
		all.InFlight = 32
		c.Round(start, all)
		if c.window.size != want {
			t.Errorf("the window is %v after a round in which a group with %v of the requests was refused, want %v", c.window.size, share, want)
		}
	}
}

// Soundness needs the least that was in flight where the latency was seen; where few
// workers reported, Little's law tells what the others had.
func TestTheLeastInFlightIsNotWhatFewReported(t *testing.T) {
	b := baseLatency{seconds: 0.1, inFlight: 100}
	b.confirm(with(func(s *Signal) { s.InFlight = 5 })) // 1000/s at 100 ms
	if b.inFlight != 100 {
		t.Errorf("%v in flight, want 100", b.inFlight)
	}
	b.confirm(with(func(s *Signal) { s.InFlight, s.Accepted = 60, 600 }))
	if b.inFlight != 60 {
		t.Errorf("%v in flight, want 60", b.inFlight)
	}
}

// An outage ends a drain, whose window is no measure of anything.
func TestAnOutageEndsADrain(t *testing.T) {
	c := settledController(0)
	judge(c, start, clean())
	before := c.window.good
	c.drain(start, clean())
	for range 3 * starvedRounds {
		judge(c, start, with(func(s *Signal) { s.Accepted, s.Bytes, s.Failed, s.Latency = 0, 0, 10, 0 }))
	}
	if w := c.window; w.draining || w.resume != before {
		t.Errorf("draining: %v, to resume at %v, want no drain and the %v that was proven", w.draining, w.resume, before)
	}
}

// What rates have let shrink is no longer proven.
func TestAWindowIsProvenNoLargerThanRatesLeaveIt(t *testing.T) {
	c := settledController(200)
	c.window.proven = 100
	for range 30 {
		judge(c, start, with(func(s *Signal) { s.Started, s.Accepted, s.InFlight, s.Bytes = 200, 200, 20, 200<<20 }))
	}
	if w := c.window; w.size > 50 || w.proven > w.size {
		t.Errorf("the window is %v, proven at %v", w.size, w.proven)
	}
}

// A drain does not go so deep at once that next to nothing is sent, however small the
// pipe is taken for.
func TestADrainHasADepth(t *testing.T) {
	c := settledController(0)
	c.window.size = 1000 // of a pipe of 100
	c.drain(start, with(func(s *Signal) { s.InFlight = 1000 }))
	if got := c.window.size; got != drainLeast*1000 {
		t.Errorf("the window is drained from 1000 to %v, want %v", got, drainLeast*1000)
	}
}

// Where the path carries less than slow start has just shown that it can, with the window in
// use all the time, it is not full: what a request takes then is the smallest latency,
// whatever the first few took.
func TestAPathThatIsNotFullShowsTheBaseLatency(t *testing.T) {
	for name, test := range map[string]struct{ accepted, used, want float64 }{
		"not full":        {700, 1, 0.1},
		"full":            {950, 1, 0.07},
		"a burst is over": {700, 0.5, 0.07},
	} {
		c := fresh(protocol.DefaultConfig())
		judge(c, start, with(func(s *Signal) {
			s.Started, s.Accepted, s.Bytes, s.InFlight, s.Latency = 400, 400, 400<<20, 32, 70*time.Millisecond
		}))
		judge(c, start.Add(time.Second), with(func(s *Signal) { s.InFlight, s.Latency = 64, 140*time.Millisecond }))
		if c.window.state != protocol.CongestionAvoidance {
			t.Fatal("slow start goes on at a queue")
		}
		size := c.window.size
		for i := range 2 {
			judge(c, start.Add(time.Duration(2+i)*time.Second), with(func(s *Signal) {
				s.Started, s.Accepted, s.Bytes = test.accepted, test.accepted, test.accepted*(1<<20)
				s.InFlight, s.Busy = int(size), test.used*size
			}))
		}
		if got := c.path.base(); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: the base latency is %v s, want %v", name, got, test.want)
		}
	}
}
