package controllers

import (
	"context"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// leasesOf is an API server that holds nothing but leases of these epochs.
type leasesOf []int64

func (l leasesOf) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	panic("not asked for")
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
