package lifecycle

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// deletedTransfer is one whose deletion began some time ago, after it had sent something.
func deletedTransfer(ago time.Duration) *workload.Workload {
	at := transferFrom(v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "c"}}, v1alpha1.Credentials{SecretName: "s"})
	began := metav1.NewTime(testTime.Add(-ago))
	at.Transfer.Finalizers = []string{at.Finalizer()}
	at.Transfer.DeletionTimestamp, at.Transfer.Status.StartTime = &began, &began
	at.Transfer.Status.ChecksumAlgorithm = "CRC64NVME"
	return workload.Of(at.Transfer)
}

func lostPod(at *workload.Workload) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "p", Namespace: at.Namespace, DeletionTimestamp: at.DeletionTimestamp, Finalizers: []string{"batch.kubernetes.io/job-tracking"},
			Labels:          objects.Labels(at, v1alpha1.RoleWorker),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: objects.WorkersJobName(at), UID: "j", Controller: ptr.To(true)}},
		},
		Spec:   corev1.PodSpec{NodeName: "node-7"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Reason: "NodeLost"},
	}
}

// The transfer stays, since the pod may still write, and says so once.
func TestDeletionSaysWhichPodItWaitsFor(t *testing.T) {
	for ago, want := range map[time.Duration]int{podPatience - time.Second: 0, 24 * time.Hour: 1} {
		at := deletedTransfer(ago)
		r := newReconciler(t, at.Transfer, lostPod(at))
		r.Clock = testingclock.NewFakePassiveClock(testTime)
		key := client.ObjectKeyFromObject(at.Transfer)
		for range 3 {
			if result, err := r.reconcile(t.Context(), workload.KindTransfer, ctrl.Request{NamespacedName: key}); err != nil || result.RequeueAfter == 0 {
				t.Fatalf("%+v, %v", result, err)
			}
		}
		told := r.Recorder.(*events.FakeRecorder).Events //nolint:forcetypeassert // newReconciler made it.
		if len(told) != want {
			t.Errorf("%d events after %s, want %d", len(told), ago, want)
		}
		is := &v1alpha1.ArchiveTransfer{}
		if err := r.Client.Get(t.Context(), key, is); err != nil {
			t.Fatal(err)
		}
		c := meta.FindStatusCondition(is.Status.Conditions, v1alpha1.ConditionProgressing)
		if (c != nil) != (want > 0) || c != nil && (c.Reason != v1alpha1.ReasonPodsLeft || !strings.Contains(c.Message, "pod p on node \"node-7\"")) {
			t.Errorf("the condition after %s is %+v", ago, c)
		}
	}
}

// However long the pods took to end, the aborting Job has its time.
func TestUploadsAreAbortedAfterALongWaitForPods(t *testing.T) {
	at := deletedTransfer(24 * time.Hour)
	r := newReconciler(t, at.Transfer)
	r.Clock = testingclock.NewFakePassiveClock(testTime)
	step := func() (released bool) {
		t.Helper()
		key := client.ObjectKeyFromObject(at.Transfer)
		if _, err := r.reconcile(t.Context(), workload.KindTransfer, ctrl.Request{NamespacedName: key}); err != nil {
			t.Fatal(err)
		}
		left, err := objects.GetOrNil(t.Context(), r.Client, key.Namespace, key.Name, &v1alpha1.ArchiveTransfer{})
		return err == nil && left == nil
	}
	if step() {
		t.Fatal("the transfer was released when its aborting Job was created")
	}
	job := &batchv1.Job{}
	if err := r.Client.Get(t.Context(), client.ObjectKey{Namespace: at.Namespace, Name: abortJobName(at)}, job); err != nil {
		t.Fatal(err)
	}
	job.CreationTimestamp = metav1.NewTime(testTime.Add(-abortPatience))
	if err := r.Client.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if step() {
		t.Error("the transfer was released before its aborting Job had its time")
	}
	r.Clock = testingclock.NewFakePassiveClock(testTime.Add(time.Second))
	if !step() {
		t.Error("the transfer is still there though its aborting Job does not end")
	}
}
