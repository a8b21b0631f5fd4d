package upload

import (
	"testing"
	"time"
)

func TestNothingIsLateBeforeEnoughIsKnown(t *testing.T) {
	var h hedger
	for n := range hedgeSamples {
		if late, known := h.begin(kind{}); known {
			t.Fatalf("after %d requests %v is late", n, late)
		}
		h.took(kind{}, 200*time.Millisecond)
	}
	if late, known := h.begin(kind{}); !known || late < 590*time.Millisecond || late > 610*time.Millisecond {
		t.Errorf("late is %v, %v, want three times the 99th percentile", late, known)
	}
	if late, known := h.begin(kind{size: 1}); known {
		t.Errorf("of another size %v is late", late)
	}
}

// TestLateFollowsTheTimes: what is slow in more than a hundredth of the requests is not late, and
// what was slow long ago does not count.
func TestLateFollowsTheTimes(t *testing.T) {
	var h hedger
	send := func(n int, slow int) {
		for i := range n {
			d := 10 * time.Millisecond
			if slow > 0 && i%slow == 0 {
				d = 5 * time.Second
			}
			h.took(kind{}, d)
		}
	}
	late := func() time.Duration { late, _ := h.begin(kind{}); return late }
	if send(2000, 1000); late() != leastLate {
		t.Errorf("with one slow answer in a thousand %v is late, want %v", late(), leastLate)
	}
	if send(2000, 50); late() < 14*time.Second {
		t.Errorf("with one slow answer in fifty %v is late, want more than they take", late())
	}
	if send(2*recentSamples+hedgeSamples, 0); late() != leastLate {
		t.Errorf("long after the slow answers %v is late, want %v", late(), leastLate)
	}
}

func TestAHundredthIsSentTwice(t *testing.T) {
	var h hedger
	taken := 0
	for range 10_000 {
		h.begin(kind{})
		if h.take() {
			taken++
		}
	}
	if taken > 100 || taken < 98 {
		t.Errorf("of 10,000 requests %d were sent twice, want a hundredth", taken)
	}
	for range 10_000 {
		h.begin(kind{})
	}
	for taken = 0; h.take(); taken++ {
	}
	if taken > mostHedges {
		t.Errorf("%d second attempts were saved up, of at most %d", taken, mostHedges)
	}
}

func TestNobodyWaitsForASpareRequest(t *testing.T) {
	g := NewGate()
	if _, ok := g.spare("prefix"); ok {
		t.Error("a prefix without a window has room")
	}
	g.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 1}})
	a, ok := g.spare("prefix")
	if !ok {
		t.Fatal("a window of 1 has no room")
	}
	if _, ok := g.spare("prefix"); ok {
		t.Error("a full window has room")
	}
	a.release()
	a.release()
	if a, ok = g.spare("prefix"); !ok {
		t.Fatal("what was released is not free")
	}
	a.release()
	g.Pace(Pace{Requests: 0.001})
	g.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 4}})
	for range 3 {
		if a, ok = g.spare("prefix"); ok {
			t.Cleanup(a.release)
		}
	}
	if ok {
		t.Error("a request went beyond the pace of the policy")
	}
}
