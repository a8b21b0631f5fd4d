package coordinator

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// What the workers of a transfer have that is being deleted is charged to the others of its domain until they have
// drained or ended, and no longer: not for as long as they may coast.
func TestADeletedTransferIsChargedUntilItsWorkersAreGone(t *testing.T) {
	for name, end := range map[string]func(ledPart){
		"drained": func(c ledPart) {
			lease := &v1alpha1.PrefixLease{}
			c.must(c.cluster.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: "w-films"}, lease))
			lease.Status = v1alpha1.PrefixLeaseStatus{
				Instance: "i", ReportSequence: ptr.To(int64(1)), ObservedEpoch: ptr.To(lease.Spec.Epoch), ObservedSequence: ptr.To(lease.Spec.Sequence),
				Conditions: []metav1.Condition{{Type: v1alpha1.LeaseConditionDrained, Status: metav1.ConditionTrue, Reason: "Drained", LastTransitionTime: metav1.Now()}},
			}
			c.must(c.cluster.Update(t.Context(), lease))
			c.must(c.cluster.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "w-films"}}))
		},
		"failed": func(c ledPart) {
			pod := &corev1.Pod{}
			c.must(c.cluster.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: "w-films"}, pod))
			pod.Status.Phase = corev1.PodFailed
			c.must(c.cluster.Status().Update(t.Context(), pod))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newLedPart(t)
			c.t = t
			c.give(map[string]string{"photos": "kms", "films": "kms"})
			films := c.runPod("films")
			charged := func(after time.Duration) int {
				c.clock.Step(after)
				c.must(c.Tick(t.Context()))
				return c.domains["quota:kms"].core.LimitClaim().InFlight
			}
			before := charged(gatherInterval)
			c.must(retry.RetryOnConflict(retry.DefaultRetry, func() error { // the coordinator writes its status beside
				c.must(c.cluster.Get(t.Context(), client.ObjectKeyFromObject(films), films))
				films.Finalizers = []string{"test/stays"}
				return c.cluster.Update(t.Context(), films)
			}))
			c.must(c.cluster.Delete(t.Context(), films))
			if got := charged(5 * time.Second); got != before {
				t.Errorf("%d are charged once it is deleted, want %d as before", got, before)
			}
			end(c)
			if got := charged(5 * time.Second); got != before/2 {
				t.Errorf("%d are charged once its worker is gone, want half of %d", got, before)
			}
		})
	}
}

func (c ledPart) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// runPod gives the worker of a transfer its pod, and has it coast for an hour.
func (c ledPart) runPod(name string) *v1alpha1.ArchiveTransfer {
	c.t.Helper()
	ctx := c.t.Context()
	at, lease := &v1alpha1.ArchiveTransfer{}, &v1alpha1.PrefixLease{}
	c.must(c.cluster.Get(ctx, types.NamespacedName{Namespace: "ns", Name: name}, at))
	c.must(c.cluster.Get(ctx, types.NamespacedName{Namespace: "ns", Name: "w-" + name}, lease))
	lease.Spec.CoastingDuration = &metav1.Duration{Duration: time.Hour}
	c.must(c.cluster.Update(ctx, lease))
	owned := func(uid types.UID) []metav1.OwnerReference {
		return []metav1.OwnerReference{{UID: uid, Controller: ptr.To(true)}}
	}
	for _, o := range []client.Object{
		&batchv1.Job{ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: objects.WorkersJobName(workload.Of(at)), UID: types.UID("job-" + name), OwnerReferences: owned(at.UID)}},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "w-" + name, UID: types.UID("pod-" + name), OwnerReferences: owned(types.UID("job-" + name))},
			Spec:       corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
		},
	} {
		c.must(c.cluster.Create(ctx, o))
	}
	return at
}
