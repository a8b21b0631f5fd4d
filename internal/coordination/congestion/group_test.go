package congestion

import (
	"fmt"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// policers is a controller whose lanes start their part of the group's rate, or 500
// per second without one, at policers of their own or shared.
type policers struct {
	c     *GlobalCongestionController
	now   time.Time
	lanes []*Member
	of    []int     // policer of each lane
	rates []float64 // of each policer
}

func newPolicers(of []int, rates ...float64) *policers {
	p := &policers{c: settledController(0), now: start, of: of, rates: rates}
	p.lanes = p.c.groups[0].members
	for i := 1; i < len(of); i++ {
		p.c.groups[0].join(&Member{ID: protocol.Member{Prefix: fmt.Sprint(i)}})
	}
	p.lanes = append([]*Member{}, p.c.groups[0].members...)
	return p
}

// round passes a second.
func (p *policers) round() {
	p.now = p.now.Add(time.Second)
	started, asked := make([]float64, len(p.lanes)), make([]float64, len(p.rates))
	for i, l := range p.lanes {
		started[i] = 500
		if r := l.group.rate.perSecond; r > 0 {
			started[i] = r / float64(len(l.group.members))
		}
		asked[p.of[i]] += started[i]
	}
	total := Signal{InFlight: 100, Latency: 100 * time.Millisecond}
	for i, l := range p.lanes {
		accepted := started[i] * min(1, p.rates[p.of[i]]/asked[p.of[i]])
		refused := started[i] - accepted
		l.Signal = Signal{
			Started: started[i], Accepted: accepted, Throttled: refused, Bytes: accepted * (1 << 20),
			Completions: int64(started[i]), Throttles: int64(refused),
		}
		total.Add(l.Signal)
	}
	p.c.Round(p.now, total)
}

func (p *policers) accepted() float64 {
	sum := 0.0
	for _, l := range p.lanes {
		sum += l.Signal.Accepted
	}
	return sum
}

// Lanes of two policers, one of which refuses, part and find each its own rate.
func TestGroupsPart(t *testing.T) {
	p := newPolicers([]int{0, 0, 1, 1}, 100, 900)
	for range 60 {
		p.round()
	}
	if p.lanes[0].group != p.lanes[1].group || p.lanes[2].group != p.lanes[3].group || p.lanes[0].group == p.lanes[2].group {
		t.Errorf("groups %s %s %s %s", p.lanes[0].group.name, p.lanes[1].group.name, p.lanes[2].group.name, p.lanes[3].group.name)
	}
	if got := p.accepted(); got < 950 {
		t.Errorf("%.0f accepted of 1000 per second", got)
	}
}

// Lanes that share a policer stay together, however often it refuses them.
func TestGroupsStayTogether(t *testing.T) {
	p := newPolicers([]int{0, 0, 0, 0}, 700)
	for range 200 {
		p.round()
	}
	if n := len(p.c.groups); n != 1 {
		t.Errorf("%d groups of lanes that share a policer", n)
	}
}

// Groups that turn out to share a policer are merged.
func TestGroupsMerge(t *testing.T) {
	p := newPolicers([]int{0, 0, 1, 1}, 100, 900)
	for range 60 {
		p.round()
	}
	p.of, p.rates = []int{0, 0, 0, 0}, []float64{600}
	for range 300 {
		p.round()
	}
	if n := len(p.c.groups); n != 1 {
		t.Errorf("%d groups after their policers became one", n)
	}
}

// parted are two policers whose groups have parted.
func parted(t *testing.T) *policers {
	t.Helper()
	p := newPolicers([]int{0, 1}, 100, 900)
	for range 20 {
		p.round()
	}
	if len(p.c.groups) != 2 {
		t.Fatalf("%d groups, want 2", len(p.c.groups))
	}
	return p
}

// A group that sends nothing is given up.
func TestIdleGroupsDissolve(t *testing.T) {
	p := parted(t)
	idle := p.c.groups[1]
	for range 120 {
		p.now = p.now.Add(time.Second)
		for _, l := range p.lanes {
			l.Signal = clean()
			if l.group == idle {
				l.Signal = Signal{}
			}
		}
		p.c.Round(p.now, clean())
	}
	if len(p.c.groups) != 1 || p.lanes[0].group != p.c.groups[0] || p.lanes[1].group != p.c.groups[0] {
		t.Errorf("%d groups after two idle minutes", len(p.c.groups))
	}
}

// Two groups are alike if their refusals coincide more often than they would by chance,
// over the rounds in which both were loaded.
func TestAlike(t *testing.T) {
	for name, test := range map[string]struct {
		g, h, loaded uint16
		want         bool
	}{
		"always refused, so nothing tells":  {0xffff, 0xffff, 0xffff, false},
		"refused in the same rounds":        {0b1001_0010_0000_1000, 0b1001_0010_0000_1000, 0xffff, true},
		"refused in turn":                   {0b1010_1010_1010_1010, 0b0101_0101_0101_0101, 0xffff, false},
		"refused often, each by itself":     {0b1110_1101_1011_0111, 0b1011_0111_1110_1101, 0xffff, false},
		"together once, and else never":     {0b1, 0b1, 0xffff, false},
		"the same rounds, one never loaded": {0b1001_0010_0000_1000, 0b1001_0010_0000_1000, 0, false},
	} {
		g, h := &group{refused: test.g, loaded: 0xffff}, &group{refused: test.h, loaded: test.loaded}
		if g.alike(h) != test.want || h.alike(g) != test.want {
			t.Errorf("%s: alike is %v, want %v", name, g.alike(h), test.want)
		}
	}
}

// Groups of policers that both refuse a few in every round stay apart.
func TestGroupsAtTheEdgeStayApart(t *testing.T) {
	p := parted(t)
	for _, g := range p.c.groups {
		g.refused, g.loaded = 0xffff, 0xffff
	}
	for range 40 {
		p.now = p.now.Add(time.Second)
		total := Signal{InFlight: 100, Latency: 100 * time.Millisecond}
		for _, l := range p.lanes {
			r := l.group.rate.perSecond
			l.Signal = Signal{Started: r, Accepted: 0.997 * r, Throttled: 0.003 * r, Bytes: r * (1 << 20), Completions: 2000, Throttles: 6}
			total.Add(l.Signal)
		}
		p.c.Round(p.now, total)
	}
	if len(p.c.groups) != 2 {
		t.Errorf("%d groups after forty rounds in which both were refused, want 2", len(p.c.groups))
	}
}
