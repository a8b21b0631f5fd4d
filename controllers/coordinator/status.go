package coordinator

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/explain"
)

const (
	// maxFailures bounds status.failures.
	maxFailures = 32
	// throttledShare is the share of throttled requests above which Throttled is true, in
	// thousandths.
	throttledShare = 20
)

// status is the part of a transfer's status that follows from its coordination.
func (d *domain) status(now time.Time, m *member, c *claim, snapshot protocol.Snapshot) v1alpha1.ArchiveTransferStatus {
	id := protocol.TransferID(m.transfer.UID)
	progress := d.core.Progress(id)
	s := v1alpha1.ArchiveTransferStatus{
		ChecksumAlgorithm: c.checksum, Progress: convert.Progress(progress), Prefixes: convert.PrefixStatuses(progress.Prefixes),
	}
	s.Failures = failures(c, progress)
	s.Sending = c.sending.status(c.reported(m))
	if left, known := convert.Remaining(s.Progress); known {
		// Rounded, so that an estimate that holds is not a change.
		eta := metav1.NewTime(now.Add(left).Round(10 * time.Second))
		s.EstimatedCompletionTime = &eta
	}
	s.Coordination = d.coordinationStatus(now, id, snapshot)
	s.Conditions = d.conditions(now, m, c, s)
	// The round knows groups; what the workers of this transfer report tells more.
	s.Coordination.LimitedBy = cmp.Or(limitedBy(m, s), s.Coordination.LimitedBy)
	return s
}

// limitedBy is what limits the transfer now, in the same word that `kubectl cargoship
// explain` gives.
func limitedBy(m *member, s v1alpha1.ArchiveTransferStatus) v1alpha1.Limit {
	w := *m.transfer
	w.Status = s // Moving asks for nothing that the coordinator does not write
	return explain.Moving(explain.FromWorkload(&w), maps.Values(m.leases))
}

func (d *domain) coordinationStatus(now time.Time, id protocol.TransferID, snapshot protocol.Snapshot) *v1alpha1.CoordinationStatus {
	out := convert.Coordination(d.core.Progress(id), snapshot, d.core.Metrics(now), d.decision)
	out.Domain, out.Epoch = d.name, ptr.To(d.epoch)
	if c := d.claims[id]; d.limited.Suspended || c != nil && c.deniedBy != "" {
		out.LimitedBy, out.Reason = v1alpha1.LimitPolicy, v1alpha1.ReasonPolicySuspended
	}
	return out
}

// failures are the first archives with failed files: those recorded before,
// and those the core has seen since.
func failures(c *claim, progress protocol.Progress) []v1alpha1.ArchiveFailure {
	out := slices.Clone(c.failures)
	for _, p := range progress.Prefixes {
		for _, f := range p.Failures {
			out = append(out, v1alpha1.ArchiveFailure{
				Prefix: p.Prefix, Number: ptr.To(f.Number), Reason: word(f.Reason), Message: printable(f.Message)})
		}
	}
	return out[:min(len(out), maxFailures)]
}

func (d *domain) conditions(now time.Time, m *member, c *claim, s v1alpha1.ArchiveTransferStatus) []metav1.Condition {
	at := m.transfer
	conditions := objects.OwnConditions(at.Status.Conditions, objects.CoordinatorConditions())
	set := objects.ConditionSetter(&conditions, at.Generation, metav1.NewTime(now.Truncate(time.Second)))
	worst := v1alpha1.PrefixStatus{}
	for _, p := range s.Prefixes {
		if ptr.Deref(p.ThrottledPerMille, 0) > ptr.Deref(worst.ThrottledPerMille, 0) {
			worst = p
		}
	}
	if share := ptr.Deref(worst.ThrottledPerMille, 0); share > throttledShare {
		// The share itself changes with every tick; it is in status.prefixes.
		set(v1alpha1.ConditionThrottled, true, v1alpha1.ReasonThrottling, fmt.Sprintf(
			"the destination throttles requests to prefix %q; the workers have slowed down", worst.Name))
	} else {
		set(v1alpha1.ConditionThrottled, false, v1alpha1.ReasonNotThrottled, "the destination does not throttle requests")
	}
	switch expired, failed := expiredLease(m), convert.TallyFrom(s.Progress.Failed).Files; {
	case c.rejected != "":
		set(v1alpha1.ConditionDegraded, true, v1alpha1.ReasonInvalidCoordination,
			"the spec is rejected, the last valid one remains in force: "+c.rejected)
	case c.deniedBy != "":
		set(v1alpha1.ConditionDegraded, true, v1alpha1.ReasonNamespaceDenied, fmt.Sprintf(
			"CoordinationPolicy %s does not let namespace %s use the destination; nothing is sent or read", c.deniedBy, at.Namespace))
	case anyOf(maps.Keys(m.pods), d.failing):
		set(v1alpha1.ConditionDegraded, true, v1alpha1.ReasonCoordinationParked,
			"the lease of a worker cannot be written and will be retried; see the transfer's events")
	case expired != "":
		set(v1alpha1.ConditionDegraded, true, v1alpha1.ReasonLeaseExpired, fmt.Sprintf(
			"worker %s could not renew its lease in time and goes on with what it was granted last", expired))
	case failed > 0:
		set(v1alpha1.ConditionDegraded, true, v1alpha1.ReasonFilesFailed,
			"some files could not be archived; status.failures names the first archives")
	default:
		set(v1alpha1.ConditionDegraded, false, v1alpha1.ReasonHealthy, "all workers hold valid leases")
	}
	return conditions
}

// anyOf tells that f holds for one of some.
func anyOf(all iter.Seq[string], f func(string) bool) bool {
	for x := range all {
		if f(x) {
			return true
		}
	}
	return false
}

// expiredLease names a worker that reports an expired lease.
func expiredLease(m *member) string {
	name := "" // the first of them, so that the condition changes only with what it tells
	for _, lease := range m.leases {
		if meta.IsStatusConditionTrue(lease.Status.Conditions, v1alpha1.LeaseConditionDegraded) && (name == "" || lease.Name < name) {
			name = lease.Name
		}
	}
	return name
}
