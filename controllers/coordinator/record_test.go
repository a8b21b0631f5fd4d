package coordinator

import (
	"errors"
	"testing"
	"time"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/workload"
)

// A manager leaves the status alone that a later leader has written, and acknowledges nothing
// meanwhile; what a former leader or somebody by hand has written it writes over, though
// nothing has changed since it wrote itself.
func TestTheStatusIsOfTheLatestLeader(t *testing.T) {
	at, grant := photos(), firstGrant()
	lease := leaseOf(grant)
	cluster, clock := newCluster(t, at, lease), newClock()
	d := newDomainOf(t, newLeader(t, cluster, clock))
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
