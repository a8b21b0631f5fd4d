package record_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
	"cargoship.dev/operator/internal/record"
	"cargoship.dev/operator/internal/sim"
	"cargoship.dev/operator/internal/workload"
)

// recorded is a transfer whose names would tell whose it is, limited as the worker says.
func recorded(by v1alpha1.Bottleneck, state string, milliRate int64) (explain.Run, []v1alpha1.PrefixLease) {
	at := &v1alpha1.ArchiveTransfer{ObjectMeta: metav1.ObjectMeta{Name: "secret-project", Namespace: "secret-team"}}
	at.Spec.Weight = 300
	at.Spec.Destination.Location = v1alpha1.Location{Bucket: "secret-bucket", Prefix: "secret-prefix", Endpoint: "https://secret-host"}
	at.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonTransferring}}
	at.Status.Progress = &v1alpha1.Progress{Planning: "Complete", BytesPerSecond: ptr.To(int64(40e6))}
	at.Status.Coordination = &v1alpha1.CoordinationStatus{State: state, MilliRequestsPerSecond: &milliRate, Domain: "secret-host/secret-bucket"}
	at.Status.Prefixes = []v1alpha1.PrefixStatus{
		{Name: "secret-a", Window: ptr.To(int32(8)), ServiceP50Microseconds: ptr.To(int64(40000)), ServiceP99Microseconds: ptr.To(int64(200000))},
		{Name: "secret-b", ThrottledPerMille: ptr.To(int32(7))},
	}
	l := v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Name: "secret-pod"}}
	l.Spec.Prefixes = []v1alpha1.PrefixGrant{{Name: "secret-a", Window: ptr.To(int32(8))}}
	l.Status = v1alpha1.PrefixLeaseStatus{Instance: "i", UptimeMilliseconds: ptr.To(int64(5000)), MaxInFlight: ptr.To(int32(50)),
		Prefixes: []v1alpha1.PrefixReport{{Name: "secret-a", LimitedBy: by, Accepted: ptr.To(int64(100)), Bytes: ptr.To(int64(100 << 20))}}}
	return explain.FromWorkload(workload.Of(at)), []v1alpha1.PrefixLease{l, l}
}

// What is recorded is a scenario that the simulator takes, and names nothing.
func TestRecord(t *testing.T) {
	for name, tc := range map[string]struct {
		by    v1alpha1.Bottleneck
		state string
		rate  int64
		check func(*sim.Scenario) bool
	}{
		"policer": {v1alpha1.LimitedByRate, "CongestionAvoidance", 123400, func(s *sim.Scenario) bool {
			return s.Partitions[0].Rate == 40 && s.Links[0].Bandwidth == 419.43e6
		}},
		"source": {v1alpha1.LimitedBySource, "CongestionAvoidance", 0, func(s *sim.Scenario) bool {
			return len(s.Transfers[0].Arrivals) == 1 && s.Transfers[0].ArchiveParts == 20
		}},
	} {
		t.Run(name, func(t *testing.T) {
			run, leases := recorded(tc.by, tc.state, tc.rate)
			text, err := record.Scenario(record.Sight{Run: run, Leases: leases})
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(text, "secret") {
				t.Errorf("it names something:\n%s", text)
			}
			s, err := sim.Parse("recorded.yaml", []byte(text))
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			tr := s.Transfers[0]
			if !tc.check(s) || tr.Weight != 300 || tr.PartSize != 1<<20 || tr.Workers[0].Count != 2 || tr.Workers[0].MaxInFlight != 50 || tr.Prefixes[0].Count != 2 {
				t.Errorf("the simulator reads %+v from\n%s", s, text)
			}
		})
	}
	run, leases := recorded(v1alpha1.LimitedByRate, "SlowStart", 0)
	run.Progress.BytesPerSecond = nil
	for i := range leases {
		leases[i].Status.Prefixes = nil
	}
	if _, err := record.Scenario(record.Sight{Run: run, Leases: leases}); err == nil || !strings.Contains(err.Error(), "sends nothing") {
		t.Errorf("nothing was sent: %v", err)
	}
}

// A transfer that has ended is recorded by its mean throughput.
func TestRecordOfTheEnd(t *testing.T) {
	run, _ := recorded(v1alpha1.LimitedByRate, "", 0)
	run.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonComplete}}
	run.Progress.Done = &v1alpha1.Tally{Files: ptr.To(int64(10)), Bytes: ptr.To(int64(10 << 20))}
	text, err := record.Scenario(record.Sight{Run: run})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sim.Parse("recorded.yaml", []byte(text))
	if err != nil || s.Links[0].Bandwidth != 40e6 || s.Transfers[0].PartSize != 1<<20 {
		t.Errorf("%v: %+v from\n%s", err, s, text)
	}
}
