package congestion

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Whatever a round tells, what is decided is usable.
func TestRoundStaysBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := protocol.DefaultConfig()
		config.AdvancedFlowControl = rapid.Bool().Draw(t, "advanced")
		config.GlobalCongestionWindow = rapid.IntRange(1, protocol.MaxWindow).Draw(t, "window")
		config.CongestionSensitivity = rapid.Float64Range(0, 0.999).Draw(t, "sensitivity")
		config.RecoveryAggressiveness = rapid.Float64Range(0.1, 10).Draw(t, "aggressiveness")
		c := NewGlobalCongestionController(config, newRand(1), 0)
		for _, name := range []string{"a", "b", "c", "d"} {
			c.groups[0].join(&Member{ID: protocol.Member{Prefix: name}})
		}
		lanes := slices.Clone(c.groups[0].members)
		const floor = 1 // of a path that even WindowFloor overloads
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
				l.Signal = Signal{
					Started: rate.Draw(t, "started"), Accepted: rate.Draw(t, "accepted"), Throttled: rate.Draw(t, "throttled"),
					Failed: rate.Draw(t, "failed"), Bytes: rate.Draw(t, "bytes"),
					Completions: count.Draw(t, "completions"), Throttles: count.Draw(t, "throttles"),
				}
				total.Add(l.Signal)
			}
			checkReasons(t, c.Round(now, total))
			if !(c.window.size >= floor) || c.window.size > protocol.MaxWindow {
				t.Fatalf("window %v, must be between %d and %d", c.window.size, floor, protocol.MaxWindow)
			}
			checkGroups(t, c, lanes)
		}
	})
}

// checkReasons finds what a decision gives no reason for.
func checkReasons(t *rapid.T, d protocol.Decision) {
	if !d.Made() {
		t.Fatalf("the window goes from %d to %d for no reason", d.Window.Before, d.Window.Window)
	}
	for _, g := range d.Groups {
		if g.Reason == "" {
			t.Fatalf("the rate of group %s goes from %v to %v for no reason", g.Group, g.Before, g.Rate)
		}
	}
	for _, change := range d.Transitions {
		if change.Cause == "" || change.From == change.To {
			t.Fatalf("transition %+v", change)
		}
	}
}

// checkGroups finds lanes that are not in one group, and rates that cannot be.
func checkGroups(t *rapid.T, c *GlobalCongestionController, lanes []*Member) {
	if len(c.groups) > protocol.MaxGroups {
		t.Fatalf("%d groups", len(c.groups))
	}
	members := 0
	for i, g := range c.groups {
		members += len(g.members)
		for _, l := range g.members {
			if l.group != g {
				t.Fatalf("lane %s is listed in a group that it is not in", l.ID.Prefix)
			}
		}
		if r := g.rate.perSecond; !(r >= 0) || math.IsInf(r, 0) || r > 0 && !c.config.AdvancedFlowControl {
			t.Fatalf("rate %v", r)
		}
		if i > 0 && g.name == GroupName {
			t.Fatalf("two groups are named %s", g.name)
		}
	}
	if members != len(lanes) {
		t.Fatalf("%d lanes are in groups, of %d", members, len(lanes))
	}
}
