package controllers

import (
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
)

// planningComplete is the value of status.progress.planning at the end.
const planningComplete = convert.PlanningComplete

// maxMessage bounds the message of a condition, in bytes.
const maxMessage = 1024

// lifecycleConditions are the conditions that the lifecycle reconciler writes.
func lifecycleConditions() []string {
	return []string{
		v1alpha1.ConditionComplete, v1alpha1.ConditionFailed, v1alpha1.ConditionSuspended, v1alpha1.ConditionProgressing,
	}
}

// lifecycleStatus is the part of the status that follows from a decision.
func lifecycleStatus(in input, d decision) v1alpha1.ArchiveTransferStatus {
	at := in.transfer
	s := v1alpha1.ArchiveTransferStatus{
		ObservedGeneration: ptr.To(at.Generation),
		StartTime:          at.Status.StartTime,
		CompletionTime:     at.Status.CompletionTime,
		Duration:           at.Status.Duration,
		Conditions:         ownConditions(at.Status.Conditions, lifecycleConditions()),
		Workers:            workersStatus(in, d.action == actEnd),
	}
	now := metav1.NewTime(in.now.Truncate(time.Second))
	if s.StartTime == nil && d.action == actRunWorkers {
		s.StartTime = &now
	}
	ended := d.action == actEnd
	if ended && s.CompletionTime == nil {
		s.CompletionTime = &now
		if s.StartTime != nil {
			s.Duration = now.Sub(s.StartTime.Time).String()
		}
	}
	set := conditionSetter(&s.Conditions, at.Generation, now)
	set(v1alpha1.ConditionComplete, ended && !d.failed, d.reason, d.message)
	set(v1alpha1.ConditionFailed, ended && d.failed, d.reason, d.message)
	if suspended(in) && !ended {
		set(v1alpha1.ConditionSuspended, true, v1alpha1.ReasonSuspended, "the workers are held back")
	} else {
		set(v1alpha1.ConditionSuspended, false, v1alpha1.ReasonNotSuspended, "nothing holds the workers back")
	}
	set(v1alpha1.ConditionProgressing, d.progressing, d.reason, d.message)
	return s
}

// conditionSetter returns a function that sets one condition and keeps its
// transition time while its status stays.
func conditionSetter(cs *[]metav1.Condition, generation int64, now metav1.Time) func(kind string, is bool, reason, message string) {
	return func(kind string, is bool, reason, message string) {
		status := metav1.ConditionFalse
		if is {
			status = metav1.ConditionTrue
		}
		c := metav1.Condition{Type: kind, Status: status, Reason: reason, Message: truncate(message, maxMessage), ObservedGeneration: generation}
		if old := meta.FindStatusCondition(*cs, kind); old == nil || old.Status != status {
			c.LastTransitionTime = now
		} else if kind == v1alpha1.ConditionProgressing && old.Reason != reason {
			// The reason of Progressing is the transfer's phase: its age matters.
			meta.RemoveStatusCondition(cs, kind)
			c.LastTransitionTime = now
		}
		meta.SetStatusCondition(cs, c)
	}
}

// ownConditions are those conditions that have one of the types.
func ownConditions(cs []metav1.Condition, types []string) []metav1.Condition {
	var own []metav1.Condition
	for _, t := range types {
		if c := meta.FindStatusCondition(cs, t); c != nil {
			own = append(own, *c)
		}
	}
	return own
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

// ended tells whether the transfer is complete or has failed.
func ended(at *v1alpha1.ArchiveTransfer) bool {
	return meta.IsStatusConditionTrue(at.Status.Conditions, v1alpha1.ConditionComplete) ||
		meta.IsStatusConditionTrue(at.Status.Conditions, v1alpha1.ConditionFailed)
}

// quotedWithin is a text between quotes, with everything that does not print escaped, in at
// most about n bytes.
func quotedWithin(text string, n int) string {
	for most := n; ; most /= 2 {
		if q := strconv.Quote(truncate(text, most)); len(q) <= n || most <= 16 {
			return q
		}
	}
}

// truncate cuts a text to at most n bytes, at a character's boundary.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := n - len("…")
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}
