package coordinator

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// newCluster returns a client of a cluster that is not there, with some objects.
func newCluster(t testing.TB, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, batchv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.ArchiveTransfer{}, &v1alpha1.DestinationProfile{}).Build()
}

// newClock returns one that stands still.
func newClock() *testingclock.FakeClock { return testingclock.NewFakeClock(time.Unix(1000, 0)) }

// newLeader returns the coordinator of a manager that leads with epoch 7.
func newLeader(t testing.TB, cluster client.WithWatch, at clock.WithTicker) *Coordinator {
	t.Helper()
	c := &Coordinator{
		Client: cluster, APIReader: cluster, Clock: at, Metrics: newMetrics(t, prometheus.NewRegistry()),
		Rand: rand.New(rand.NewPCG(1, 2)), epoch: 7, domains: map[string]*domain{},
		policies: convert.NewPolicies(nil), ended: map[string]time.Time{},
	}
	c.retries = c.newRetries()
	return c
}

// newDomainOf returns a domain of a coordinator, which knows nothing yet.
func newDomainOf(t testing.TB, c *Coordinator) *domain {
	t.Helper()
	d, err := newDomain(t.Context(), c, "d", protocol.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// photos returns a transfer.
func photos() *v1alpha1.ArchiveTransfer {
	at := &v1alpha1.ArchiveTransfer{}
	at.Name, at.Namespace, at.UID = "photos", "ns", "1"
	return at
}

// firstGrant is that of the one worker of the transfer.
func firstGrant() protocol.Grant {
	return protocol.Grant{Worker: "pod", Transfer: "1", Epoch: 7, Sequence: 1}
}

// leaseOf returns a lease that holds a grant.
func leaseOf(grant protocol.Grant) *v1alpha1.PrefixLease {
	lease := &v1alpha1.PrefixLease{Spec: convert.Grant(grant)}
	lease.Name, lease.Namespace, lease.UID, lease.Spec.TransferName = "w", "ns", "l", "photos"
	return lease
}
