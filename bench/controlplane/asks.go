package main

import (
	"context"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/worker"
)

// asks counts what one worker asked of the API server.
type asks struct {
	// Reads and Reports were answered with the lease, Missed with that there is none yet, and
	// Failed not in time or with another error.
	Reads   float64 `json:"reads"`
	Reports float64 `json:"reports"`
	Missed  float64 `json:"missed"`
	Failed  float64 `json:"failed"`
}

func (a asks) plus(b asks) asks {
	return asks{a.Reads + b.Reads, a.Reports + b.Reports, a.Missed + b.Missed, a.Failed + b.Failed}
}

func (a asks) over(n int) asks {
	d := float64(max(n, 1))
	return asks{a.Reads / d, a.Reports / d, a.Missed / d, a.Failed / d}
}

// counted is a worker's lease that counts what is asked of it. It is safe for concurrent use.
type counted struct {
	worker.Leases
	reads, reports, missed, failed atomic.Int64
}

// Read implements worker.Leases.
func (c *counted) Read(ctx context.Context) (*v1alpha1.PrefixLease, error) {
	lease, err := c.Leases.Read(ctx)
	c.count(&c.reads, err)
	return lease, err
}

// Report implements worker.Leases.
func (c *counted) Report(ctx context.Context, status v1alpha1.PrefixLeaseStatus) (*v1alpha1.PrefixLease, error) {
	lease, err := c.Leases.Report(ctx, status)
	c.count(&c.reports, err)
	return lease, err
}

func (c *counted) count(answered *atomic.Int64, err error) {
	switch {
	case err == nil:
		answered.Add(1)
	case apierrors.IsNotFound(err):
		c.missed.Add(1)
	default:
		c.failed.Add(1)
	}
}

func (c *counted) asks() asks {
	return asks{float64(c.reads.Load()), float64(c.reports.Load()), float64(c.missed.Load()), float64(c.failed.Load())}
}
