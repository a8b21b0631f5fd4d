package objects

import (
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

const (
	// AnnotationSuspendedByUs marks a Job that the transfer's own spec.suspend
	// holds, as opposed to a job queue.
	AnnotationSuspendedByUs = "transfer.cargoship.dev/suspended-by-transfer"
	// AnnotationBudget is the budget that the workers of a Job know, as JSON.
	AnnotationBudget = "transfer.cargoship.dev/budget"
	// AnnotationStopped marks the Jobs of a transfer whose failure policy has ended it. It
	// stays ended then, whatever becomes of the policy.
	AnnotationStopped = "transfer.cargoship.dev/stopped-by-failures"
	// AnnotationNotified holds the ID of the last event that a receiver of notifications took.
	AnnotationNotified = "transfer.cargoship.dev/notified"
)

// LabelQueue names the queue of a Job that Kueue starts and suspends.
const LabelQueue = "kueue.x-k8s.io/queue-name"

// WorkersJobName is the name of the Job of a workload's workers. A transfer and a restore may
// have the same name.
func WorkersJobName(at *workload.Workload) string {
	if at.Restore != nil {
		return at.Name + "-restore"
	}
	return at.Name + "-workers"
}

// Labels are those of everything that is made for a transfer.
func Labels(at *workload.Workload, role string) map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":       "cargoship",
		"app.kubernetes.io/managed-by": "cargoship-manager",
		at.NameLabel():                 at.Name,
		v1alpha1.LabelTransferUID:      string(at.UID),
		v1alpha1.LabelRole:             role,
	}
}

// OwnerReference makes a transfer the controller of what is made for it.
func OwnerReference(at *workload.Workload) metav1.OwnerReference {
	return *metav1.NewControllerRef(at, v1alpha1.GroupVersion.WithKind(at.Kind))
}

// StoppedBy tells whether a Job says that the failure policy has ended its transfer.
func StoppedBy(job *batchv1.Job) bool { return job != nil && job.Annotations[AnnotationStopped] != "" }
