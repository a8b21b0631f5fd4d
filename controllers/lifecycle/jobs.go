package lifecycle

import (
	"context"
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// job reads a Job of the transfer. One of that name which the transfer does not control
// is somebody else's, whatever its labels: it counts for nothing and is left alone.
func (r *Reconciler) job(ctx context.Context, at *workload.Workload, name string) (*batchv1.Job, error) {
	job, err := objects.GetOrNil(ctx, r.Client, at.Namespace, name, &batchv1.Job{})
	if err != nil || job == nil || !metav1.IsControlledBy(job, at) {
		return nil, err
	}
	return job, nil
}

// rejection is an error that only the user can fix; it becomes a condition.
type rejection violation

func (r *rejection) Error() string { return r.message }

// createJob creates a Job. What the cluster rejects, such as a quota does,
// becomes a rejection.
func (r *Reconciler) createJob(ctx context.Context, at *workload.Workload, job *batchv1.Job) error {
	addEnv(job, r.WorkerEnv)
	err := r.Client.Create(ctx, job)
	switch {
	case err == nil:
		return nil
	case apierrors.IsAlreadyExists(err):
		return r.checkOwn(ctx, at, job)
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return &rejection{string(apierrors.ReasonForError(err)), fmt.Sprintf("create Job %s: %v", job.Name, err)}
	default:
		return fmt.Errorf("create Job %s: %w", client.ObjectKeyFromObject(job), err)
	}
}

// addEnv adds variables, as NAME=VALUE, to a Job's containers.
func addEnv(job *batchv1.Job, env []string) {
	for i := range job.Spec.Template.Spec.Containers {
		container := &job.Spec.Template.Spec.Containers[i]
		for _, pair := range env {
			name, value, _ := strings.Cut(pair, "=")
			container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: literal(value)})
		}
	}
}

// checkOwn tells a Job that was created a moment ago, and is not in the cache
// yet, from somebody else's.
func (r *Reconciler) checkOwn(ctx context.Context, at *workload.Workload, job *batchv1.Job) error {
	existing, err := objects.GetOrNil(ctx, r.APIReader, job.Namespace, job.Name, &batchv1.Job{})
	if err != nil || existing == nil || metav1.IsControlledBy(existing, at) {
		return err
	}
	return &rejection{v1alpha1.ReasonNameTaken, fmt.Sprintf(
		"Job %s exists and does not belong to this transfer; delete it, or create the transfer under another name", job.Name)}
}

// queued tells whether Kueue starts and suspends a Job. Whatever we set its suspend field to, Kueue
// sets it again.
func queued(job *batchv1.Job) bool { return job.Labels[objects.LabelQueue] != "" }

// holdWorkers ends the workers until they are to run again. A Job of a queue is deleted, which also
// gives back its quota; it is there until its pods have ended.
func (r *Reconciler) holdWorkers(ctx context.Context, job *batchv1.Job) error {
	switch {
	case job == nil || job.DeletionTimestamp != nil:
		return nil
	case queued(job):
		return r.deleteJob(ctx, job, metav1.DeletePropagationForeground)
	case ptr.Deref(job.Spec.Suspend, false):
		return nil
	default:
		return r.suspendJob(ctx, job, true, true)
	}
}

// stopWorkers ends workers that linger, for good. A Job of a queue ends by its deadline.
func (r *Reconciler) stopWorkers(ctx context.Context, job *batchv1.Job) error {
	if !queued(job) {
		return r.suspendJob(ctx, job, true, false)
	}
	patch := client.MergeFrom(job.DeepCopy())
	job.Spec.ActiveDeadlineSeconds = ptr.To(int64(1))
	if err := r.Client.Patch(ctx, job, patch); err != nil {
		return fmt.Errorf("end Job %s: %w", client.ObjectKeyFromObject(job), err)
	}
	return nil
}

func (r *Reconciler) suspendJob(ctx context.Context, job *batchv1.Job, suspend, mark bool) error {
	patch := client.MergeFrom(job.DeepCopy())
	job.Spec.Suspend = ptr.To(suspend)
	if mark {
		job.Annotations = merged(job.Annotations, map[string]string{objects.AnnotationSuspendedByUs: "true"})
	} else {
		delete(job.Annotations, objects.AnnotationSuspendedByUs)
	}
	if err := r.Client.Patch(ctx, job, patch); err != nil {
		return fmt.Errorf("set suspend of Job %s to %t: %w", client.ObjectKeyFromObject(job), suspend, err)
	}
	return nil
}

// markStopped records that the failure policy ends the transfer, before the coordinator
// drains the workers for it: drained workers do not come back.
func (r *Reconciler) markStopped(ctx context.Context, in input) error {
	if in.stopped || !mustStop(in.transfer) {
		return nil
	}
	patch := client.MergeFrom(in.workers.DeepCopy())
	in.workers.Annotations = merged(in.workers.Annotations, map[string]string{objects.AnnotationStopped: "true"})
	if err := r.Client.Patch(ctx, in.workers, patch); err != nil {
		return fmt.Errorf("mark Job %s as stopped by failures: %w", client.ObjectKeyFromObject(in.workers), err)
	}
	return nil
}

func (r *Reconciler) deleteJob(ctx context.Context, job *batchv1.Job, how metav1.DeletionPropagation) error {
	err := r.Client.Delete(ctx, job, client.PropagationPolicy(how), client.Preconditions{UID: &job.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Job %s: %w", client.ObjectKeyFromObject(job), err)
	}
	return nil
}
