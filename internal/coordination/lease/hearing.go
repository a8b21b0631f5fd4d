package lease

import "time"

// Live tells that the worker may be granted something: it reported, and not so
// long ago that a lease from then on would be over.
func (l *Ledger) Live(now time.Time, t Terms) bool {
	return l.reported && now.Before(l.reportedAt.Add(t.Lifetime))
}

// Silent tells that the worker has not been heard lately, or does not hear us.
func (l *Ledger) Silent(now time.Time, t Terms) bool {
	return !l.reported || l.Missed(now, t)
}

// Missed tells that the worker has had the time to be heard, or to hear us, and has
// not. For one whose grant was adopted that time begins with the adoption.
func (l *Ledger) Missed(now time.Time, t Terms) bool {
	heard := l.reportedAt
	if !l.reported {
		heard = l.issuedAt
	}
	return now.Sub(heard) > silentIntervals*t.BaseInterval || len(l.versions) > unseenVersions
}

// Overdue tells that a report of the worker is missing.
func (l *Ledger) Overdue(now time.Time, t Terms) bool {
	return now.Sub(l.reportedAt) >= 2*t.BaseInterval
}

// Frozen tells that the worker's grant stays as it is, to be renewed or to end. That of
// a worker that leaves may change: it is given nothing.
func (l *Ledger) Frozen(now time.Time, t Terms, leaving bool) bool {
	return len(l.versions) > 0 && !leaving && l.Silent(now, t)
}

// Waits tells that the worker has been heard and holds no lease yet, or none any more by terms that
// were shorter.
func (l *Ledger) Waits(now time.Time, t Terms) bool { return !l.Held() && l.Live(now, t) }

// Due tells that the worker's grant may be written again: not more often than
// it reports, which bounds the writes to the API by the size of the fleet.
func (l *Ledger) Due(now time.Time, t Terms, leaving bool) bool {
	if l.Frozen(now, t, leaving) && !l.endsDuty() {
		return false
	}
	if !l.issued || leaving != l.grant.Drain || l.Waits(now, t) {
		return true
	}
	return now.Sub(l.issuedAt) >= min(t.Interval, l.grant.ReportInterval)*9/10
}

// endsDuty tells that the grant still names the planning duty, which ended with the lease.
func (l *Ledger) endsDuty() bool { return l.grant.Plan && !l.Held() }

// Stale tells that the issued grant should be renewed with the last report.
func (l *Ledger) Stale(now time.Time) bool {
	process := l.grant.Instance
	if l.grant.Opens() {
		process = l.opened
	}
	if l.report == l.grant.AcknowledgedReport && l.instance == process || l.grant.Opens() && !l.reported {
		return false
	}
	return l.instance != process ||
		now.Sub(l.basis) > time.Duration(renewAfter*float64(l.grant.Duration))
}
