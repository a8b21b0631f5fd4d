package congestion

import (
	"math"
	"testing"
	"time"

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
	c := NewGlobalCongestionController(protocol.DefaultConfig(), newRand(1), 0)
	c.groups[0].join(&Member{ID: protocol.Member{Prefix: "a"}})
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
func judge(c *GlobalCongestionController, now time.Time, s Signal) protocol.Decision {
	c.groups[0].members[0].Signal = s
	return c.Round(now, s)
}

// fresh is a controller in slow start with one lane.
func fresh(config protocol.Config) *GlobalCongestionController {
	c := NewGlobalCongestionController(config, newRand(1), 0)
	c.groups[0].join(&Member{ID: protocol.Member{Prefix: "a"}})
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
	wantCause  protocol.Reason
}

func (test roundTest) run(t *testing.T) {
	c, cause := test.state(), protocol.Reason("")
	for _, change := range judge(c, start, test.signal).Transitions {
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

func TestSlowStartStops(t *testing.T) {
	tests := map[string]struct {
		next      func(s *Signal, round int)
		wantCause protocol.Reason
	}{
		"at a plateau": {func(*Signal, int) {}, ReasonPlateau},
		"at a queue": {func(s *Signal, round int) {
			s.Latency <<= round
			s.Accepted *= float64(int(1) << round)
		}, ReasonQueueGrowth},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := fresh(protocol.DefaultConfig())
			for round := range 10 {
				s := with(func(s *Signal) { s.InFlight = int(c.window.size) })
				test.next(&s, round)
				for _, change := range judge(c, start.Add(time.Duration(round)*time.Second), s).Transitions {
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
		if changes := judge(c, start, s).Transitions; changes != nil {
			t.Fatalf("left slow start at %v: %+v", c.window.size, changes)
		}
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
			if c.Bound() < 1 {
				t.Fatal("no request is left that could find out whether the path carries any")
			}
		}
		judge(c, start, alone) // the outage seems to be over
	}
	if c.window.size >= WindowFloor {
		t.Errorf("the window is still %v", c.window.size)
	}
	for range 10 {
		judge(c, start, with(func(s *Signal) { s.InFlight = int(c.window.size) }))
	}
	if c.window.size < WindowFloor || c.floor() != WindowFloor {
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
	dark.join(&Member{ID: protocol.Member{Prefix: "b"}})
	judge(c, start, clean())
	for range 3 * starvedRounds {
		dark.members[0].Signal = Signal{Started: 10, Failed: 10, Completions: 20}
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
		if shrunk := c.window.size < WindowFloor; shrunk != test.shrink {
			t.Errorf("%s: the window is %v", name, c.window.size)
		}
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

// A small group that is refused does not keep the others from finding their rate.
func TestSlowStartGoesOnForTheOthers(t *testing.T) {
	for share, want := range map[float64]float64{0.1: 64, 0.6: 32} {
		c := fresh(protocol.DefaultConfig())
		c.measured, c.begun = true, true
		small := c.addGroup()
		small.join(&Member{ID: protocol.Member{Prefix: "b"}})
		small.members[0].Signal = Signal{
			Started: 1000 * share, Accepted: 900 * share, Throttled: 100 * share,
			Bytes: 900 * share * (1 << 20), Completions: 1000, Throttles: 100,
		}
		rest := with(func(s *Signal) { s.Started, s.Accepted = 1000*(1-share), 1000*(1-share) })
		c.groups[0].members[0].Signal = rest
		all := rest
		all.Add(small.members[0].Signal)
		all.InFlight = 32
		c.Round(start, all)
		if c.window.size != want {
			t.Errorf("the window is %v after a round in which a group with %v of the requests was refused, want %v", c.window.size, share, want)
		}
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
