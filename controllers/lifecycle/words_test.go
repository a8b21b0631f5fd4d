package lifecycle

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// blockedBy is what is decided while a worker says that it is blocked.
func blockedBy(reason, message string) decision {
	lease := v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Name: "w"}}
	lease.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.LeaseConditionBlocked, Status: metav1.ConditionTrue, Reason: reason, Message: message}}
	return decideRunning(input{
		transfer: workload.Of(&v1alpha1.ArchiveTransfer{ObjectMeta: metav1.ObjectMeta{UID: "1"}}), workers: &batchv1.Job{},
		leases: []v1alpha1.PrefixLease{lease},
	})
}

func TestAWorkersReasonIsNeverTakenForOurs(t *testing.T) {
	for reason, want := range map[string]string{
		v1alpha1.ReasonBucketNotFound: v1alpha1.ReasonBucketNotFound, v1alpha1.ReasonClockSkewed: v1alpha1.ReasonClockSkewed,
		v1alpha1.ReasonComplete: v1alpha1.ReasonWorkerBlocked, v1alpha1.ReasonFilesFailed: v1alpha1.ReasonWorkerBlocked,
		"Anything": v1alpha1.ReasonWorkerBlocked,
	} {
		if d := blockedBy(reason, "no"); d.reason != want || d.progressing {
			t.Errorf("blocked for %s the transfer says %s, progressing %t, want %s", reason, d.reason, d.progressing, want)
		}
	}
}

func TestAWorkersMessageIsQuotedAndBounded(t *testing.T) {
	message := blockedBy("X", "all done\n\x1b[2J\u202e"+strings.Repeat("é", 30_000)).message
	if want := `worker w reports "all done\n\x1b[2J\u202eé`; !strings.HasPrefix(message, want) {
		t.Errorf("the message is %.60s, want it to begin with %s", message, want)
	}
	if len(message) > objects.MaxMessage {
		t.Errorf("the message has %d bytes, want at most %d", len(message), objects.MaxMessage)
	}
}
