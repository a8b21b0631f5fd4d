package lifecycle

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/controllers/objects"
)

// endWithNamespace deletes the workers' Job when the namespace is being deleted, and
// tells whether it is. Kubernetes deletes the pods of a namespace before all else, the
// Job controller keeps a failed pod until its index has another, and such a namespace
// takes no other: unless the Job goes, each waits for the other forever.
func (r *Reconciler) endWithNamespace(ctx context.Context, in input) (bool, error) {
	deleted := func(p corev1.Pod) bool { return p.DeletionTimestamp != nil }
	if in.workers == nil || !slices.ContainsFunc(in.pods, deleted) {
		return false, nil
	}
	namespace, err := objects.GetOrNil(ctx, r.APIReader, "", in.transfer.Namespace, &corev1.Namespace{})
	if err != nil {
		return false, fmt.Errorf("check whether the namespace of %s is being deleted: %w", in.transfer, err)
	}
	if namespace == nil || namespace.DeletionTimestamp == nil {
		return false, nil
	}
	return true, r.deleteJob(ctx, in.workers, metav1.DeletePropagationBackground)
}
