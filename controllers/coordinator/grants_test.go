package coordinator

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/workload"
)

// A lease is deleted for a grant that no manager wrote once that was there for all of the
// grace, not for one that was put right long ago; and nothing is remembered of leases that
// are gone.
func TestTheGraceOfForeignGrantsBeginsAnew(t *testing.T) {
	at, grant := photos(), firstGrant()
	lease := leaseOf(grant)
	cluster, clock := newCluster(t, lease, at), newClock()
	d := newDomainOf(t, newLeader(t, cluster, clock))
	lead(t, d, "1", "pod")
	d.claims["1"] = newClaim(v1alpha1.ArchiveTransferStatus{})
	m := &member{transfer: workload.Of(at), leases: map[string]*v1alpha1.PrefixLease{"pod": lease}}
	write := func(epoch int64) {
		t.Helper()
		lease.Spec.Epoch = epoch
		d.handOver(clock.Now(), []*member{m}, protocol.Plan{Grants: []protocol.Grant{grant}}, protocol.Snapshot{})
		settle(t, d)
		clock.Step(2 * foreignGrace)
	}
	there := func() bool {
		err := cluster.Get(t.Context(), client.ObjectKeyFromObject(lease), &v1alpha1.PrefixLease{})
		if client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		return !apierrors.IsNotFound(err)
	}

	for _, epoch := range []int64{8, 7, 8} {
		if write(epoch); !there() {
			t.Fatalf("the lease was deleted at once, with epoch %d", epoch)
		}
	}
	m.leases = nil
	if write(8); len(d.foreign) > 0 {
		t.Error("a lease that is gone is remembered")
	}
	m.leases = map[string]*v1alpha1.PrefixLease{"pod": lease}
	write(8)
	if write(8); there() {
		t.Error("a lease with a grant that no manager wrote was left")
	}
}
