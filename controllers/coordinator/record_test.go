package coordinator

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/workload"
)

// A manager leaves the status alone that a later leader has written, and acknowledges nothing
// meanwhile; what a former leader or somebody by hand has written it writes over, though
// nothing has changed since it wrote itself.
func TestTheStatusIsOfTheLatestLeader(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	at := &v1alpha1.ArchiveTransfer{}
	at.Name, at.Namespace, at.UID = "photos", "ns", "1"
	grant := protocol.Grant{Worker: "pod", Transfer: "1", Epoch: 7, Sequence: 1}
	lease := &v1alpha1.PrefixLease{Spec: convert.Grant(grant)}
	lease.Name, lease.Namespace, lease.UID = "w", "ns", "l"
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(at, lease).WithStatusSubresource(at).Build()
	shown := newMetrics(t, prometheus.NewRegistry())
	clock, random := testingclock.NewFakeClock(time.Unix(1000, 0)), rand.New(rand.NewPCG(1, 2))
	c := &Coordinator{Client: cluster, APIReader: cluster, Clock: clock, Metrics: shown, Rand: random, epoch: 7}
	c.retries = c.newRetries()
	d, err := newDomain(t.Context(), c, "d", protocol.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	lead(t, d, "1", "pod")
	d.claims["1"] = newClaim(at.Status)
	acknowledged := false // the lease holds the grant that was decided
	// after has the manager record once the status is of an epoch, and gives whose it is then.
	after := func(epoch int64) int64 {
		t.Helper()
		stands := &v1alpha1.ArchiveTransfer{}
		if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(at), stands); err != nil {
			t.Fatal(err)
		}
		stands.Status.Coordination = &v1alpha1.CoordinationStatus{Domain: "d", Epoch: ptr.To(epoch)}
		if err := cluster.Status().Update(t.Context(), stands); err != nil {
			t.Fatal(err)
		}
		m := &member{transfer: workload.Of(stands), leases: map[string]*v1alpha1.PrefixLease{"pod": lease}}
		grant.Sequence++
		d.handOver(time.Unix(1000, 0), []*member{m}, protocol.Plan{Grants: []protocol.Grant{grant}}, protocol.Snapshot{})
		settle(t, d)
		err := errors.Join(cluster.Get(t.Context(), client.ObjectKeyFromObject(at), stands), cluster.Get(t.Context(), client.ObjectKeyFromObject(lease), lease))
		if err != nil {
			t.Fatal(err)
		}
		acknowledged = lease.Spec.Sequence == grant.Sequence
		return recordedEpoch(workload.Of(stands))
	}

	for _, former := range []int64{0, 6, 6, lastEpoch} {
		if got := after(former); got != 7 || !acknowledged {
			t.Errorf("the status of epoch %d is of %d afterwards, want 7", former, got)
		}
	}
	for range 2 {
		if got := after(8); got != 8 || acknowledged {
			t.Errorf("the status of a later leader is of epoch %d, acknowledged %t", got, acknowledged)
		}
	}
	clock.Step(foreignGrace)
	if got := after(8); got != 7 || !acknowledged {
		t.Errorf("a status by hand is of epoch %d after the grace, want 7", got)
	}
}
