package ui

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
)

// report is the lease of a worker that has sent so much.
func report(instance string, sequence, uptime, bytes, accepted, throttled int64) *v1alpha1.PrefixLease {
	return &v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Name: "w"},
		Spec: v1alpha1.PrefixLeaseSpec{Prefixes: []v1alpha1.PrefixGrant{{Name: "p", Window: ptr.To(int32(4)), MilliRequestsPerSecond: ptr.To(int64(1500))}}},
		Status: v1alpha1.PrefixLeaseStatus{Instance: instance, ReportSequence: &sequence, UptimeMilliseconds: &uptime,
			Prefixes: []v1alpha1.PrefixReport{{Name: "p", Bytes: &bytes, Accepted: &accepted, Throttled: &throttled, ServiceP50Microseconds: ptr.To(int64(30_000))}}}}
}

func TestRatesOfAWorker(t *testing.T) {
	m := meter{}.next(report("a", 1, 1000, 500, 5, 0))
	if m.knowsBytesPerSecond {
		t.Error("one report tells a rate")
	}
	m = m.next(report("a", 2, 3000, 2500, 8, 1))
	if !m.knowsBytesPerSecond || m.bytesPerSecond != 1000 || m.percent != 25 {
		t.Errorf("2000 bytes in 2 s, 1 of 4 requests throttled: %+v", m)
	}
	if again := m.next(report("a", 2, 3000, 2500, 8, 1)); again != m {
		t.Errorf("the same report again changes it to %+v", again)
	}
	idle := m.next(report("a", 3, 4000, 2500, 8, 1))
	if idle.bytesPerSecond != 0 || !idle.knowsBytesPerSecond || idle.knowsThrottle {
		t.Errorf("nothing in 1 s: %+v", idle)
	}
	if other := m.next(report("b", 3, 4000, 9999, 9, 1)); other.knowsBytesPerSecond {
		t.Errorf("another process of the worker: %+v", other)
	}
	if back := m.next(report("a", 3, 2000, 9999, 9, 1)); back.knowsBytesPerSecond {
		t.Errorf("a clock that runs backwards: %+v", back)
	}
}

func TestASampleIsWhatTheStatusSays(t *testing.T) {
	item := moving("a", 1024)
	item.Leases = []v1alpha1.PrefixLease{*report("a", 2, 3000, 2500, 8, 1)}
	meters := map[string]meter{"w": meter{}.next(report("a", 1, 1000, 500, 5, 0)).next(&item.Leases[0])}
	want := map[Key]float64{
		{Whole, "", Throughput}: 1024, {Whole, "", Window}: 8, {Whole, "", Rate}: 2.5, {Whole, "", Throttled}: 1.5, {Whole, "", P50}: 40,
		{ByPrefix, "p", Window}: 8, {ByPrefix, "p", Throttled}: 1.5, {ByPrefix, "p", P50}: 40,
		{ByWorker, "w", Window}: 4, {ByWorker, "w", Rate}: 1.5, {ByWorker, "w", Throughput}: 1000, {ByWorker, "w", Throttled}: 25, {ByWorker, "w", Done}: 2500, {ByWorker, "w", P50}: 30,
	}
	if diff := cmp.Diff(want, sampleOf(item, meters)); diff != "" {
		t.Error(diff)
	}
}

func TestARateOfZeroIsNone(t *testing.T) {
	item := moving("a", 1)
	item.Run.Coordination.MilliRequestsPerSecond = ptr.To(int64(0))
	if rate, ok := sampleOf(item, nil)[Key{Whole, "", Rate}]; ok {
		t.Errorf("unpaced is paced at %v", rate)
	}
}

func TestCurvesOfWorkersAreBounded(t *testing.T) {
	item := moving("a", 1)
	for i := range 3 * sampledWorkers {
		lease := report("a", 1, 1, 1, 1, 1)
		lease.Name = fmt.Sprint(i)
		item.Leases = append(item.Leases, *lease)
	}
	names := map[string]bool{}
	for key := range sampleOf(item, nil) {
		if key.Scope == ByWorker {
			names[key.Name] = true
		}
	}
	if len(names) != sampledWorkers {
		t.Errorf("%d workers have curves", len(names))
	}
}
