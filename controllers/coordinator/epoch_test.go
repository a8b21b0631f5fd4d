package coordinator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// leasesOf is an API server that holds nothing but leases of these epochs.
type leasesOf []int64

func (l leasesOf) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (l leasesOf) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if leases, ok := list.(*v1alpha1.PrefixLeaseList); ok {
		for _, epoch := range l {
			lease := v1alpha1.PrefixLease{}
			lease.Spec.Epoch = epoch
			leases.Items = append(leases.Items, lease)
		}
	}
	return nil
}

func TestAnEpochIsBelowTheLast(t *testing.T) {
	for name, test := range map[string]struct {
		leases leasesOf
		want   int64
	}{
		"none":                {nil, 1},
		"one recorded":        {leasesOf{7}, 8},
		"the last, by hand":   {leasesOf{7, lastEpoch}, 8},
		"above it, by hand":   {leasesOf{7, lastEpoch + 1}, 8},
		"just below, by hand": {leasesOf{lastEpoch - 1}, lastEpoch - 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Coordinator{APIReader: test.leases}
			if err := c.beginEpoch(t.Context()); err != nil || c.epoch != test.want {
				t.Errorf("epoch %d, error %v; want %d", c.epoch, err, test.want)
			}
		})
	}
}

// Destinations come, and are begun anew after panics, for as long as a manager leads.
func TestNoDomainIsGivenTheLastEpoch(t *testing.T) {
	c := &Coordinator{APIReader: leasesOf{lastEpoch - 2}, Clock: clock.RealClock{}, Rand: rand.New(rand.NewPCG(1, 2))}
	if err := c.beginEpoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		d, err := c.domain(t.Context(), fmt.Sprint(i), nil)
		if err != nil || d.epoch != lastEpoch-1 {
			t.Errorf("domain %d has epoch %d, error %v; want %d", i, d.epoch, err, lastEpoch-1)
		}
	}
}
