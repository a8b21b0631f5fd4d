package coordination

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

// lease is what was granted to a worker, and what it may still act on.
type lease struct {
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

// acknowledge drops the grants before the one that the worker acts on: it never
// goes back.
func (l *lease) acknowledge(id protocol.GrantID) {
	l.acts = id
	l.versions = slices.DeleteFunc(l.versions, func(v version) bool {
		return v.id.Before(id)
	})
	if l.over.Before(id) {
		l.lapsed = 0
	}
	if len(l.versions) > 0 && l.versions[0].id == id {
		l.floor = 0
	}
}

// expire drops the grants that no longer hold, and tells whether that leaves
// none. A worker that acts on a dropped one has fallen to its floor.
func (l *lease) expire(now time.Time) bool {
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

// version finds a grant among those that the worker may act on; nil if it is not.
func (l *lease) version(id protocol.GrantID) *version {
	for i := range l.versions {
		if v := &l.versions[i]; v.id == id {
			return v
		}
	}
	return nil
}

// add records a grant as something that the worker may act on.
func (l *lease) add(v version) { l.versions = append(l.versions, v) }

// charge is the most requests that the worker may have in flight: it acts on one
// of the grants that still hold, or on its floor.
func (l *lease) charge() int { return max(l.leased(), l.floor) }

// leased is the charge without the floor, which comes from the reserve.
func (l *lease) leased() int {
	most := 0
	for _, v := range l.versions {
		most = max(most, v.window)
	}
	return most
}

// chargeFloors gives what the floors of lost workers take of a bound: what the
// reserve does not hold, but never so much that the others cannot go on.
func (c *PipelineCoordinator) chargeFloors(bound int) int {
	floors := 0
	for _, w := range c.ordered {
		if w.transfer.coordinated() {
			floors += w.lease.charge() - w.lease.leased()
		}
	}
	return max(0, min(floors-learningReserve, bound-windowFloor))
}

// available is the part of the bound that can be divided over the workers
// that listen: the others keep what is leased to them.
func (c *PipelineCoordinator) available(now time.Time) int {
	bound := c.control.bound()
	bound -= c.chargeFloors(bound)
	for _, w := range c.ordered {
		if w.transfer.coordinated() && w.frozen(now) {
			bound -= w.lease.leased()
		}
	}
	return max(0, bound)
}

// live tells that the worker may be granted something: it reported, and not so
// long ago that a lease from then on would be over.
func (w *worker) live(now time.Time) bool {
	return w.lease.reported && now.Before(w.lease.reportedAt.Add(w.transfer.lifetime))
}

// silent tells that the worker has not been heard lately, or does not hear us.
func (w *worker) silent(now time.Time) bool {
	return !w.lease.reported || w.missed(now)
}

// missed tells that the worker has had the time to be heard, or to hear us, and has
// not. For one whose grant was adopted that time begins with the adoption.
func (w *worker) missed(now time.Time) bool {
	l := &w.lease
	heard := l.reportedAt
	if !l.reported {
		heard = l.issuedAt
	}
	return now.Sub(heard) > silentIntervals*w.transfer.leisure || len(l.versions) > unseenVersions
}

// overdue tells that a report of the worker is missing.
func (w *worker) overdue(now time.Time) bool {
	return now.Sub(w.lease.reportedAt) >= 2*w.transfer.leisure
}

// frozen tells that the worker's grant stays as it is, to be renewed or to end.
func (w *worker) frozen(now time.Time) bool {
	return len(w.lease.versions) > 0 && !w.leaving() && w.silent(now)
}

// waits tells that the worker has been heard and holds no lease yet.
func (w *worker) waits(now time.Time) bool { return len(w.lease.versions) == 0 && w.live(now) }

// due tells that the worker's grant may be written again: not more often than
// it reports, which bounds the writes to the API by the size of the fleet.
func (w *worker) due(now time.Time) bool {
	if w.frozen(now) {
		return false
	}
	if !w.lease.issued || w.leaving() != w.lease.grant.Drain || w.waits(now) {
		return true
	}
	return now.Sub(w.lease.issuedAt) >= min(w.transfer.interval, w.lease.grant.ReportInterval)*9/10
}

// stale tells that the issued grant should be renewed with the last report.
func (w *worker) stale(now time.Time) bool {
	l := &w.lease
	if l.report == l.grant.AcknowledgedReport && l.instance == l.grant.Instance {
		return false
	}
	return l.instance != l.grant.Instance ||
		now.Sub(l.basis) > time.Duration(renewAfter*float64(l.grant.Duration))
}
