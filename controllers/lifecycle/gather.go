package lifecycle

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// gather reads everything that the decision is based on.
func (r *Reconciler) gather(ctx context.Context, at *workload.Workload) (input, error) {
	in := input{now: r.Clock.Now(), transfer: at}
	var err error
	if in.workers, err = r.job(ctx, at, objects.WorkersJobName(at)); err != nil {
		return in, err
	}
	for _, name := range finishJobNames(at) {
		if in.finish != nil {
			break
		}
		if in.finish, err = r.job(ctx, at, name); err != nil {
			return in, err
		}
	}
	if jobEnded(in.workers) && !objects.Ended(at) && !objects.AllEnded(at.Status.Progress) {
		// Workers end once the API says that all archives have; the cache may know of their Job's end before that.
		if at, err = r.whole(ctx, at); err != nil {
			return in, err
		}
		in.transfer = at
	}
	in.stopped = objects.StoppedBy(in.workers) || objects.StoppedBy(in.finish)
	if err := r.gatherDependents(ctx, &in); err != nil {
		return in, err
	}
	if at.DeletionTimestamp != nil || objects.Ended(at) {
		return in, nil
	}
	if at.Transfer != nil {
		in.disallowed = r.Allowed.judge(at.Transfer.Spec.Source)
	}
	if in.workers == nil {
		p, err := r.gatherPrerequisites(ctx, at)
		if err != nil {
			return in, err
		}
		in.population = p.population
		in.where, in.violation = placementOf(p), firstViolation(preconditions(at), at, p)
	}
	if in.finish != nil && in.population == nil {
		if in.population, err = r.gatherPopulation(ctx, at); err != nil {
			return in, err
		}
	}
	in.rejected, err = r.rejectedPods(ctx, in)
	return in, err
}

// gatherDependents reads the leases and pods of the transfer. They are found by label, but
// anybody may set labels: ownership is decided by the controller reference.
func (r *Reconciler) gatherDependents(ctx context.Context, in *input) error {
	at := in.transfer
	var leases v1alpha1.PrefixLeaseList
	if err := r.Client.List(ctx, &leases, dependentsOf(at)...); err != nil {
		return fmt.Errorf("list the leases of %s: %w", at, err)
	}
	in.leases = slices.DeleteFunc(leases.Items, func(l v1alpha1.PrefixLease) bool { return !metav1.IsControlledBy(&l, at) })
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, dependentsOf(at)...); err != nil {
		return fmt.Errorf("list the pods of %s: %w", at, err)
	}
	in.pods = ownPods(*in, pods.Items)
	if in.finish != nil && countsDiffer(in.finish) && lastWords(*in) == "" {
		// The cache may know of the Job's end before that of its pod, and nobody asks again.
		return r.gatherPodsAgain(ctx, in)
	}
	return nil
}

// gatherPodsAgain reads the pods past the cache, and keeps of them what the cache would.
func (r *Reconciler) gatherPodsAgain(ctx context.Context, in *input) error {
	in.pods = nil
	err := eachPage(ctx, r, func(pods *corev1.PodList) error {
		for _, pod := range ownPods(*in, pods.Items) {
			objects.TrimPod(&pod)
			in.pods = append(in.pods, pod)
		}
		return nil
	}, dependentsOf(in.transfer)...)
	if err != nil {
		return fmt.Errorf("list the pods of %s: %w", in.transfer, err)
	}
	return nil
}

// dependentsOf selects what has the label of the transfer.
func dependentsOf(at *workload.Workload) []client.ListOption {
	return []client.ListOption{client.InNamespace(at.Namespace), client.MatchingLabels{v1alpha1.LabelTransferUID: string(at.UID)}}
}

func ownPods(in input, pods []corev1.Pod) []corev1.Pod {
	return slices.DeleteFunc(pods, func(p corev1.Pod) bool { return !ownPod(in, &p) })
}

// ownPod tells whether one of the transfer's Jobs controls a pod. A Job that has been
// deleted may leave pods that still run; the garbage collector deletes those of a Job
// that never existed.
func ownPod(in input, pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "Job" {
		return false
	}
	for _, job := range []*batchv1.Job{in.workers, in.finish} {
		if job != nil && job.Name == owner.Name {
			return job.UID == owner.UID
		}
	}
	return owner.Name == objects.WorkersJobName(in.transfer) || slices.Contains(finishJobNames(in.transfer), owner.Name)
}
