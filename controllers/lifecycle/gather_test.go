package lifecycle

import (
	"context"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
)

// TestLastWordsAreReadPastTheCache has a cache that knows of the Job's end, and not yet of its pod's.
func TestLastWordsAreReadPastTheCache(t *testing.T) {
	at := transferFrom(v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "c"}}, v1alpha1.Credentials{})
	finish := &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{Name: finishJobName(at), Namespace: "ns", UID: "job"},
		Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{
			Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonPodFailurePolicy}}},
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "finish", Namespace: "ns", Labels: map[string]string{v1alpha1.LabelTransferUID: string(at.UID)},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(finish, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: exitCountsDiffer, Message: "one is missing"}}}}},
	}
	r := newReconciler(t, at.Object, finish, pod)
	r.Client = interceptor.NewClient(r.Client.(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if _, ok := list.(*corev1.PodList); ok {
				return nil
			}
			return c.List(ctx, list, options...)
		},
	})
	r.APIReader = paged{r.APIReader}
	in := input{transfer: at, finish: finish}
	if err := r.gatherDependents(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
	if d := decide(in); d.reason != v1alpha1.ReasonCountsDiffer || !strings.Contains(d.message, "one is missing") {
		t.Errorf("%s: %s", d.reason, d.message)
	}
}

// TestTheEndOfTheWorkersIsJudgedPastTheCache has a cache that knows of the Job's end, and not yet of what was reported before it.
func TestTheEndOfTheWorkersIsJudgedPastTheCache(t *testing.T) {
	lagging := makeScenario().progress(planningComplete, 5, 2, 0).transfer
	lagging.Transfer.Status = lagging.Status
	lagging.Transfer.Spec.Source.PersistentVolumeClaim = &v1alpha1.ClaimSource{ClaimName: "c"}
	current := lagging.Transfer.DeepCopy()
	current.Status = makeScenario().progress(planningComplete, 5, 5, 0).transfer.Status
	job := jobWith(objects.WorkersJobName(lagging), []batchv1.JobConditionType{batchv1.JobComplete})
	job.Namespace, job.OwnerReferences = "ns", []metav1.OwnerReference{objects.OwnerReference(lagging)}
	in, err := newReconciler(t, current, job).gather(t.Context(), lagging)
	if err != nil {
		t.Fatal(err)
	}
	if d := decide(in); d.action != actFinish {
		t.Errorf("%s: %s, %s", d.action, d.reason, d.message)
	}
}
