package lifecycle

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
)

// planningComplete is the value of status.progress.planning at the end.
const planningComplete = convert.PlanningComplete

// conditionTypes are the conditions that the lifecycle reconciler writes.
func conditionTypes() []string {
	return []string{
		v1alpha1.ConditionComplete, v1alpha1.ConditionFailed, v1alpha1.ConditionSuspended, v1alpha1.ConditionProgressing,
		v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled,
	}
}

// statusOf is the part of the status that follows from a decision.
func statusOf(in input, d decision) v1alpha1.ArchiveTransferStatus {
	at := in.transfer
	s := v1alpha1.ArchiveTransferStatus{
		ObservedGeneration: ptr.To(at.Generation),
		StartTime:          at.Status.StartTime,
		DrainStartTime:     at.Status.DrainStartTime,
		CompletionTime:     at.Status.CompletionTime,
		Duration:           at.Status.Duration,
		Conditions:         objects.OwnConditions(at.Status.Conditions, conditionTypes()),
		Workers:            workersStatus(in, d.action == actEnd),
	}
	now := metav1.NewTime(in.now.Truncate(time.Second))
	if s.StartTime == nil && d.action == actRunWorkers {
		s.StartTime = &now
	}
	if s.DrainStartTime == nil && d.action == actDrainWorkers {
		s.DrainStartTime = &now
	}
	ended := d.action == actEnd
	if ended && s.CompletionTime == nil {
		s.CompletionTime = &now
		if s.StartTime != nil {
			s.Duration = now.Sub(s.StartTime.Time).String()
		}
	}
	set := objects.ConditionSetter(&s.Conditions, at.Generation, now)
	set(v1alpha1.ConditionComplete, ended && !d.failed, d.reason, d.message)
	set(v1alpha1.ConditionFailed, ended && d.failed, d.reason, d.message)
	if suspended(in) && !ended {
		set(v1alpha1.ConditionSuspended, true, v1alpha1.ReasonSuspended, "the workers are suspended")
	} else {
		set(v1alpha1.ConditionSuspended, false, v1alpha1.ReasonNotSuspended, "the workers are not suspended")
	}
	set(v1alpha1.ConditionProgressing, d.progressing, d.reason, d.message)
	setReadiness(set, d, suspended(in))
	return s
}

// setReadiness sets the conditions of kstatus, from which generic tools such as Flux derive
// whether an object is done, in progress or stalled.
func setReadiness(set func(kind string, is bool, reason, message string), d decision, suspended bool) {
	ended := d.action == actEnd
	failed := ended && d.failed
	set(v1alpha1.ConditionReady, ended && !failed, d.reason, d.message)
	set(v1alpha1.ConditionReconciling, !ended && d.progressing, d.reason, d.message)
	set(v1alpha1.ConditionStalled, failed || !ended && !d.progressing && !suspended, d.reason, d.message)
}

func workersStatus(in input, ended bool) *v1alpha1.WorkersStatus {
	var leased, blocked, failed int32
	leases := in.leases
	if ended {
		leases = nil // they are about to be deleted
	}
	for i := range leases {
		if leases[i].Status.Instance != "" {
			leased++
		}
		if meta.IsStatusConditionTrue(leases[i].Status.Conditions, v1alpha1.LeaseConditionBlocked) {
			blocked++
		}
	}
	if in.workers != nil {
		failed = in.workers.Status.Failed
	}
	desired := in.transfer.Spec.Workers.Count
	if suspended(in) || ended {
		desired = 0
	}
	return &v1alpha1.WorkersStatus{Desired: ptr.To(desired), Leased: ptr.To(leased), Blocked: ptr.To(blocked), Failed: ptr.To(failed)}
}
