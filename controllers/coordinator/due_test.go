package coordinator

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// The cluster is looked at when a domain is due, and now and then for new ones: a look costs
// as much as the fleet is large.
func TestTheClusterIsLookedAtWhenItIsDue(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, batchv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	looks := 0
	cluster := interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).Build(), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*v1alpha1.PrefixLeaseList); ok {
				looks++
			}
			return c.List(ctx, list, opts...)
		},
	})
	shown := newMetrics(t, prometheus.NewRegistry())
	clock := testingclock.NewFakeClock(time.Unix(1000, 0))
	c := &Coordinator{Client: cluster, APIReader: cluster, Clock: clock, Metrics: shown, Rand: rand.New(rand.NewPCG(1, 2)), epoch: 7}
	c.domains, c.retries = map[string]*domain{}, c.newRetries()
	for range 40 { // ten seconds
		if err := c.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.Step(heartbeat)
	}
	if looks != 10 {
		t.Errorf("looked %d times in ten seconds with nothing to control, want 10", looks)
	}
	d, err := newDomain(t.Context(), c, "d", protocol.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	looks = 0
	for range 40 {
		c.domains["d"], d.due = d, clock.Now()
		if err := c.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.Step(heartbeat)
	}
	if looks != 40 {
		t.Errorf("looked %d times at 40 ticks that were due", looks)
	}
}
