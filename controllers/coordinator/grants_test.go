package coordinator

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/workload"
)

// A lease is deleted for a grant that no manager wrote once that was there for all of the
// grace, not for one that was put right long ago; and nothing is remembered of leases that
// are gone.
func TestTheGraceOfForeignGrantsBeginsAnew(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	grant := protocol.Grant{Worker: "pod", Transfer: "1", Epoch: 7, Sequence: 1}
	lease := &v1alpha1.PrefixLease{Spec: convert.Grant(grant)}
	lease.Name, lease.Namespace, lease.UID, lease.Spec.TransferName = "w", "ns", "l", "photos"
	cluster, clock := fake.NewClientBuilder().WithScheme(scheme).WithObjects(lease).Build(), testingclock.NewFakeClock(time.Unix(1000, 0))
	d := &domain{
		Coordinator: &Coordinator{Client: cluster, APIReader: cluster, Clock: clock}, epoch: 7,
		claims: map[protocol.TransferID]*claim{"1": {}}, foreign: map[types.UID]time.Time{},
	}
	d.retries = d.newRetries()
	at := &v1alpha1.ArchiveTransfer{}
	at.Name, at.Namespace, at.UID = "photos", "ns", "1"
	m := &member{transfer: workload.Of(at), leases: map[string]*v1alpha1.PrefixLease{"pod": lease}}
	write := func(epoch int64) {
		t.Helper()
		lease.Spec.Epoch = epoch
		if err := d.writeGrants(t.Context(), []*member{m}, protocol.Plan{Grants: []protocol.Grant{grant}}); err != nil {
			t.Fatal(err)
		}
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
