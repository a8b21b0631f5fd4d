package worker

import (
	"testing"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/lease"
)

// A lease that the first report opens is held from then on, is read no sooner than any other, and leaves
// those the API server that are waited for.
// longestWait is how long a first report that opens its lease may wait.
const longestWait = 7 * time.Second

func TestAgentOpensItsLease(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		a.grant.AcknowledgedReport, a.grant.AcknowledgedInstance = new(int64(1)), ""
		a.grant.ReportInterval.Duration, a.grant.LeaseDuration.Duration = 40*time.Second, 160*time.Second
		a.write()
		before, began := a.leases.reads.Load(), time.Now()
		after(longestWait)
		reports := a.leases.taken()
		if len(reports) != 1 || *reports[0].status.ReportSequence != 1 {
			t.Fatalf("%d reports when the lease is there, want the first, within %v", len(reports), longestWait)
		}
		if phase := a.Engine.lease.Phase(time.Now()); phase != lease.Held {
			t.Errorf("phase %d after the first report, want a lease that is held", phase)
		}
		after(11 * time.Second)
		if n := a.leases.reads.Load() - before; n > 0 {
			t.Errorf("looked %d times for an answer within %v", n, time.Since(began))
		}
	})
}

// A process that follows another is not opened the lease: it reports at once, and looks for an answer.
func TestAgentOfASecondProcessWaitsForAnAnswer(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		a.leases.set(func(l *v1alpha1.PrefixLease) {
			l.Status.Instance, l.Status.ReportSequence = "before", new(int64(1))
		})
		a.grant.AcknowledgedReport, a.grant.AcknowledgedInstance = new(int64(1)), ""
		a.grant.ReportInterval.Duration, a.grant.LeaseDuration.Duration = 40*time.Second, 160*time.Second
		a.write()
		reads := a.leases.reads.Load()
		after(time.Millisecond)
		if r := a.leases.taken(); len(r) != 1 || *r[0].status.ReportSequence != 2 {
			t.Fatalf("%d reports at once, want the second into the lease", len(r))
		}
		after(longestWait)
		if phase := a.Engine.lease.Phase(time.Now()); phase != lease.Pending || a.leases.reads.Load() == reads {
			t.Errorf("phase %d, want a lease that waits for an answer, and looks for it", phase)
		}
	})
}
