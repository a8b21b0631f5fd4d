package coordinator

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/metrics"
	"cargoship.dev/operator/internal/workload"
)

// reportOf is a lease with a report of one prefix.
func reportOf(name, instance string, sequence, accepted, throttled int64, prefix string) *v1alpha1.PrefixLease {
	return &v1alpha1.PrefixLease{
		Spec: v1alpha1.PrefixLeaseSpec{PodUID: name},
		Status: v1alpha1.PrefixLeaseStatus{Instance: instance, ReportSequence: ptr.To(sequence), Prefixes: []v1alpha1.PrefixReport{
			{
				Name: prefix, Accepted: ptr.To(accepted), Throttled: ptr.To(throttled), Hedged: ptr.To(accepted / 10),
				Bytes: ptr.To(100 * accepted),
			},
		}},
	}
}

// wantCounted is what TestReportsAreCountedOnce comes to.
const wantCounted = `
# HELP cargoship_lease_report_age_seconds Age of the oldest last report among a transfer's workers.
# TYPE cargoship_lease_report_age_seconds gauge
cargoship_lease_report_age_seconds{namespace="ns",transfer="at",uid="1"} 5
# HELP cargoship_prefix_hedged_requests_total Second attempts at late requests on a prefix, as reported by workers; cargoship_prefix_requests_total includes them.
# TYPE cargoship_prefix_hedged_requests_total counter
cargoship_prefix_hedged_requests_total{namespace="ns",prefix="p0",transfer="at",uid="1"} 1
# HELP cargoship_prefix_requests_total Requests reported by workers on a prefix, by outcome: accepted, throttled or failed.
# TYPE cargoship_prefix_requests_total counter
cargoship_prefix_requests_total{namespace="ns",outcome="accepted",prefix="p0",transfer="at",uid="1"} 17
cargoship_prefix_requests_total{namespace="ns",outcome="failed",prefix="p0",transfer="at",uid="1"} 0
cargoship_prefix_requests_total{namespace="ns",outcome="throttled",prefix="p0",transfer="at",uid="1"} 1
# HELP cargoship_prefix_sent_bytes_total Payload of the accepted requests reported by workers on a prefix.
# TYPE cargoship_prefix_sent_bytes_total counter
cargoship_prefix_sent_bytes_total{namespace="ns",prefix="p0",transfer="at",uid="1"} 1700
`

// newMetrics are those of a manager, in a registry of their own.
func newMetrics(t testing.TB, registry *prometheus.Registry) *metrics.Metrics {
	t.Helper()
	shown, err := metrics.New(registry)
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

func TestReportsAreCountedOnce(t *testing.T) {
	registry := prometheus.NewRegistry()
	shown := newMetrics(t, registry)
	d, err := newDomain(t.Context(), &Coordinator{Metrics: shown, Clock: clock.RealClock{}, Rand: rand.New(rand.NewPCG(1, 1)), epoch: 1}, "d", protocol.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	planned := map[string]protocol.Recorded{"p0": {}}
	if err := d.core.PutTransfer(time.Unix(0, 0), protocol.Transfer{
		ID: "1", Weight: 1, Config: protocol.DefaultConfig(), Recorded: planned,
	}); err != nil {
		t.Fatal(err)
	}
	c := newClaim(v1alpha1.ArchiveTransferStatus{})
	m := &member{transfer: workload.Of(&v1alpha1.ArchiveTransfer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "at", UID: "1"}})}
	m.leases = map[string]*v1alpha1.PrefixLease{"old": nil, "new": nil}
	now := time.Unix(1000, 0)
	c.sending = takeUp(now, nil, sentCounters{})
	tell := func(after time.Duration, lease *v1alpha1.PrefixLease) {
		m.leases[lease.Spec.PodUID] = lease
		d.count(now.Add(after), m, c, lease)
	}

	c.remember(now, reportOf("old", "a", 7, 50, 5, "p0"))          // counted by a manager before
	tell(1*time.Second, reportOf("old", "a", 8, 60, 6, "p0"))      // 10, 1
	tell(2*time.Second, reportOf("old", "a", 8, 60, 6, "p0"))      // the same again
	tell(3*time.Second, reportOf("new", "b", 1, 4, 0, "p0"))       // 4, 0
	tell(4*time.Second, reportOf("old", "c", 9, 3, 0, "p0"))       // another process: 3, 0
	tell(5*time.Second, reportOf("new", "b", 2, 9, 0, "invented")) // never planned
	d.showReportAge(now.Add(9*time.Second), m, c)

	if err := testutil.GatherAndCompare(registry, strings.NewReader(wantCounted), "cargoship_lease_report_age_seconds",
		"cargoship_prefix_requests_total", "cargoship_prefix_hedged_requests_total", "cargoship_prefix_sent_bytes_total"); err != nil {
		t.Error(err)
	}
	// The curve has what was never planned, too, and when it came.
	if s := c.sending.status(c.reported(m)); fmt.Sprint(s.Bytes, s.Throttled) != "[0 1000 0 400 300 900] [0 1 0 0 0 0]" ||
		len(s.ThrottledPrefixes) != 1 || *s.ThrottledPrefixes[0].Throttled != 1 {
		t.Errorf("bytes %v, throttled %v, by prefix %v", s.Bytes, s.Throttled, s.ThrottledPrefixes)
	}
	delete(m.leases, "old")
	d.showReportAge(now.Add(9*time.Second), m, c)
	if _, remembered := c.lastReports["old"]; remembered {
		t.Error("the reports of a lease that is gone are still remembered")
	}
}
