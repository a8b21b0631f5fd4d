package coordinator

import (
	"context"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"cargoship.dev/operator/api/v1alpha1"
)

// The cluster is looked at when a domain is due, and now and then for new ones: a look costs
// as much as the fleet is large.
func TestTheClusterIsLookedAtWhenItIsDue(t *testing.T) {
	looks := 0
	cluster := interceptor.NewClient(newCluster(t), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*v1alpha1.PrefixLeaseList); ok {
				looks++
			}
			return c.List(ctx, list, opts...)
		},
	})
	clock := newClock()
	c := newLeader(t, cluster, clock)
	for range 40 { // ten seconds
		if err := c.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.Step(heartbeat)
	}
	if looks != 10 {
		t.Errorf("looked %d times in ten seconds with nothing to control, want 10", looks)
	}
	d := newDomainOf(t, c)
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
