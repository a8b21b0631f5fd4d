package objects

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
)

// large is text of its own, as what comes from the API server is.
func large(n int) string { return fmt.Sprint(n) + strings.Repeat("x", 200_000) }

// largeMetadata is what whoever creates a pod or a Job may put into it.
func largeMetadata(n int) metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Name: fmt.Sprint(n), Labels: map[string]string{v1alpha1.LabelTransferUID: "u"}, Finalizers: []string{"a/" + large(n)},
		OwnerReferences: []metav1.OwnerReference{{UID: "other", Name: large(n)}, {UID: "job", Controller: ptr.To(true)}},
	}
	for i := range 1000 {
		m.Labels[fmt.Sprintf("%d.example.com/%060d", n, i)] = fmt.Sprintf("%063d", i)
	}
	return m
}

// largePod is a pod of 2 MB.
func largePod(n int) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: largeMetadata(n)}
	p.Annotations = map[string]string{"a": large(n), "b": large(n)}
	p.ManagedFields = []metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(large(n))}}
	p.Spec.NodeName = "node"
	p.Spec.Containers = []corev1.Container{{
		Name: v1alpha1.WorkerContainer, Env: []corev1.EnvVar{{Name: v1alpha1.WorkerConfigEnv, Value: large(n)}},
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}},
	}}
	p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: large(n)}}
	p.Spec.Volumes = []corev1.Volume{{Name: large(n)}}
	p.Status.Phase = corev1.PodPending
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: v1alpha1.WorkerContainer, ImageID: large(n), State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}}}
	return p
}

func largeJob(n int) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: largeMetadata(n)}
	j.Annotations = map[string]string{"a": large(n), AnnotationSuspendedByUs: "true", AnnotationStopped: "true"}
	j.Spec.Suspend, j.Spec.Parallelism = ptr.To(true), ptr.To(int32(3))
	j.Spec.Template.Annotations = map[string]string{"a": large(n), "b": large(n), "c": large(n)}
	return j
}

func largeTransfer(n int) *v1alpha1.ArchiveTransfer {
	at := &v1alpha1.ArchiveTransfer{}
	at.Name = fmt.Sprint(n)
	at.Annotations = map[string]string{lastApplied: large(n)}
	at.ManagedFields = []metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(large(n))}}
	return at
}

// 300 pods, 300 Jobs and 300 transfers, of some GB, take a few.
func TestTheCacheHoldsWhatIsRead(t *testing.T) {
	inUse := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := inUse()
	var kept []any
	for n := range 300 {
		for _, o := range []any{largePod(n), largeJob(n), largeTransfer(n)} {
			trimmed, err := trim(o)
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, trimmed)
		}
	}
	if used := inUse() - before; used > 8<<20 {
		t.Errorf("%d objects take %d bytes in the cache, want at most 8 MiB", len(kept), used)
	}
	pod, job := kept[0].(*corev1.Pod), kept[1].(*batchv1.Job)
	if pod.Labels[v1alpha1.LabelTransferUID] != "u" || pod.Spec.NodeName != "node" || pod.Status.Phase != corev1.PodPending || metav1.GetControllerOf(pod).UID != "job" ||
		pod.Spec.Containers[0].Resources.Limits.Memory().String() != "1Gi" || pod.Status.ContainerStatuses[0].State.Waiting.Reason != "ErrImagePull" {
		t.Errorf("what is read of a pod is gone: %+v", pod)
	}
	if !*job.Spec.Suspend || *job.Spec.Parallelism != 3 || job.Annotations[AnnotationSuspendedByUs] != "true" || !StoppedBy(job) || len(job.Annotations) != 2 {
		t.Errorf("what is read of a Job is gone: %+v", job)
	}
	runtime.KeepAlive(kept)
}

func TestTheCacheDoesNotHoldWhatTheSchemaCannotBound(t *testing.T) {
	at := &v1alpha1.ArchiveTransfer{}
	at.Annotations = map[string]string{"note": "large", AnnotationNotified: "u"}
	at.Spec.Workers.Affinity = &corev1.Affinity{}
	if _, err := trim(at); err != nil {
		t.Fatal(err)
	}
	if len(at.Annotations) != 1 || at.Annotations[AnnotationNotified] != "u" || at.Spec.Workers.Affinity != nil {
		t.Errorf("the cache holds annotations %v and affinity %v", at.Annotations, at.Spec.Workers.Affinity)
	}
}
