package coordinator

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

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

// BenchmarkDecide is what a tick takes to decide for a thousand workers, of which a hundred have reported
// since the tick before, each on 16 prefixes.
func BenchmarkDecide(b *testing.B) {
	l := newLedFleet(b)
	l.core.SetPlanning("1", false)
	leases, now := slices.Collect(maps.Values(l.m.leases)), l.began
	for p := range 16 {
		planned := protocol.PlannedPrefix{Prefix: fmt.Sprint(p), Planned: protocol.Planned{Archives: 1 << 20, Files: 1 << 20, Bytes: 1 << 40}}
		if err := l.core.PlanPrefix(now, "1", planned); err != nil {
			b.Fatal(err)
		}
	}
	next := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		now = now.Add(2 * time.Second)
		for range 100 {
			reportAnew(leases[next%len(leases)], 2*time.Second)
			next++
		}
		b.StartTimer()
		l.admit(b.Context(), now, l.m)
		if err := l.observe(b.Context(), now, l.m); err != nil {
			b.Fatal(err)
		}
		plan := l.core.Tick(now)
		b.StopTimer()
		for _, g := range plan.Grants {
			if lease := l.m.leases[string(g.Worker)]; isLater(convert.Grant(g), protocol.Grant{Epoch: lease.Spec.Epoch, Sequence: lease.Spec.Sequence}) {
				lease.Spec = convert.Grant(g)
			}
		}
		b.StartTimer()
	}
}

// reportAnew has a lease's worker report that it has sent as much as it may on 16 prefixes.
func reportAnew(lease *v1alpha1.PrefixLease, since time.Duration) {
	s := &lease.Status
	s.ReportSequence, s.UptimeMilliseconds = ptr.To(*s.ReportSequence+1), ptr.To(*s.UptimeMilliseconds+20_000)
	s.ObservedEpoch, s.ObservedSequence = ptr.To(lease.Spec.Epoch), ptr.To(lease.Spec.Sequence)
	s.MaxInFlight = ptr.To(int32(64))
	before := s.Prefixes
	s.Prefixes = nil
	for p := range 16 {
		sent := int64(0)
		if p < len(before) {
			sent = ptr.Deref(before[p].Accepted, 0)
		}
		for _, g := range lease.Spec.Prefixes {
			if g.Name == fmt.Sprint(p) {
				sent += int64(ptr.Deref(g.Window, 0)) * int64(since/(100*time.Millisecond))
			}
		}
		s.Prefixes = append(s.Prefixes, v1alpha1.PrefixReport{
			Name: fmt.Sprint(p), Started: ptr.To(sent), Accepted: ptr.To(sent), Bytes: ptr.To(sent << 20),
			AttemptP50Microseconds: ptr.To(int64(100_000)), MaxInFlight: ptr.To(int32(2)),
		})
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
