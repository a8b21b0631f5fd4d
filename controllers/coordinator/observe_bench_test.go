package coordinator

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// BenchmarkObserve takes in what a thousand workers have reported, of which nothing is new.
func BenchmarkObserve(b *testing.B) {
	l := newLed(b)
	now := l.Clock.Now()
	l.m.pods, l.m.leases = map[string]*corev1.Pod{}, map[string]*v1alpha1.PrefixLease{}
	for i := range 1000 {
		uid := fmt.Sprint("pod-", i)
		l.core.AddWorker(now, protocol.WorkerID(uid), "1", 0)
		pod := &corev1.Pod{}
		pod.UID, pod.Spec.NodeName, pod.Status.Phase = types.UID(uid), "node", corev1.PodRunning
		lease := &v1alpha1.PrefixLease{}
		lease.Spec.PodUID = uid
		lease.Status = v1alpha1.PrefixLeaseStatus{Instance: uid, ReportSequence: ptr.To(int64(1)), UptimeMilliseconds: ptr.To(int64(1000))}
		for p := range 3 {
			lease.Status.Prefixes = append(lease.Status.Prefixes, v1alpha1.PrefixReport{Name: fmt.Sprint(p), Accepted: ptr.To(int64(0))})
		}
		l.m.pods[uid], l.m.leases[uid] = pod, lease
	}
	for b.Loop() {
		if err := l.observe(b.Context(), now, l.m); err != nil {
			b.Fatal(err)
		}
	}
}
