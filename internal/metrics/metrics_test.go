package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

func registered(t *testing.T) (*Metrics, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	m, err := New(registry)
	if err != nil {
		t.Fatal(err)
	}
	return m, registry
}

func sample() (*workload.Workload, v1alpha1.ArchiveTransferStatus) {
	at := workload.Of(&v1alpha1.ArchiveTransfer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "at", UID: "1"}})
	at.Status.Conditions = []metav1.Condition{{Type: "Progressing", Status: metav1.ConditionTrue}}
	at.Status.Workers = &v1alpha1.WorkersStatus{Desired: ptr.To(int32(3))}
	return at, v1alpha1.ArchiveTransferStatus{
		Conditions:   []metav1.Condition{{Type: "Degraded", Status: metav1.ConditionFalse}},
		Coordination: &v1alpha1.CoordinationStatus{State: "FastRecovery", LimitedBy: v1alpha1.LimitPolicer},
		Failures:     []v1alpha1.ArchiveFailure{{Reason: "Changed"}, {Reason: "Unreadable"}, {Reason: "Changed"}},
		Progress:     &v1alpha1.Progress{Done: &v1alpha1.Tally{Bytes: ptr.To(int64(7))}},
		Prefixes:     []v1alpha1.PrefixStatus{{Name: "p0", Window: ptr.To(int32(9))}},
	}
}

func TestTransferShowsConditionsStateAndFailures(t *testing.T) {
	m, registry := registered(t)
	at, status := sample()
	m.Lifecycle(at, at.Status)
	m.Transfer(at, status)
	status.Coordination.State, status.Failures = "CongestionAvoidance", status.Failures[:2]
	status.Coordination.LimitedBy = v1alpha1.LimitPath
	m.Transfer(at, status)
	want := `
# HELP cargoship_transfer_condition Conditions of a transfer: 1 if true, 0 otherwise.
# TYPE cargoship_transfer_condition gauge
cargoship_transfer_condition{condition="Degraded",namespace="ns",transfer="at",uid="1"} 0
cargoship_transfer_condition{condition="Progressing",namespace="ns",transfer="at",uid="1"} 1
# HELP cargoship_transfer_congestion_state 1 for the current congestion control state of a transfer's first prefix; other states are absent.
# TYPE cargoship_transfer_congestion_state gauge
cargoship_transfer_congestion_state{namespace="ns",state="CongestionAvoidance",transfer="at",uid="1"} 1
# HELP cargoship_transfer_failed_archives Archives of a transfer with failed files, by reason: those listed in the status, 32 at most.
# TYPE cargoship_transfer_failed_archives gauge
cargoship_transfer_failed_archives{namespace="ns",reason="Changed",transfer="at",uid="1"} 1
cargoship_transfer_failed_archives{namespace="ns",reason="Unreadable",transfer="at",uid="1"} 1
# HELP cargoship_transfer_limited_by 1 for what limits a transfer now, as in status.coordination.limitedBy; others are absent.
# TYPE cargoship_transfer_limited_by gauge
cargoship_transfer_limited_by{limit="Path",namespace="ns",transfer="at",uid="1"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "cargoship_transfer_condition",
		"cargoship_transfer_congestion_state", "cargoship_transfer_failed_archives", "cargoship_transfer_limited_by"); err != nil {
		t.Error(err)
	}
}

// A restore has the series of a transfer, under its own names, and says why it waits before
// the coordinator knows it.
func TestRestoreShowsWhatATransferShows(t *testing.T) {
	m, registry := registered(t)
	ar := workload.Of(&v1alpha1.ArchiveRestore{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "ar", UID: "2"}})
	held := v1alpha1.ArchiveTransferStatus{Conditions: []metav1.Condition{
		{Type: "Progressing", Status: metav1.ConditionFalse, Reason: "TargetTooSmall"}, {Type: "Stalled", Status: metav1.ConditionTrue}}}
	m.Lifecycle(ar, held)
	held.Conditions = []metav1.Condition{
		{Type: "Progressing", Status: metav1.ConditionTrue, Reason: "Thawing"}, {Type: "Stalled", Status: metav1.ConditionFalse}}
	m.Lifecycle(ar, held)
	_, status := sample()
	m.Transfer(ar, status)
	want := `
# HELP cargoship_restore_bytes Bytes of a restore by outcome: planned, done, failed or skipped.
# TYPE cargoship_restore_bytes gauge
cargoship_restore_bytes{namespace="ns",outcome="done",restore="ar",uid="2"} 7
# HELP cargoship_restore_condition Conditions of a restore: 1 if true, 0 otherwise.
# TYPE cargoship_restore_condition gauge
cargoship_restore_condition{condition="Degraded",namespace="ns",restore="ar",uid="2"} 0
cargoship_restore_condition{condition="Progressing",namespace="ns",restore="ar",uid="2"} 1
cargoship_restore_condition{condition="Stalled",namespace="ns",restore="ar",uid="2"} 0
# HELP cargoship_restore_reason 1 for the reason of the condition Progressing of a restore; others are absent.
# TYPE cargoship_restore_reason gauge
cargoship_restore_reason{namespace="ns",reason="Thawing",restore="ar",uid="2"} 1
`
	names := []string{"cargoship_restore_bytes", "cargoship_restore_condition", "cargoship_restore_reason", "cargoship_transfer_bytes", "cargoship_transfer_condition"}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	m.Gone(workload.KindTransfer, "ns", "ar")
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Errorf("a transfer of that name is gone: %v", err)
	}
	m.Gone(workload.KindRestore, "ns", "ar")
	if n, err := testutil.GatherAndCount(registry, names...); err != nil || n > 0 {
		t.Errorf("%d series are left of a restore that is gone, error %v", n, err)
	}
}

func TestNothingIsLeftOfWhatIsForgotten(t *testing.T) {
	m, registry := registered(t)
	at, status := sample()
	m.Transfer(at, status)
	m.Lifecycle(at, at.Status)
	m.Reported(at, "p0", Requests{Accepted: 1, Throttled: 1, Failed: 1, Bytes: 1})
	m.ReportAge(at, time.Second)
	m.Coordination("domain", &v1alpha1.CoordinationMetrics{OverheadPerMille: ptr.To(int32(1)), CongestionEvents: ptr.To(int64(1))})
	m.Transition("domain", "SlowStart", "CongestionAvoidance", "Queue")
	m.IgnoredReport("domain")
	m.Tick("domain", time.Millisecond, time.Millisecond)
	if n, err := testutil.GatherAndCount(registry); err != nil || n < 20 {
		t.Fatalf("%d series, error %v, want those of a transfer and a domain", n, err)
	}
	m.Forget("1")
	m.ForgetDomain("domain")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		t.Errorf("%s is left", family.GetName())
	}
}

// A new manager counts from 0, which a counter does not go back to.
func TestCountsOfADomainGoOn(t *testing.T) {
	m, _ := registered(t)
	for _, step := range []struct {
		count int64
		want  float64
	}{{3, 3}, {3, 3}, {5, 5}, {1, 6}, {2, 7}} {
		m.Coordination("domain", &v1alpha1.CoordinationMetrics{CongestionEvents: &step.count})
		if got := testutil.ToFloat64(m.domainCounts[1]); got != step.want {
			t.Errorf("%v cuts counted, want %v", got, step.want)
		}
	}
	m.ForgetDomain("domain")
	if n := testutil.CollectAndCount(m.domainCounts[1]); n != 0 {
		t.Errorf("%d counters are left of a domain that is gone", n)
	}
}
