package lease

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// opened is a manager's ledger and the processes of one pod, each of which knows of the one before
// what the API held when it began.
type opened struct {
	t                         *rapid.T
	now                       time.Duration // true time
	managerDrift, workerDrift float64

	ledger Ledger
	terms  Terms
	grant  protocol.Grant  // the newest, and the one in the API
	report protocol.Report // likewise
	late   []protocol.Report

	process int
	holder  Holder
	acts    protocol.Grant
}

func (o *opened) clock(drift float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(float64(o.now) * (1 + drift)))
}

func (o *opened) instance() string { return string(rune('a' + o.process)) }

// begin starts a process.
func (o *opened) begin() {
	o.process++
	after := o.report.Sequence
	if !o.grant.Opens() {
		after = max(after, o.grant.AcknowledgedReport)
	}
	o.holder, o.acts = NewHolder(o.clock(o.workerDrift), after), protocol.Grant{}
}

// send reports; the report may come late, or after those of another process.
func (o *opened) send(late bool) {
	r := protocol.Report{
		Instance: o.instance(), Sequence: o.holder.Send(o.clock(o.workerDrift)),
		Epoch: o.acts.Epoch, GrantSequence: o.acts.Sequence,
	}
	if late {
		o.late = append(o.late, r)
		return
	}
	o.report = r
	o.read()
}

// read takes in what the API holds.
func (o *opened) read() {
	if g := o.grant; !g.ID().Before(o.acts.ID()) {
		o.acts = g
		o.holder.Take(o.clock(o.workerDrift), o.instance(), g.Instance, g.AcknowledgedReport, g.Duration, g.Coasting)
	}
}

// tick is the manager's: it takes in what the API holds and may write a grant.
func (o *opened) tick(write bool, window int) {
	now := o.clock(o.managerDrift)
	if r := o.report; r.Sequence > 0 && r.Sequence > o.ledger.LastReport() {
		o.ledger.Take(now, r)
	}
	o.ledger.Expire(now, true)
	heard := o.ledger.Reported()
	if !write || heard && !o.ledger.Due(now, o.terms, false) {
		return
	}
	g := protocol.Grant{
		Epoch: 1, Sequence: o.grant.Sequence + 1, AcknowledgedReport: o.ledger.LastReport(), Instance: o.ledger.Instance(),
		Duration: o.terms.Duration, Coasting: o.terms.Coasting, ReportInterval: o.terms.Interval,
	}
	switch {
	case heard && o.ledger.Live(now, o.terms):
		g.Prefixes = []protocol.PrefixGrant{{Prefix: "a", Window: window}}
	case !heard && window > 3:
		g.AcknowledgedReport = protocol.FirstReport
	}
	o.ledger.Issue(now, g, o.terms)
	o.grant = g
}

// check finds what the worker may do, and the manager does not charge.
func (o *opened) check() {
	o.ledger.Expire(o.clock(o.managerDrift), true)
	using := 0
	switch o.holder.Phase(o.clock(o.workerDrift)) {
	case Held, Coasting:
		using = o.acts.Window()
	case Isolated:
		using = Half(o.acts.Window())
	case Expired:
		using = min(o.acts.Window(), 1)
	}
	if charge := o.ledger.Charge(); using > charge {
		o.t.Fatalf("%d requests are in flight at %v by grant %d, and %d charged", using, o.now, o.acts.Sequence, charge)
	}
}

// Grants that open a lease for a process that was never heard, and those that follow, whichever
// process of the pod they reach: what it may have in flight is charged.
func TestAnOpenedLeaseIsCharged(t *testing.T) {
	held := 0
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		drift := func() float64 { return (2*random.Float64() - 1) * protocol.DriftBound }
		o := &opened{t: t, managerDrift: drift(), workerDrift: drift()}
		o.terms = Terms{Interval: time.Second, BaseInterval: time.Second, Duration: 4 * time.Second}
		if random.IntN(2) == 0 {
			o.terms.Coasting = 40 * time.Second
		}
		o.terms.Lifetime = protocol.Lifetime(o.terms.Duration)
		o.tick(true, 8)
		o.begin()
		for range 60 {
			o.now += time.Duration(random.IntN(4000)) * time.Millisecond
			switch random.IntN(9) {
			case 0:
				o.begin()
			case 1, 2:
				o.send(random.IntN(2) == 0)
			case 3, 4:
				if len(o.late) > 0 {
					o.report, o.late = o.late[0], o.late[1:]
				}
			case 5:
				o.read()
			default:
				o.tick(random.IntN(2) == 0, random.IntN(9))
			}
			if o.acts.Opens() && o.holder.Phase(o.clock(o.workerDrift)) == Held {
				held++
			}
			o.check()
		}
	})
	if held == 0 {
		t.Error("no lease was opened")
	}
}

// One report and no further grant: worker and manager both know of the lease, which is renewed like any other.
func TestALeaseIsOpenedByItsFirstReport(t *testing.T) {
	start := time.Unix(1000, 0)
	terms := Terms{Interval: 10 * time.Second, BaseInterval: 10 * time.Second, Duration: 40 * time.Second, Lifetime: 41 * time.Second}
	grant := protocol.Grant{Epoch: 1, Sequence: 1, AcknowledgedReport: protocol.FirstReport, Duration: terms.Duration, ReportInterval: terms.Interval}
	report := protocol.Report{Instance: "a", Sequence: 1, Epoch: 1, GrantSequence: 1}
	var l Ledger
	l.Issue(start, grant, terms)
	if l.Held() || l.Stale(start.Add(time.Hour)) {
		t.Error("a lease is held, or to be renewed, before anything was reported")
	}
	at := start.Add(time.Minute)
	h := NewHolder(at, 0)
	take := func() { h.Take(at, "a", grant.Instance, grant.AcknowledgedReport, grant.Duration, 0) }
	take()
	if h.Phase(at) != Pending {
		t.Errorf("phase %d before the first report, want Pending", h.Phase(at))
	}
	h.Send(at)
	take()
	l.Take(at.Add(time.Second), report)
	if h.Phase(at) != Held || !l.Held() {
		t.Error("no lease is held once the first report was sent and taken in")
	}
	if now := at.Add(12 * time.Second); l.Waits(now, terms) || l.Stale(now) {
		t.Error("a grant is to be written although the lease has begun a moment ago")
	}
	report.Sequence = 2
	if l.Take(at.Add(20*time.Second), report); !l.Stale(at.Add(20 * time.Second)) {
		t.Error("the lease is not renewed after half of it")
	}
	if end := at.Add(40 * time.Second); h.Phase(end) == Held || !l.Held() {
		t.Error("the worker's lease does not end before the manager's")
	}
	h.Take(at, "a", "", 0, terms.Duration, 0)
	if h.Acked() != 0 {
		t.Error("another grant, which acknowledges nothing, left the lease open")
	}
}

// A report that tells of a blocked worker, of the process before, or one that is not the first opens
// no lease: the manager writes a grant for it.
func TestWhatOpensNoLease(t *testing.T) {
	start := time.Unix(1000, 0)
	terms := Terms{Interval: time.Second, BaseInterval: time.Second, Duration: 10 * time.Second, Lifetime: 11 * time.Second}
	for name, r := range map[string]protocol.Report{
		"blocked": {Instance: "a", Sequence: 1, Blocked: true},
		"second":  {Instance: "a", Sequence: 2},
	} {
		var l Ledger
		l.Issue(start, protocol.Grant{Epoch: 1, Sequence: 1, AcknowledgedReport: protocol.FirstReport, Duration: terms.Duration}, terms)
		l.Take(start, r)
		if l.Held() || !l.Waits(start, terms) || !l.Stale(start) {
			t.Errorf("%s: the lease is open, or no grant is due", name)
		}
	}
	h := NewHolder(start, 1)
	h.Send(start)
	if h.Take(start, "b", "", protocol.FirstReport, terms.Duration, 0); h.Phase(start) != Pending {
		t.Error("a process that follows another holds a lease by a grant that acknowledges the first report")
	}
}
