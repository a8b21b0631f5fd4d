package lease

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// pair is a manager's ledger and its worker's holder, each by a clock of its own, with an
// API between them that the worker may be cut off from.
type pair struct {
	t                         *rapid.T
	now                       time.Duration // true time
	managerDrift, workerDrift float64

	ledger Ledger
	terms  Terms
	epoch  int64
	// decided is the newest grant, api the one that stands there: a grant is written some time
	// after it was decided, or never, if another is decided meanwhile. late is what a former leader
	// was writing when it ended.
	decided, api protocol.Grant
	late         *protocol.Grant
	report       *protocol.Report

	holder Holder
	acts   protocol.Grant
	cutOff bool
	leads  bool
	// widened: it had more coasting than under its lease.
	widened bool
}

func newPair(t *rapid.T) *pair {
	drift := rapid.Float64Range(-protocol.DriftBound, protocol.DriftBound)
	p := &pair{t: t, managerDrift: drift.Draw(t, "manager's drift"), workerDrift: drift.Draw(t, "worker's drift")}
	p.terms = Terms{Interval: time.Second, BaseInterval: time.Second}
	p.agree(10*time.Second, 40*time.Second)
	p.epoch, p.leads = 1, true
	p.holder = NewHolder(p.clock(p.workerDrift), 0)
	p.send()
	p.issue(16, 0, protocol.Pace{})
	p.write()
	p.send()
	return p
}

func (p *pair) clock(drift float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(float64(p.now) * (1 + drift)))
}

// write writes what was decided.
func (p *pair) write() { p.api = p.decided }

// issue decides a grant with so large a window.
func (p *pair) issue(window, coasting int, pace protocol.Pace) {
	now := p.clock(p.managerDrift)
	if p.report != nil {
		p.ledger.Take(now, *p.report)
		p.report = nil
	}
	p.decide(now, protocol.Grant{
		Epoch: p.epoch, Sequence: p.decided.Sequence + 1, AcknowledgedReport: p.ledger.LastReport(), Instance: "i",
		Duration: p.terms.Duration, Coasting: p.terms.Coasting, Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: window}}, CoastingWindow: coasting,
		Pace: pace,
	})
}

func (p *pair) decide(now time.Time, g protocol.Grant) {
	terms := p.terms
	terms.Lifetime, terms.Coasting = protocol.Lifetime(g.Duration), g.Coasting
	g.Charged = p.ledger.Unacknowledged(g)
	p.ledger.Issue(now, g, terms)
	p.decided = g
}

// agree changes for how long grants hold from now on.
func (p *pair) agree(duration, coasting time.Duration) {
	p.terms.Duration, p.terms.Coasting, p.terms.Lifetime = duration, coasting, protocol.Lifetime(duration)
}

// send reports, and takes in the answer, unless the worker is cut off.
func (p *pair) send() {
	now := p.clock(p.workerDrift)
	sequence := p.holder.Send(now)
	if p.cutOff {
		return
	}
	p.report = &protocol.Report{Instance: "i", Sequence: sequence, Epoch: p.acts.Epoch, GrantSequence: p.acts.Sequence}
	p.acts = p.api
	p.holder.Acknowledge(now, p.api.AcknowledgedReport, p.api.Duration, p.api.Coasting)
	p.holder.Confirm(now)
}

// using is how much the worker may have in flight.
func (p *pair) using() int {
	window := p.acts.Window()
	coasted := p.holder.Window(p.clock(p.workerDrift), window, p.acts.CoastingWindow)
	p.widened = p.widened || coasted > window
	switch p.holder.Phase(p.clock(p.workerDrift)) {
	case Held:
		return window
	case Coasting:
		return coasted
	case Isolated:
		return Half(coasted)
	case Expired:
		return min(window, 1)
	default:
		return 0
	}
}

// tick is the manager's: it finds out what is over, and what stands in the API.
func (p *pair) tick() {
	now := p.clock(p.managerDrift)
	p.adopt()
	p.ledger.Expire(now, true)
	p.ledger.Stored(now, p.api.ID())
}

// lead begins anew, from what stands in the API, where a write of the leader before may still land.
func (p *pair) lead(late bool) {
	p.late = nil
	if g := p.decided; late && p.api.ID().Before(g.ID()) {
		p.late = &g
	}
	p.epoch++
	p.ledger, p.report, p.decided = Ledger{}, nil, p.api
	p.adopt()
}

// adopt takes over what stands in the API, unless this leader wrote it.
func (p *pair) adopt() {
	if g := p.api; g.Epoch < p.epoch && p.ledger.Lacks(g.ID()) {
		p.ledger.Adopt(p.clock(p.managerDrift), g, g.Prefixes, p.terms)
		again := p.decided
		if again.Epoch < p.epoch {
			p.decided = g
			return
		}
		again.Sequence++
		p.decide(p.clock(p.managerDrift), again)
	}
}

// land has the write of the former leader replace its own.
func (p *pair) land() {
	if p.late != nil && p.api.Epoch == p.late.Epoch {
		p.api = *p.late
	}
	p.late = nil
}

// step is one of the manager's, that leads, or of the worker.
func (p *pair) step(kind int) {
	draw := func(low, high int, label string) int { return rapid.IntRange(low, high).Draw(p.t, label) }
	switch kind {
	case 0:
		p.cutOff = !p.cutOff
	case 1:
		if p.leads = !p.leads; p.leads {
			p.lead(draw(0, 1, "late") == 0)
		}
	case 2:
		if p.leads && p.ledger.Coasts() {
			p.tick()
			half := Halve(p.decided)
			half.Epoch = p.epoch
			p.decide(p.clock(p.managerDrift), half)
		}
	case 3, 4:
		if p.leads {
			p.tick()
			p.issue(draw(0, 20, "window"), draw(0, 40, "coasting"), protocol.Pace{Bytes: float64(draw(0, 3, "pace"))})
		}
	case 5: // nothing for longer than it coasts, or nearly
		p.now += time.Duration(draw(30, 60, "s")) * time.Second
	case 6, 7:
		if p.leads {
			p.write()
		}
	case 8:
		p.agree(time.Duration(draw(1, 20, "duration"))*time.Second, time.Duration(draw(0, 60, "coasting"))*time.Second)
	case 9:
		p.land()
	default:
		p.send()
	}
}

// check finds what the worker may do, and the manager does not charge.
func (p *pair) check(phase Phase) {
	using := p.using()
	if charged := p.ledger.Charge(); using > charged {
		p.t.Fatalf("%d may be in flight in phase %d, %d are charged", using, phase, charged)
	}
	if pace, charged := p.acts.Pace.Bytes, p.ledger.Pace().Bytes; using > 0 && (pace > charged || pace == 0 && !math.IsInf(charged, 1)) {
		p.t.Fatalf("%v may be sent per second in phase %d, 0 being any number, %v are charged", pace, phase, charged)
	}
}

// Whatever the worker goes on with, whether its manager is away, it is cut off, or a new
// leader begins: it is charged.
func TestWhatAWorkerUsesIsCharged(t *testing.T) {
	var seen []Phase
	widened, landed := false, false
	rapid.Check(t, func(t *rapid.T) {
		p := newPair(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			p.now += time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond
			before := p.api
			kind := rapid.IntRange(0, 14).Draw(t, "step")
			p.step(kind)
			phase := p.holder.Phase(p.clock(p.workerDrift))
			seen = append(seen, phase)
			landed = landed || kind == 9 && before.ID() != p.api.ID()
			if p.leads {
				p.tick()
				p.check(phase)
			}
		}
		widened = widened || p.widened
	})
	if !widened || !landed {
		t.Error("no worker ever had more coasting than under its lease, or no write came late")
	}
	for _, phase := range []Phase{Held, Coasting, Isolated, Expired} {
		if !slices.Contains(seen, phase) {
			t.Errorf("no worker was ever in phase %d", phase)
		}
	}
}

func TestHalveAndNarrow(t *testing.T) {
	for sum := range 40 {
		for first := range sum + 1 {
			g := protocol.Grant{Sequence: 3, Plan: true, Prefixes: []protocol.PrefixGrant{{Window: first, Rate: 8}, {Window: sum - first}}}
			h := Halve(g)
			if h.Window() != Half(sum) || h.Prefixes[0].Window > first || h.Prefixes[1].Window > sum-first {
				t.Fatalf("half of %d and %d is %+v", first, sum-first, h.Prefixes)
			}
			if h.Sequence != 4 || h.Plan || h.Prefixes[0].Rate != 4 || g.Window() != sum {
				t.Fatalf("got %+v of %+v", h, g)
			}
		}
	}
}

// What a worker may use coasting is charged from the moment a grant is adopted, or given to one that
// coasts already.
func TestTheCoastingWindowIsChargedAtOnce(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }
	terms := Terms{Interval: 2 * time.Second, BaseInterval: 2 * time.Second, Duration: 30 * time.Second, Coasting: time.Hour}
	terms.Lifetime = protocol.Lifetime(terms.Duration)
	g := protocol.Grant{Epoch: 1, Sequence: 1, AcknowledgedReport: 1, Instance: "i", Duration: terms.Duration, Coasting: terms.Coasting,
		Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 8}}, CoastingWindow: 16}
	var l Ledger
	l.Adopt(at(0), g, g.Prefixes, terms)
	if got := l.Charge(); got != 16 {
		t.Errorf("%d are charged for an adopted grant of 8, and 16 coasting", got)
	}
	l.Expire(at(36), true)
	g.Sequence, g.CoastingWindow = 2, 20
	l.Issue(at(40), g, terms)
	if got := l.Charge(); got != 20 {
		t.Errorf("%d are charged for a grant of 8, and 20 coasting, of a worker that coasts", got)
	}
}

// Once no drain goes on, what a grant of one allows coasting is charged before its worker may use it:
// the others may have been given the rest.
func TestTheCoastingWindowIsChargedAfterTheDrain(t *testing.T) {
	now := time.Unix(1000, 0)
	terms := Terms{Interval: 2 * time.Second, BaseInterval: 2 * time.Second, Duration: 30 * time.Second, Coasting: time.Hour}
	terms.Lifetime = protocol.Lifetime(terms.Duration)
	var l Ledger
	l.Take(now, protocol.Report{Instance: "i", Sequence: 1})
	l.Issue(now, protocol.Grant{Epoch: 1, Sequence: 1, AcknowledgedReport: 1, Instance: "i", Duration: terms.Duration, Coasting: terms.Coasting,
		Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 8}}, CoastingWindow: 16}, terms)
	if l.Expire(now, true); l.Charge() != 8 {
		t.Errorf("%d are charged in the drain, want 8", l.Charge())
	}
	if l.Expire(now, false); l.Charge() != 16 {
		t.Errorf("%d are charged after it, want 16", l.Charge())
	}
}

// A worker that coasted before a leader adopted its grant uses the next one's coasting window as soon as it has
// that grant: it acknowledges no report that would have the worker wait.
func TestTheCoastingWindowIsChargedBeforeAReport(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	terms := Terms{Interval: time.Second, BaseInterval: time.Second, Duration: 10 * time.Second, Coasting: 40 * time.Second}
	terms.Lifetime = protocol.Lifetime(terms.Duration)
	g := protocol.Grant{Epoch: 1, Sequence: 1, AcknowledgedReport: 1, Instance: "i", Duration: terms.Duration, Coasting: terms.Coasting,
		Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 8}}}
	var l Ledger
	l.Adopt(at(30), g, g.Prefixes, terms)
	g.Sequence, g.CoastingWindow = 2, 16
	l.Issue(at(31), g, terms)
	if l.Expire(at(31), true); l.Charge() != 16 {
		t.Errorf("%d are charged in the drain, want 16", l.Charge())
	}
}

// A worker that takes in a grant on which it may coast no more has its floor.
func TestAGrantThatIsOverLeavesTheFloor(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	terms := Terms{Interval: time.Second, BaseInterval: time.Second, Duration: 10 * time.Second, Coasting: 40 * time.Second}
	terms.Lifetime = protocol.Lifetime(terms.Duration)
	var l Ledger
	l.Take(at(0), protocol.Report{Instance: "i", Sequence: 1})
	l.Issue(at(60), protocol.Grant{Epoch: 1, Sequence: 1, AcknowledgedReport: 1, Instance: "i", Duration: terms.Duration, Coasting: terms.Coasting,
		Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 8}}}, terms)
	if l.Expire(at(60), false); l.Charge() != 1 {
		t.Errorf("%d are charged, want 1", l.Charge())
	}
}
