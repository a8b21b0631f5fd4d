package congestion_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// A prefix is decided on when its rate changes, and not by every round.
func TestDecidedIsWhatHasAnotherRate(t *testing.T) {
	c := congestion.NewGlobalCongestionController(protocol.DefaultConfig(), rand.New(rand.NewPCG(1, 1)), 0)
	m := &congestion.Member{ID: protocol.Member{Prefix: "a"}}
	c.Admit(m)
	now, changed, stood := epoch, 0, 0
	for round := range 60 {
		rate := c.Groups()[0].Rate
		w := world{members: []*congestion.Member{m}, latency: 100 * time.Millisecond, length: time.Second, policers: []policer{{[]string{"a"}, 200}}}
		now = now.Add(w.length)
		c.Round(now, w.answer(c, roundOf(t, "-")))
		if m.Decided() != (c.Groups()[0].Rate != rate) {
			t.Fatalf("round %d: decided is %v, the rate %v before and %v after", round, m.Decided(), rate, c.Groups()[0].Rate)
		}
		if m.Decided() {
			changed++
		} else {
			stood++
		}
	}
	if changed == 0 || stood == 0 {
		t.Errorf("the rate changed in %d rounds and stood in %d; both must occur", changed, stood)
	}
}

func roundOf(t *testing.T, line string) round {
	t.Helper()
	r, err := parseRound(line)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
