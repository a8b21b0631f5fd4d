package coordinator

import (
	"time"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/curve"
	"cargoship.dev/operator/internal/metrics"
)

// lastReport is what is remembered of a worker's last report, to show what has come since.
type lastReport struct {
	instance string
	sequence int64
	at       time.Time
	// counters are those of the last report, by prefix.
	counters map[string]metrics.Requests
	// started counts the requests begun, of all prefixes.
	started int64
}

// remember remembers a report, and returns the one before.
func (c *claim) remember(now time.Time, lease *v1alpha1.PrefixLease) (before, next lastReport) {
	s := lease.Status
	before = c.lastReports[lease.Spec.PodUID]
	next = lastReport{instance: s.Instance, sequence: ptr.Deref(s.ReportSequence, 0), at: now, counters: map[string]metrics.Requests{}}
	for _, p := range s.Prefixes {
		next.counters[p.Name] = metrics.Requests{
			Accepted: ptr.Deref(p.Accepted, 0), Throttled: ptr.Deref(p.Throttled, 0),
			Failed: ptr.Deref(p.Failed, 0), Hedged: ptr.Deref(p.Hedged, 0), Bytes: ptr.Deref(p.Bytes, 0),
		}
		next.started = curve.Plus(next.started, ptr.Deref(p.Started, 0))
	}
	c.lastReports[lease.Spec.PodUID] = next
	return before, next
}

// count shows what a report tells that the one before did not. Counters of prefixes that
// were never planned are not shown: their names could be anything.
func (d *domain) count(now time.Time, m *member, c *claim, lease *v1alpha1.PrefixLease) {
	if h := c.lastReports[lease.Spec.PodUID]; h.instance == lease.Status.Instance && h.sequence >= ptr.Deref(lease.Status.ReportSequence, 0) {
		return
	}
	before, next := c.remember(now, lease)
	started := next.started
	if before.instance == next.instance {
		started -= before.started
	}
	c.sending.start(started)
	for prefix, sum := range next.counters {
		if last, known := before.counters[prefix]; known && before.instance == next.instance {
			if sum == last {
				continue // most prefixes that a worker ever had are at rest
			}
			sum.Accepted -= last.Accepted
			sum.Throttled -= last.Throttled
			sum.Failed -= last.Failed
			sum.Hedged -= last.Hedged
			sum.Bytes -= last.Bytes
		}
		planned := d.core.HasPrefix(protocol.TransferID(m.transfer.UID), prefix)
		if planned {
			d.Metrics.Reported(m.transfer, prefix, sum)
		}
		c.sending.add(now, prefix, planned, sum)
	}
}

// showReportAge shows for how long the most silent of the workers that hold a lease has
// been silent.
func (d *domain) showReportAge(now time.Time, m *member, c *claim) {
	oldest := now
	for uid, h := range c.lastReports {
		if m.leases[uid] == nil {
			delete(c.lastReports, uid)
		} else if h.at.Before(oldest) {
			oldest = h.at
		}
	}
	d.Metrics.ReportAge(m.transfer, now.Sub(oldest))
}
