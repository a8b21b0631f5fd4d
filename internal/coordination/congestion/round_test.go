package congestion_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/coordination/congestion"
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
		c := congestion.NewGlobalCongestionController(config, rand.New(rand.NewPCG(1, 1)), 0)
		var members []*congestion.Member
		for _, name := range []string{"a", "b", "c", "d"} {
			m := &congestion.Member{ID: protocol.Member{Prefix: name}}
			c.Admit(m)
			members = append(members, m)
		}
		const floor = 1 // of a path that even WindowFloor overloads
		now := epoch
		rate := rapid.OneOf(rapid.Float64Range(0, 1e5), rapid.Just(0.0), rapid.Just(float64(protocol.MaxCounter)))
		count := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, protocol.MaxCounter))
		for range 30 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "passed")))
			total := congestion.Signal{
				Latency:  time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "latency")),
				InFlight: rapid.IntRange(0, protocol.MaxWindow).Draw(t, "inFlight"), SenderLimited: rapid.Bool().Draw(t, "limited"),
			}
			for _, m := range members {
				m.Signal = congestion.Signal{
					Started: rate.Draw(t, "started"), Accepted: rate.Draw(t, "accepted"), Throttled: rate.Draw(t, "throttled"),
					Failed: rate.Draw(t, "failed"), Bytes: rate.Draw(t, "bytes"),
					Completions: count.Draw(t, "completions"), Throttles: count.Draw(t, "throttles"),
				}
				total.Add(m.Signal)
			}
			checkReasons(t, c.Round(now, total))
			if window := c.Bound(); window < floor || window > protocol.MaxWindow {
				t.Fatalf("window %d, must be between %d and %d", window, floor, protocol.MaxWindow)
			}
			checkGroups(t, c, len(members))
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

// checkGroups finds prefixes that are not in one group, and rates that cannot be.
func checkGroups(t *rapid.T, c *congestion.GlobalCongestionController, prefixes int) {
	groups, members := c.Groups(), 0
	if len(groups) > protocol.MaxGroups {
		t.Fatalf("%d groups", len(groups))
	}
	for i, g := range groups {
		members += len(g.Members)
		for _, m := range g.Members {
			if m.Group() != g.Name {
				t.Fatalf("prefix %s is listed in group %s, and says %s", m.ID.Prefix, g.Name, m.Group())
			}
		}
		if !(g.Rate >= 0) || math.IsInf(g.Rate, 0) || g.Rate > 0 && !c.Config().AdvancedFlowControl {
			t.Fatalf("rate %v", g.Rate)
		}
		if i > 0 && g.Name == congestion.GroupName {
			t.Fatalf("two groups are named %s", g.Name)
		}
	}
	if members != prefixes {
		t.Fatalf("%d prefixes are in groups, of %d", members, prefixes)
	}
}
