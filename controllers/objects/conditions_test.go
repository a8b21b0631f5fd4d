package objects

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
)

func TestTransitionTimeChangesWithTheStatusAlone(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	steps := []struct {
		is     bool
		reason string
		want   time.Duration // from start
	}{
		{true, v1alpha1.ReasonPlanning, 0},
		{true, v1alpha1.ReasonTransferring, 0},
		{false, v1alpha1.ReasonBucketNotFound, 2 * time.Minute},
		{false, v1alpha1.ReasonPermissionDenied, 2 * time.Minute},
		{true, v1alpha1.ReasonTransferring, 4 * time.Minute},
	}
	var conditions []metav1.Condition
	for i, step := range steps {
		now := metav1.NewTime(start.Add(time.Duration(i) * time.Minute))
		ConditionSetter(&conditions, 1, now)(v1alpha1.ConditionProgressing, step.is, step.reason, "")
		c := conditions[0]
		if got := c.LastTransitionTime.Sub(start); got != step.want || c.Reason != step.reason {
			t.Errorf("step %d: %s=%s (%s) since %v, want %s since %v", i, c.Type, c.Status, c.Reason, got, step.reason, step.want)
		}
	}
}

func TestTruncateKeepsCharactersWhole(t *testing.T) {
	for n := 4; n < 12; n++ {
		got := Truncate("äöüäöüäöü", n)
		if len(got) > n {
			t.Errorf("truncate to %d bytes gave %d", n, len(got))
		}
		for _, r := range got {
			if r == '\uFFFD' {
				t.Errorf("truncate to %d bytes cut a character: %q", n, got)
			}
		}
	}
}
