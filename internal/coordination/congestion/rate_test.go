package congestion

import (
	"math"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

func TestRoundSteersTheRate(t *testing.T) {
	due := func() *GlobalCongestionController {
		c := settledController(1000)
		c.groups[0].rate.probe.due = start
		return c
	}
	for name, test := range map[string]roundTest{
		"throttling cuts to what was accepted": {
			state: after(0), signal: refused(0.05), wantState: protocol.FastRecovery,
			wantWindow: 100, wantRate: 0.99 * 950, wantCause: ReasonThrottled,
		},
		"an outage goes straight to recovery": {
			state: after(900), signal: refused(1), wantState: protocol.Recovery,
			wantWindow: 100, wantRate: 5, wantCause: ReasonNoSuccess,
		},
		"a clean round ends fast recovery": {
			state: after(0, refused(0.05)), signal: clean(), wantState: protocol.CongestionAvoidance,
			wantWindow: 112, wantRate: 0.99 * 950, wantCause: ReasonClean,
		},
		"throttling right after a cut was sent before it": {
			state: after(0, refused(0.05)), signal: refused(0.4), wantState: protocol.FastRecovery, wantWindow: 112, wantRate: 0.99 * 950,
		},
		"heavy throttling after a cut is persistent": {
			state: after(0, refused(0.05), refused(0.05)), signal: refused(0.4), wantState: protocol.Recovery,
			wantWindow: 137, wantRate: 300, wantCause: ReasonPersistentThrottling,
		},
		"the dark goes on": {
			state: after(900, refused(1)), signal: refused(1), wantState: protocol.Recovery, wantWindow: 100, wantRate: 5,
		},
		// Four times the rate, and an eighth of the 1000 of before.
		"the first success after an outage": {
			state: after(900, refused(1)), signal: clean(), wantState: protocol.SlowStart,
			wantWindow: 112, wantRate: 125, wantCause: ReasonClean,
		},
		"then the rate grows": {
			state: after(900, refused(1), clean()), signal: clean(), wantState: protocol.SlowStart, wantWindow: 137, wantRate: 500,
		},
		"until it is what it was": {
			state: after(900, refused(1), clean(), clean()), signal: clean(), wantState: protocol.CongestionAvoidance,
			wantWindow: 137, wantRate: 900, wantCause: ReasonRegained,
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
		c.Begin(start)
		late := start.Add(3 * time.Second) // the workers have only now begun
		c.Over(late, 500*time.Millisecond, 0)
		c.completions, c.throttles = 14, 14
		if c.Over(late.Add(100*time.Millisecond), 500*time.Millisecond, 1) {
			t.Error("the first round ended before what was accepted could come back")
		}
		if !c.Over(late.Add(1500*time.Millisecond), 500*time.Millisecond, 1) {
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
		c.Begin(start)
		if c.completions, c.throttles = 14, 14; c.Over(start.Add(100*time.Millisecond), 500*time.Millisecond, 0) {
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
		if got := r.fastReporting(r.probe.due.Add(-test.before)); got != test.want {
			t.Errorf("%v before the probe: fastReporting is %v", test.before, got)
		}
	}
	judge(c, start, with(func(s *Signal) { s.Started, s.Accepted = 500, 500 }))
	if r.fastReporting(r.probe.due) {
		t.Error("reports are frequent for a probe of a rate that does not limit")
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
