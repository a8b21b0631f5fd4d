package lifecycle

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/workload"
)

// settle reduces the coordinator's part of the status to what counts after the end. The
// coordinator drops a transfer that has ended, so that part has one writer at any time; a
// write that was still under way is settled by the next reconcile.
func (r *Reconciler) settle(ctx context.Context, at *workload.Workload) error {
	is, want := coordinatorPart(at.Status), finalRecord(at.Status)
	if equality.Semantic.DeepEqual(is, want) {
		return nil
	}
	return objects.ApplyStatusTo(ctx, r.Client, objects.OwnerCoordinator, at, at.ResourceVersion, want)
}

// coordinatorPart is the part of a status that the coordinator writes.
func coordinatorPart(s v1alpha1.ArchiveTransferStatus) v1alpha1.ArchiveTransferStatus {
	s.ObservedGeneration, s.StartTime, s.DrainStartTime, s.CompletionTime = nil, nil, nil, nil
	s.Duration, s.Workers = "", nil
	s.Conditions = objects.OwnConditions(s.Conditions, objects.CoordinatorConditions())
	return s
}

// finalRecord is that part once the transfer has ended: what was moved and how fast on the
// average, without what was expected and without the state of control.
func finalRecord(s v1alpha1.ArchiveTransferStatus) v1alpha1.ArchiveTransferStatus {
	out := coordinatorPart(s)
	out.EstimatedCompletionTime = nil
	if out.Progress != nil {
		p := *out.Progress
		mean := meanThroughput(s)
		p.BytesPerSecond, p.Throughput = ptr.To(mean), convert.Bytes(mean)+"/s"
		out.Progress = &p
	}
	out.Prefixes = nil
	for _, p := range s.Prefixes {
		p.Window, p.MilliRequestsPerSecond, p.BytesPerSecond = nil, nil, nil
		p.ServiceP50Microseconds, p.ServiceP99Microseconds, p.ThrottledPerMille = nil, nil, nil
		out.Prefixes = append(out.Prefixes, p)
	}
	if s.Sending != nil {
		sent := *s.Sending
		sent.Reported = nil
		out.Sending = &sent
	}
	if c := s.Coordination; c != nil {
		final := *c
		final.State, final.Window, final.MilliRequestsPerSecond = "", nil, nil
		final.LimitedBy, final.Reason = "", ""
		out.Coordination = &final
	}
	out.Conditions = settled(out.Conditions, s.CompletionTime)
	return out
}

// meanThroughput is in bytes per second, from start to completion.
func meanThroughput(s v1alpha1.ArchiveTransferStatus) int64 {
	if s.StartTime == nil || s.CompletionTime == nil || s.Progress == nil {
		return 0
	}
	took := max(time.Second, s.CompletionTime.Sub(s.StartTime.Time))
	return int64(float64(convert.TallyFrom(s.Progress.Done).Bytes) / took.Seconds())
}

// settled returns the conditions with those reset that describe a running transfer.
func settled(conditions []metav1.Condition, ended *metav1.Time) []metav1.Condition {
	at := metav1.Time{}
	if ended != nil {
		at = *ended
	}
	end := func(kind, reason, message string) {
		c := meta.FindStatusCondition(conditions, kind)
		if c == nil || c.Status != metav1.ConditionTrue || c.Reason == v1alpha1.ReasonFilesFailed {
			return
		}
		meta.SetStatusCondition(&conditions, metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason,
			Message: message, LastTransitionTime: at, ObservedGeneration: c.ObservedGeneration})
	}
	end(v1alpha1.ConditionThrottled, v1alpha1.ReasonNotThrottled, "the transfer has ended")
	end(v1alpha1.ConditionDegraded, v1alpha1.ReasonHealthy, "the transfer has ended")
	return conditions
}
