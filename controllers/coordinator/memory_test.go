package coordinator

import (
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/clock"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/workload"
)

// A worker is granted what its container's memory holds, whatever it says itself.
func TestAWindowFitsTheMemoryOfThePod(t *testing.T) {
	for limit, want := range map[string]int{"": 32, "1Mi": 8, "64Mi": 19} {
		d, err := newDomain(t.Context(), &Coordinator{Clock: clock.RealClock{}, Rand: rand.New(rand.NewPCG(1, 1)), epoch: 1}, "d", protocol.Snapshot{})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1000, 0)
		planned := map[string]protocol.Recorded{"p": {Planned: protocol.Planned{Archives: 1000, Files: 1000, Bytes: 1000}}}
		config := protocol.DefaultConfig()
		if err := d.core.PutTransfer(now, protocol.Transfer{ID: "1", Weight: 1, Config: config, Recorded: planned}); err != nil {
			t.Fatal(err)
		}
		m := &member{transfer: workload.Of(&v1alpha1.ArchiveTransfer{}), pods: map[string]*corev1.Pod{"w": podWithMemory(limit)}}
		m.transfer.UID, d.claims["1"] = "1", newClaim(v1alpha1.ArchiveTransferStatus{})
		if err := d.observe(t.Context(), now, m); err != nil {
			t.Fatal(err)
		}
		if err := d.core.Observe(now, protocol.Report{Worker: "w", Transfer: "1", Instance: "i", Sequence: 1, MaxInFlight: 1000}); err != nil {
			t.Fatal(err)
		}
		window := 0
		for range 30 {
			now = now.Add(config.UpdateInterval)
			for _, g := range d.core.Tick(now).Grants {
				for _, p := range g.Prefixes {
					window = max(window, p.Window)
				}
			}
		}
		if window != want {
			t.Errorf("a worker with a memory limit of %q has a window of %d, want %d", limit, window, want)
		}
	}
}

func podWithMemory(limit string) *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: v1alpha1.WorkerContainer}}}}
	if limit != "" {
		pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)}
	}
	pod.Status.Phase = corev1.PodRunning
	return pod
}
