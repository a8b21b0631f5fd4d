package coordinator

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
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
	at := &v1alpha1.ArchiveTransfer{}
	at.Name, at.Namespace, at.UID = "photos", "ns", "1"
	cluster, clock := fake.NewClientBuilder().WithScheme(scheme).WithObjects(lease, at).WithStatusSubresource(at).Build(), testingclock.NewFakeClock(time.Unix(1000, 0))
	shown := newMetrics(t, prometheus.NewRegistry())
	c := &Coordinator{Client: cluster, APIReader: cluster, Clock: clock, Metrics: shown, Rand: rand.New(rand.NewPCG(1, 2)), epoch: 7}
	c.retries = c.newRetries()
	d, err := newDomain(t.Context(), c, "d", protocol.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
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
