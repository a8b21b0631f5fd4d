package lifecycle

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
)

// Kueue starts a suspended Job again once it has admitted it, whoever suspended it.
func TestWhatKueueHasAdmittedIsHeldWithoutBeingSuspended(t *testing.T) {
	at := transferFrom(v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "c"}}, v1alpha1.Credentials{SecretName: "s"})
	at.Transfer.Spec.Workers.JobLabels = map[string]v1alpha1.LabelValue{objects.LabelQueue: "archives"}
	at.Spec = at.Transfer.Spec.Fleet
	r := newReconciler(t, at.Transfer)
	// run reconciles a few times, as Kueue does, and returns the Job that there is in the end.
	run := func(suspend bool) (job *batchv1.Job) {
		t.Helper()
		at.Spec.Suspend = ptr.To(suspend)
		for range 5 {
			var err error
			if job, err = r.job(t.Context(), at, objects.WorkersJobName(at)); err != nil {
				t.Fatal(err)
			}
			if err := r.runWorkers(t.Context(), input{transfer: at, workers: job}); err != nil {
				t.Fatal(err)
			}
			if job, err = r.job(t.Context(), at, objects.WorkersJobName(at)); err != nil {
				t.Fatal(err)
			}
			if job != nil && ptr.Deref(job.Spec.Suspend, false) {
				t.Fatal("the Job was suspended, and Kueue starts it again")
			}
		}
		return job
	}
	for _, suspend := range []bool{true, false, true, false} {
		if job := run(suspend); (job == nil) != suspend {
			t.Errorf("spec.suspend is %t, and the Job is %v", suspend, job)
		}
	}
	job := run(false)
	if err := r.stopWorkers(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if job = run(false); ptr.Deref(job.Spec.ActiveDeadlineSeconds, 0) != 1 {
		t.Errorf("workers that linger are not ended: %+v", job.Spec)
	}
}
