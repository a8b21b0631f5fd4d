package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// abortPatience is how long the deletion of a transfer waits for its open uploads to be
// aborted before it goes ahead without, with an event.
const abortPatience = 3 * time.Minute

// podPatience is how long pods may take to end before it is said which one has not. It is
// waited for all the same: on a node that is lost it may still write.
const podPatience = 3 * time.Minute

// afterEnd removes what an ended transfer no longer needs, and the transfer itself once
// its time to live is over.
func (r *Reconciler) afterEnd(ctx context.Context, in input) (ctrl.Result, error) {
	r.Metrics.Forget(string(in.transfer.UID))
	if err := errors.Join(r.deleteLeases(ctx, in), r.leaveVolume(ctx, in)); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.settle(ctx, in.transfer); apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: cacheDelay}, nil
	} else if err != nil {
		return ctrl.Result{}, err
	}
	ttl, at := in.transfer.Spec.TTLSecondsAfterFinished, in.transfer
	if ttl == nil || at.Status.CompletionTime == nil {
		return ctrl.Result{}, nil
	}
	due := at.Status.CompletionTime.Add(time.Duration(*ttl) * time.Second)
	if wait := due.Sub(in.now); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	err := r.Client.Delete(ctx, at.Object, client.PropagationPolicy("Background"), client.Preconditions{UID: &at.UID})
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("delete %s after its time to live: %w", at, err)
	}
	return ctrl.Result{}, nil
}

// delete ends a transfer that is being deleted: no worker is left, and no
// multipart upload of its workers either.
func (r *Reconciler) delete(ctx context.Context, in input) (ctrl.Result, error) {
	at := in.transfer
	if !controllerutil.ContainsFinalizer(at.Object, at.Finalizer()) {
		return ctrl.Result{}, nil
	}
	if objects.Ended(at) || at.Status.StartTime == nil && in.workers == nil {
		return ctrl.Result{}, r.release(ctx, in)
	}
	for _, job := range []*batchv1.Job{in.workers, in.finish} {
		if job != nil && job.DeletionTimestamp == nil {
			if err := r.deleteJob(ctx, job, metav1.DeletePropagationBackground); err != nil {
				return ctrl.Result{}, err
			}
		}
	}
	if podsLeft(in.pods, v1alpha1.RoleWorker) {
		return r.awaitPods(ctx, in)
	}
	if at.Restore != nil || at.Status.ChecksumAlgorithm == "" {
		// A restore uploads nothing. The algorithm is recorded before the first archive is assigned: nothing was ever sent.
		return ctrl.Result{}, r.release(ctx, in)
	}
	return r.abortUploads(ctx, in)
}

// awaitPods says which pod keeps the transfer from being deleted, once that takes long.
func (r *Reconciler) awaitPods(ctx context.Context, in input) (ctrl.Result, error) {
	if in.now.Sub(in.transfer.DeletionTimestamp.Time) < podPatience {
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	err := r.report(ctx, in, decision{action: actHold, reason: v1alpha1.ReasonPodsLeft, message: podLeft(in)})
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: cacheDelay}, nil
	}
	return ctrl.Result{RequeueAfter: minBackoff}, client.IgnoreNotFound(err)
}

// abortUploads runs the aborting Job and releases the transfer after it.
func (r *Reconciler) abortUploads(ctx context.Context, in input) (ctrl.Result, error) {
	at := in.transfer
	job, err := r.job(ctx, at, abortJobName(at))
	if err != nil {
		return ctrl.Result{}, err
	}
	if job != nil && jobCondition(job, batchv1.JobComplete) {
		return ctrl.Result{}, r.release(ctx, in)
	}
	rejected, err := r.ensureAbortJob(ctx, in, job)
	if err != nil {
		return ctrl.Result{}, err
	}
	gaveUp := job != nil && (jobCondition(job, batchv1.JobFailed) || in.now.Sub(job.CreationTimestamp.Time) > abortPatience)
	if rejected == "" && !gaveUp {
		return ctrl.Result{RequeueAfter: 2 * time.Second}, nil
	}
	r.Recorder.Eventf(at.Object, nil, corev1.EventTypeWarning, v1alpha1.ReasonFinishFailed, "Abort",
		"multipart uploads under s3://%s/%s could not be aborted %s; list and abort them, or let a lifecycle rule of the bucket abort them",
		at.Location.Bucket, at.Location.Prefix, objects.Truncate(rejected, objects.MaxMessage/2))
	return ctrl.Result{}, r.release(ctx, in)
}

// ensureAbortJob starts the aborting Job, or says why the cluster rejects it,
// as it does in a namespace that is being deleted.
func (r *Reconciler) ensureAbortJob(ctx context.Context, in input, job *batchv1.Job) (rejected string, err error) {
	if job != nil {
		return "", nil
	}
	in.finish = nil
	err = r.startFinish(ctx, in, true)
	var v *rejection
	if errors.As(err, &v) || apierrors.IsForbidden(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return fmt.Sprintf("(%v)", err), nil
	}
	return "", err
}

// release removes the finalizer.
func (r *Reconciler) release(ctx context.Context, in input) error {
	if err := r.deleteLeases(ctx, in); err != nil {
		return err
	}
	at := in.transfer
	if !controllerutil.ContainsFinalizer(at.Object, at.Finalizer()) {
		return nil
	}
	return client.IgnoreNotFound(r.patchFinalizers(ctx, at, controllerutil.RemoveFinalizer))
}

// patchFinalizers changes nothing but the finalizers: fields of a later CRD that this
// manager does not know stay as they are.
func (r *Reconciler) patchFinalizers(ctx context.Context, at *workload.Workload, change func(client.Object, string) bool) error {
	before := at.Object.DeepCopyObject().(client.Object) //nolint:forcetypeassert // A copy has the type of what was copied.
	change(at.Object, at.Finalizer())
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, at.Object, patch); err != nil {
		return fmt.Errorf("patch the finalizers of %s: %w", at, err)
	}
	return nil
}

func (r *Reconciler) deleteLeases(ctx context.Context, in input) error {
	for i := range in.leases {
		if err := r.Client.Delete(ctx, &in.leases[i]); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete PrefixLease %s: %w", client.ObjectKeyFromObject(&in.leases[i]), err)
		}
	}
	return nil
}

// podsLeft tells whether pods of a role may still run.
func podsLeft(pods []corev1.Pod, role string) bool { return firstLeft(pods, role) != nil }

// firstLeft is the pod of a role that may still run, of several the first by name, nil for none.
func firstLeft(pods []corev1.Pod, role string) (first *corev1.Pod) {
	for i := range pods {
		p := &pods[i]
		terminal := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if p.Labels[v1alpha1.LabelRole] == role && !terminal && (first == nil || p.Name < first.Name) {
			first = p
		}
	}
	return first
}

// podLeft says which worker's pod has not ended, and what to do about it.
func podLeft(in input) string {
	p := firstLeft(in.pods, v1alpha1.RoleWorker)
	if p == nil {
		return fmt.Sprintf("Job %s has not ended its pods", objects.WorkersJobName(in.transfer))
	}
	return fmt.Sprintf("waiting for pod %s on node %q to end, since it may still write; if the node is lost, make sure that it is off, "+
		"then delete the Node, or the pod by kubectl delete pod --force -n %s %s", p.Name, p.Spec.NodeName, in.transfer.Namespace, p.Name)
}
