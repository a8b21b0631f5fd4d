package coordinator

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// BenchmarkObserve takes in what a thousand workers have reported, of which nothing is new.
func BenchmarkObserve(b *testing.B) {
	l := newLedFleet(b)
	for b.Loop() {
		if err := l.observe(b.Context(), l.began, l.m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHandOver hands over what a tick has decided for a thousand workers, of which nothing
// is new.
func BenchmarkHandOver(b *testing.B) {
	l := newLedFleet(b)
	if err := l.observe(b.Context(), l.began, l.m); err != nil {
		b.Fatal(err)
	}
	plan, snapshot := l.core.Tick(l.began), l.core.Snapshot()
	for _, g := range plan.Grants { // all have been written
		lease := l.m.leases[string(g.Worker)]
		lease.Spec, lease.Generation = convert.Grant(g), int64(1)
		l.stands.put(l.began, g.Worker, standingOf(lease))
	}
	for b.Loop() {
		l.handOver(l.began, []*member{l.m}, plan, snapshot)
	}
}

// newLedFleet is a domain of a thousand workers, all of which have reported.
func newLedFleet(b *testing.B) *led {
	l := newLed(b)
	now := l.began
	l.core.RemoveWorker(now, "pod", true)
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
	return l
}
