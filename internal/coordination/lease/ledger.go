package lease

import (
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// renewAfter is the part of a lease's duration after which it is renewed.
	renewAfter = 1.0 / 3
	// silentIntervals without a report freeze a worker's grant: a worker that
	// cannot be heard is not told new things.
	silentIntervals = 3
	// unseenVersions is how many grants a worker may leave unacknowledged before
	// its grant is frozen likewise: as many as are written in haste until one that
	// is told of it reports.
	unseenVersions = 8
)

// Terms are those of the leases of one transfer.
type Terms struct {
	// Interval is between the reports of its workers, BaseInterval while nothing asks for faster ones.
	Interval, BaseInterval time.Duration
	// Duration is how long a grant holds, Lifetime the same by the manager's clock at most.
	Duration, Lifetime time.Duration
	// Coasting is for how long after its lease a worker may go on with what it was granted.
	Coasting time.Duration
}

// Ledger is what was granted to a worker, and what it may still act on. The zero value
// is that of a worker that was never heard and granted nothing.
type Ledger struct {
	// The last report taken in.
	instance   string
	report     int64
	reportedAt time.Time
	uptime     time.Duration // of the worker process, when it sent that report
	reported   bool
	// The grant that the worker said it acts on.
	acts protocol.GrantID
	// The grant as issued last, and when; versions are the grants that the worker
	// may act on, oldest first, the last one being the issued one.
	grant    protocol.Grant
	limited  int64 // sequence of the first grant with its windows and rates
	issued   bool
	issuedAt time.Time
	// opened is the process for which the issued grant has opened the lease, empty for none; opening is
	// the last grant that did so for any.
	opened  string
	opening protocol.GrantID
	// adoptedAt is when a grant of an earlier leader was taken over, adopted; zero for none. Until unseen
	// the worker may hold a lease by a grant before that one.
	adoptedAt, unseen time.Time
	adopted           protocol.GrantID
	basis             time.Time // when the report that the grant acknowledges was taken in
	versions          []version
	// floor is the window that a worker keeps in all once the grant that it acts
	// on is over: one request, if that grant had any window.
	floor int
	// kept is the pace that it keeps then.
	kept protocol.Pace
	// lapsed is the window of the last grants whose time was over before the worker acted
	// on a later one, over; what was begun under them may still be in flight.
	lapsed int
	over   protocol.GrantID
	// ahead is by how much the time that the reports span, as far as it is believed, runs
	// ahead of the manager's; owed are the seconds of requests that the grants allow and
	// no report has told of.
	ahead time.Duration
	owed  float64
}

// version is a grant that a worker may act on until it acknowledges a later one: under
// its lease until expires, and coasting until the time is over that floored tells.
type version struct {
	id               protocol.GrantID
	expires, floored time.Time
	over             bool      // the lease is
	superseded       time.Time // when a later grant stood in the API; zero while none did
	charge           int       // of the window, as of the last Expire
	window           int       // summed over prefixes
	most             protocol.Charge
	widened          time.Time // from when on a worker that coasts may use all of it by this grant
	rate             float64   // likewise, in requests per second
	unpaced          bool      // some prefix has no rate
	lifetime         time.Duration
	interval         time.Duration // between reports
	plan             bool
	unseen           bool // it stands for all before one that was adopted
}

// Grant gives the grant as issued last; nobody may change what it refers to.
func (l *Ledger) Grant() *protocol.Grant { return &l.grant }

// Issued tells that there is such a grant.
func (l *Ledger) Issued() bool { return l.issued }

// Reported tells that a report was taken in.
func (l *Ledger) Reported() bool { return l.reported }

// LastReport is the sequence of the last one, 0 for none.
func (l *Ledger) LastReport() int64 { return l.report }

// Instance is the process that sent it.
func (l *Ledger) Instance() string { return l.instance }

// ActsOn names the grant that the worker said it acts on, in the last report.
func (l *Ledger) ActsOn() protocol.GrantID { return l.acts }

// Uptime is that of the worker process when it sent the last report.
func (l *Ledger) Uptime() time.Duration { return l.uptime }

// Take takes in a report: the worker acts on its grant, and never goes back behind it.
func (l *Ledger) Take(now time.Time, r protocol.Report) {
	first := !l.reported && r.Sequence == protocol.FirstReport
	l.instance, l.report, l.reportedAt, l.reported = r.Instance, r.Sequence, now, true
	l.uptime = r.Uptime
	l.acknowledge(r.ActsOn())
	if first && l.grant.Opens() && !r.Blocked {
		l.open(now)
	}
}

// open begins the lease of a grant that acknowledges the report which was taken in now.
func (l *Ledger) open(now time.Time) {
	v := newVersion(l.grant, l.grant.Prefixes)
	v.lifetime = protocol.Lifetime(l.grant.Duration)
	v.expires = now.Add(v.lifetime)
	v.floored = v.expires.Add(protocol.Lifetime(l.grant.Coasting))
	l.opened, l.opening, l.basis, l.versions = l.instance, v.id, now, append(l.versions, v)
}

// Opened tells that the worker acts on no grant after one that has opened its lease.
func (l *Ledger) Opened() bool { return l.opening.Sequence > 0 && !l.opening.Before(l.acts) }

// acknowledge drops the grants before the one that the worker acts on: it never
// goes back.
func (l *Ledger) acknowledge(id protocol.GrantID) {
	l.acts = id
	l.versions = slices.DeleteFunc(l.versions, func(v version) bool { return v.id.Before(id) })
	if l.over.Before(id) {
		l.lapsed = 0
	}
	if len(l.versions) > 0 && l.versions[0].id == id && !l.versions[0].unseen && !id.Before(l.over) {
		l.floor, l.kept = 0, protocol.Pace{}
	}
}

// End ends the lease of a worker that has nothing in flight and starts nothing under the grant
// that it acts on. One that came after may yet reach it.
func (l *Ledger) End() {
	l.versions = slices.DeleteFunc(l.versions, func(v version) bool { return !l.acts.Before(v.id) })
	l.floor, l.kept = 0, protocol.Pace{}
}

// Issue records a grant as issued. The lease runs from the last report, so a worker
// that has not reported for long gets a grant that is over already.
func (l *Ledger) Issue(now time.Time, g protocol.Grant, t Terms) {
	if !g.LimitsAs(l.grant) {
		l.limited = g.Sequence
	}
	l.grant, l.opened = g, ""
	l.issued, l.issuedAt, l.basis = true, now, l.reportedAt
	v := newVersion(g, g.Prefixes)
	// The worker may hold a lease by what an earlier leader has heard until the adoption.
	from := l.reportedAt
	if l.adoptedAt.After(from) {
		from = l.adoptedAt
	}
	v.expires, v.lifetime = from.Add(t.Lifetime), t.Lifetime
	v.widened = l.reportedAt.Add(t.Lifetime) // at once before any report: the worker may coast already
	v.floored = v.expires.Add(protocol.Lifetime(t.Coasting))
	for _, earlier := range l.versions { // which may be longer, and the worker act on it yet
		v.expires, v.floored = later(v.expires, earlier.expires), later(v.floored, earlier.floored)
	}
	v.over = !now.Before(v.expires)
	if !now.Before(v.widened) {
		v.charge = v.most.Window
	}
	switch {
	case !v.over || v.window > 0 && now.Before(v.floored):
		l.versions = append(l.versions, v)
	case v.window > 0:
		l.leave(v)
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Lacks tells that a grant of an earlier leader is none that the worker is charged for, and that it may act on it.
func (l *Ledger) Lacks(id protocol.GrantID) bool { return l.adopted.Before(id) && l.acts.Before(id) }

// Adopt records a grant of an earlier leader, which holds as if it had been issued now;
// of its prefixes those that are known count. The worker may not have seen it, and coast on
// one before it. One that is later than those taken over before was still under way when they were.
func (l *Ledger) Adopt(now time.Time, g protocol.Grant, known []protocol.PrefixGrant, t Terms) {
	if !l.issued || l.grant.ID().Before(g.ID()) {
		l.grant, l.issued, l.issuedAt = g, true, now
	}
	l.adoptedAt, l.adopted = now, g.ID()
	if !l.reported && !g.Opens() { // else it isn't known whether the report was sent
		l.report, l.instance = max(g.AcknowledgedReport, 0), g.Instance
	}
	l.floor, l.kept = 1, l.kept.AtMost(g.Charged.Pace) // the worker may be on the floor of a grant before this one
	v := newVersion(g, known).taken(now, t)
	l.unseen = v.expires
	if charged := g.Charged.Or(v.most); charged != v.most {
		earlier := v
		earlier.id.Sequence--
		earlier.window, earlier.most, earlier.unpaced, earlier.plan, earlier.unseen = charged.Window, charged, true, false, true
		earlier = earlier.taken(now, t)
		earlier.superseded, l.unseen = now, earlier.expires
		l.add(earlier)
	}
	l.add(v)
}

// add adds a version in its place.
func (l *Ledger) add(v version) {
	i := slices.IndexFunc(l.versions, func(o version) bool { return v.id.Before(o.id) })
	if i < 0 {
		i = len(l.versions)
	}
	l.versions = slices.Insert(l.versions, i, v)
}

// taken is a version that an earlier leader has issued, as of its adoption.
func (v version) taken(now time.Time, t Terms) version {
	v.lifetime = protocol.Lifetime(max(v.most.Duration, t.Duration))
	v.expires = now.Add(v.lifetime)
	v.floored = v.expires.Add(protocol.Lifetime(v.most.Coasting))
	v.widened, v.charge = now, v.most.Window
	return v
}

func newVersion(g protocol.Grant, prefixes []protocol.PrefixGrant) version {
	v := version{id: g.ID(), plan: g.Plan, interval: g.ReportInterval}
	for i := range prefixes {
		p := &prefixes[i]
		window := max(p.Window, 0)
		v.window += window
		v.rate += p.Rate
		v.unpaced = v.unpaced || window > 0 && p.Rate == 0
	}
	g.Prefixes = prefixes
	v.most = g.Charge()
	v.charge = v.window
	return v
}

// Held tells that the lease of some grant is not over.
func (l *Ledger) Held() bool {
	for i := range l.versions { // by index: versions are large, and every tick asks often
		if !l.versions[i].over {
			return true
		}
	}
	return false
}

// MayActOn tells that a grant is one of those.
func (l *Ledger) MayActOn(id protocol.GrantID) bool {
	return slices.ContainsFunc(l.versions, func(v version) bool { return v.id == id && !v.over })
}

// MayPlan tells that the worker may still act on a grant of the planning duty, which ends
// with its lease.
func (l *Ledger) MayPlan() bool {
	return slices.ContainsFunc(l.versions, func(v version) bool { return v.plan && !v.over })
}

// MayPlanUnseen tells that the worker may act on a grant before the one that was adopted, which may have named
// the planning duty.
func (l *Ledger) MayPlanUnseen(now time.Time) bool {
	return l.acts.Before(l.adopted) && now.Before(l.unseen)
}

// Settled tells that the sender of a report acts on its newest limits.
func (l *Ledger) Settled(r protocol.Report) bool {
	return r.Epoch == l.grant.Epoch && r.GrantSequence >= l.limited
}

// Lifetime is how long the longest of the grants that the worker may send by was to hold.
func (l *Ledger) Lifetime() time.Duration {
	var longest time.Duration
	for _, v := range l.versions {
		if v.window > 0 {
			longest = max(longest, v.lifetime)
		}
	}
	return longest
}

// Interval is the longest between its reports: by the newest grant, or one that it may act on yet.
func (l *Ledger) Interval() time.Duration {
	longest := l.grant.ReportInterval
	for i := range l.versions {
		longest = max(longest, l.versions[i].interval)
	}
	return longest
}

// Charge is the most requests that the worker may have in flight: it acts on one
// of the grants that still hold, or on its floor.
func (l *Ledger) Charge() int { return max(l.Leased(), l.floor) }

// Leased is the charge without the floor, which comes from the reserve.
func (l *Ledger) Leased() int {
	most := 0
	for i := range l.versions {
		most = max(most, l.versions[i].charge)
	}
	return most
}

// most is the most requests that the worker can have had in flight since the report
// before this one.
func (l *Ledger) most() int { return max(l.Charge(), l.lapsed) }

// rate is the most requests per second that it can have started, 0 where no rate
// bounds them.
func (l *Ledger) rate() float64 {
	most := 0.0
	for _, v := range l.versions {
		if v.unpaced {
			return 0
		}
		most = max(most, v.rate)
	}
	if l.lapsed > 0 || l.floor > 0 {
		return 0 // a floor has no rate
	}
	return most
}
