package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// +kubebuilder:rbac:groups="",resources=events,verbs=list

const (
	// failedCreate is the reason of the event by which the Job controller reports that it
	// could not create a pod.
	failedCreate = "FailedCreate"
	// rejectionAge is how long such an event counts: the Job controller retries and reports
	// again within a minute or so, though the API may drop some of many events.
	rejectionAge = 10 * time.Minute
)

// rejectedPods is why a Job that should run has no pod: a quota, a limit range or an
// admission policy. Kubernetes reports that only in an event. Once there is a pod, its
// status says what is wrong.
func (r *Reconciler) rejectedPods(ctx context.Context, in input) (*violation, error) {
	jobs := map[string]*batchv1.Job{v1alpha1.RoleWorker: in.workers, v1alpha1.RoleFinisher: in.finish}
	for _, role := range slices.Sorted(maps.Keys(jobs)) { // of two, the same is told each time
		job := jobs[role]
		if job == nil || !active(job) || ptr.Deref(job.Spec.Suspend, false) || podsLeft(in.pods, role) {
			continue
		}
		last, err := r.lastRejection(ctx, job)
		if err != nil {
			return nil, err
		}
		if last != nil && in.now.Sub(last.LastTimestamp.Time) < rejectionAge {
			return &violation{v1alpha1.ReasonPodsRejected, fmt.Sprintf("the cluster rejects the pods of Job %s: %s", job.Name, last.Message)}, nil
		}
	}
	return nil, nil
}

// lastRejection is the latest event by which the Job controller, or somebody who writes events like it,
// reports that it could not create a pod of a Job; nil for none.
func (r *Reconciler) lastRejection(ctx context.Context, job *batchv1.Job) (last *corev1.Event, err error) {
	about := client.MatchingFields{"involvedObject.uid": string(job.UID), "reason": failedCreate}
	err = eachPage(ctx, r, func(events *corev1.EventList) error {
		if last != nil {
			events.Items = append(events.Items, *last)
		}
		last = latest(events.Items).DeepCopy()
		return nil
	}, client.InNamespace(job.Namespace), about)
	if err != nil {
		return nil, fmt.Errorf("list the events of Job %s: %w", client.ObjectKeyFromObject(job), err)
	}
	return last, nil
}

// latest is the event that happened last, nil of none.
func latest(events []corev1.Event) *corev1.Event {
	var last *corev1.Event
	for i := range events {
		if last == nil || events[i].LastTimestamp.After(last.LastTimestamp.Time) {
			last = &events[i]
		}
	}
	return last
}
