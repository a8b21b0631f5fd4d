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
	decided  int64 // likewise, of those that follow the last decision of the law
	follows  bool  // such a grant was issued
	issued   bool
	issuedAt time.Time
	basis    time.Time // when the report that the grant acknowledges was taken in
	versions []version
	// floor is the window that a worker keeps in all once the grant that it acts
	// on is over: one request, if that grant had any window.
	floor int
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

// version is a grant that a worker may act on until expires, or until it
// acknowledges a later one.
type version struct {
	id       protocol.GrantID
	expires  time.Time
	window   int     // summed over prefixes
	rate     float64 // likewise, in requests per second
	unpaced  bool    // some prefix has no rate
	lifetime time.Duration
	plan     bool
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
	l.instance, l.report, l.reportedAt, l.reported = r.Instance, r.Sequence, now, true
	l.uptime = r.Uptime
	l.acknowledge(r.ActsOn())
}

// acknowledge drops the grants before the one that the worker acts on: it never
// goes back.
func (l *Ledger) acknowledge(id protocol.GrantID) {
	l.acts = id
	l.versions = slices.DeleteFunc(l.versions, func(v version) bool { return v.id.Before(id) })
	if l.over.Before(id) {
		l.lapsed = 0
	}
	if len(l.versions) > 0 && l.versions[0].id == id {
		l.floor = 0
	}
}

// Expire drops the grants that no longer hold, and tells whether that leaves
// none. A worker that acts on a dropped one has fallen to its floor.
func (l *Ledger) Expire(now time.Time) bool {
	before := len(l.versions)
	l.versions = slices.DeleteFunc(l.versions, func(v version) bool {
		over := !now.Before(v.expires)
		if over && v.window > 0 {
			l.floor = 1
			l.lapsed, l.over = max(l.lapsed, v.window), v.id
		}
		return over
	})
	return before > 0 && len(l.versions) == 0
}

// End ends the lease of a worker that has nothing in flight and starts nothing.
func (l *Ledger) End() { l.versions, l.floor = nil, 0 }

// Issue records a grant as issued. The lease runs from the last report, so a worker
// that has not reported for long gets a grant that is over already.
func (l *Ledger) Issue(now time.Time, g protocol.Grant, lifetime time.Duration) {
	former := l.grant
	l.grant = g
	l.issued, l.issuedAt, l.basis = true, now, l.reportedAt
	if expires := l.reportedAt.Add(lifetime); l.reported && now.Before(expires) {
		l.add(g, g.Prefixes, expires, lifetime)
	}
	if !g.LimitsAs(former) {
		l.limited = g.Sequence
	}
}

// Adopt records a grant of an earlier leader, which holds as if it had been issued now;
// of its prefixes those that are known count.
func (l *Ledger) Adopt(now time.Time, g protocol.Grant, known []protocol.PrefixGrant, lifetime time.Duration) {
	l.grant, l.issued, l.issuedAt = g, true, now
	l.report, l.instance = max(g.AcknowledgedReport, 0), g.Instance
	l.floor = 1 // the worker may be on the floor of a grant before this one
	l.add(g, known, now.Add(lifetime), lifetime)
}

// add records a grant as something that the worker may act on.
func (l *Ledger) add(g protocol.Grant, prefixes []protocol.PrefixGrant, expires time.Time, lifetime time.Duration) {
	v := version{id: g.ID(), expires: expires, lifetime: lifetime, plan: g.Plan}
	for _, p := range prefixes {
		window := max(p.Window, 0)
		v.window += window
		v.rate += p.Rate
		v.unpaced = v.unpaced || window > 0 && p.Rate == 0
	}
	l.versions = append(l.versions, v)
}

// Held tells that the worker may act on some grant.
func (l *Ledger) Held() bool { return len(l.versions) > 0 }

// MayActOn tells that a grant is one of those.
func (l *Ledger) MayActOn(id protocol.GrantID) bool {
	return slices.ContainsFunc(l.versions, func(v version) bool { return v.id == id })
}

// MayPlan tells that the worker may still act on a grant of the planning duty.
func (l *Ledger) MayPlan() bool {
	return slices.ContainsFunc(l.versions, func(v version) bool { return v.plan })
}

// Settled tells that the sender of a report acts on its newest limits.
func (l *Ledger) Settled(r protocol.Report) bool {
	return r.Epoch == l.grant.Epoch && r.GrantSequence >= l.limited
}

// Decide tells that the law has decided: what was granted before is of an earlier decision.
func (l *Ledger) Decide() { l.follows = false }

// Follow tells that the issued grant is what the last decision allows.
func (l *Ledger) Follow() {
	if !l.follows {
		l.follows, l.decided = true, l.limited
	}
}

// Judged gives by how much those requests of a prefix have grown that started under what
// the last decision allows; growth is that of its counters in the report. Of a worker that
// gives no samples all counts, once it acts on its newest limits.
func (l *Ledger) Judged(r protocol.Report, growth protocol.PrefixCounters) protocol.Sample {
	var judged protocol.Sample
	switch {
	case !l.follows:
		return judged
	case growth.Newest.Grant == protocol.GrantID{} && l.Settled(r):
		return protocol.Sample{Started: growth.Started, Accepted: growth.Accepted, Throttled: growth.Throttled, Failed: growth.Failed}
	}
	decided := protocol.GrantID{Epoch: l.grant.Epoch, Sequence: l.decided}
	// A worker that missed a grant may hold limits as they are again since an earlier one.
	if l.Settled(r) || !growth.Newest.Grant.Before(decided) {
		judged = judged.Plus(growth.Newest)
	}
	if !growth.Before.Grant.Before(decided) {
		judged = judged.Plus(growth.Before)
	}
	return judged
}

// Lifetime is how long the longest of the grants that the worker may act on was to hold.
func (l *Ledger) Lifetime() time.Duration {
	var longest time.Duration
	for _, v := range l.versions {
		longest = max(longest, v.lifetime)
	}
	return longest
}

// Charge is the most requests that the worker may have in flight: it acts on one
// of the grants that still hold, or on its floor.
func (l *Ledger) Charge() int { return max(l.Leased(), l.floor) }

// Leased is the charge without the floor, which comes from the reserve.
func (l *Ledger) Leased() int {
	most := 0
	for _, v := range l.versions {
		most = max(most, v.window)
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
