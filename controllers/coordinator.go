package controllers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/metrics"
)

// heartbeat is how often the coordinator looks for domains that are due. It
// bounds the jitter of their ticks, not their period.
const heartbeat = 250 * time.Millisecond

// lastEpoch is more than managers will ever begin; a lease that holds a later one
// was edited by hand, and is dropped.
const lastEpoch = 1 << 52

// Coordinator runs one congestion controller per domain, in the manager that
// leads: it reads the workers' reports from their leases, lets the core decide,
// records what has ended and writes the grants that changed. It alone writes
// the spec of PrefixLeases.
type Coordinator struct {
	Client client.Client
	// APIReader reads past the cache, to begin an epoch from what truly stands.
	APIReader client.Reader
	Clock     clock.WithTicker
	Metrics   *metrics.Metrics
	// Rand is the source of jitter.
	Rand *rand.Rand

	epoch   int64
	domains map[string]*domain
}

// NeedLeaderElection keeps the coordinator on the leader.
func (*Coordinator) NeedLeaderElection() bool { return true }

// Start ticks until the context ends. A failed tick is logged and made up for
// by the next: every write states what should be, not what changed.
func (c *Coordinator) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithName("coordinator")
	if err := c.beginEpoch(ctx); err != nil {
		return err
	}
	logger.Info("began an epoch", "epoch", c.epoch)
	ticker := c.Clock.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		if err := c.Tick(ctx); err != nil && ctx.Err() == nil {
			logger.Error(err, "a tick did not do all it should; the next makes up for it")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// beginEpoch takes an epoch above every one that was ever recorded, so that no
// grant of a former leader outlives this one's first.
func (c *Coordinator) beginEpoch(ctx context.Context) error {
	c.domains = map[string]*domain{}
	var transfers v1alpha1.ArchiveTransferList
	if err := c.APIReader.List(ctx, &transfers); err != nil {
		return fmt.Errorf("beginning an epoch: listing ArchiveTransfers: %w", err)
	}
	var leases v1alpha1.PrefixLeaseList
	if err := c.APIReader.List(ctx, &leases); err != nil {
		return fmt.Errorf("beginning an epoch: listing PrefixLeases: %w", err)
	}
	last := int64(0)
	for i := range transfers.Items {
		if s := transfers.Items[i].Status.Coordination; s != nil {
			last = max(last, ptr.Deref(s.Epoch, 0))
		}
	}
	// What workers say of epochs is not asked: they know none but those written here.
	for i := range leases.Items {
		if e := leases.Items[i].Spec.Epoch; e <= lastEpoch {
			last = max(last, e)
		}
	}
	c.epoch = last + 1
	return nil
}

// Tick makes one round over the domains that are due.
func (c *Coordinator) Tick(ctx context.Context) error {
	world, err := c.gather(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for name, members := range world {
		d, err := c.domain(ctx, name, members)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, d.tick(ctx, members))
	}
	for name, d := range c.domains {
		if _, there := world[name]; !there {
			d.close()
			delete(c.domains, name)
		}
	}
	return errors.Join(errs...)
}

// domain returns the controller of a domain, begun anew when it is not there.
func (c *Coordinator) domain(ctx context.Context, name string, members []*member) (*domain, error) {
	if d := c.domains[name]; d != nil {
		return d, nil
	}
	d, err := newDomain(c, name, members)
	if err != nil {
		return nil, fmt.Errorf("taking control of %s: %w", name, err)
	}
	c.domains[name] = d
	log.FromContext(ctx).WithName("coordinator").Info("took control of a domain", "domain", name, "transfers", len(members), "epoch", c.epoch)
	return d, nil
}
