package objects

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
)

const (
	// MaxMessage bounds the message of a condition, in bytes.
	MaxMessage = 1024
	// MaxWorkerMessage bounds what is shown of a message of a worker, in bytes.
	MaxWorkerMessage = 512
)

// CoordinatorConditions are the conditions that the coordinator writes.
func CoordinatorConditions() []string {
	return []string{v1alpha1.ConditionThrottled, v1alpha1.ConditionDegraded}
}

// ConditionSetter returns a function that sets one condition. Its transition time
// changes only with its status.
func ConditionSetter(cs *[]metav1.Condition, generation int64, now metav1.Time) func(kind string, is bool, reason, message string) {
	return func(kind string, is bool, reason, message string) {
		status := metav1.ConditionFalse
		if is {
			status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(cs, metav1.Condition{Type: kind, Status: status, Reason: reason,
			Message: Truncate(message, MaxMessage), ObservedGeneration: generation, LastTransitionTime: now})
	}
}

// OwnConditions are those conditions that have one of the types.
func OwnConditions(cs []metav1.Condition, types []string) []metav1.Condition {
	var own []metav1.Condition
	for _, t := range types {
		if c := meta.FindStatusCondition(cs, t); c != nil {
			own = append(own, *c)
		}
	}
	return own
}

// Truncate cuts a text to at most n bytes, at a character's boundary.
func Truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := n - len("…")
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}
