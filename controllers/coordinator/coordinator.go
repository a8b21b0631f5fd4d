package coordinator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/metrics"
)

// heartbeat is how often the coordinator looks for domains that are due. It
// bounds the jitter of their ticks, not their period.
const heartbeat = 250 * time.Millisecond

const (
	// gatherInterval is how often the coordinator looks for new domains while none is due.
	gatherInterval = time.Second
	// A domain rests for restAfterTick times as long as its tick took, but no longer than
	// longestRest, so that many workers that wait for their first lease do not take the
	// processor from the API server that they wait for.
	restAfterTick = 4
	longestRest   = 2 * time.Second
)

// lastEpoch is more than managers will ever begin; a later one was written by hand. A
// lease that holds such is dropped.
const lastEpoch = 1 << 52

// Coordinator runs one congestion controller per domain, in the manager that
// leads: it reads the workers' reports from their leases, lets the core decide,
// records what has ended and writes the grants that changed. It alone writes
// the spec of PrefixLeases.
type Coordinator struct {
	Client client.Client
	// APIReader reads past the cache, to begin an epoch from the current state.
	APIReader client.Reader
	Clock     clock.WithTicker
	Metrics   *metrics.Metrics
	Recorder  events.EventRecorder
	// Rand is the source of jitter.
	Rand *rand.Rand
	// ReportsPerSecond bounds the reports of the workers of a destination, and likewise
	// their grants; 0 means the default of the core.
	ReportsPerSecond int

	epoch   int64 // of the domain that is taken control of next
	domains map[string]*domain
	// gathered is when the cluster was looked at last.
	gathered time.Time
	// policies are those of the last tick.
	policies *convert.Policies
	// leaving are, by domain, the transfers that have ended or are being deleted, and whose workers may still run.
	leaving map[string][]*member
	// led names the domain that led each destination in the last tick, by its own domain.
	led map[string]string
	// ended tells when domains were ended that are to be begun anew.
	ended map[string]time.Time
	// retries is when what failed is tried again.
	retries *flowcontrol.Backoff
}

// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=archivetransfers;archiverestores,verbs=get;list;watch
// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=archivetransfers/status;archiverestores/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=prefixleases,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=coordinationpolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// NeedLeaderElection keeps the coordinator on the leader.
func (*Coordinator) NeedLeaderElection() bool { return true }

// Start ticks until the context ends. A failed tick is logged and made up for
// by the next: every write states what should be, not what changed.
func (c *Coordinator) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithName("coordinator")
	if err := c.letLand(ctx); err != nil {
		return err
	}
	if err := c.beginEpoch(ctx); err != nil {
		return err
	}
	logger.Info("began an epoch", "epoch", c.epoch)
	ticker := c.Clock.NewTicker(heartbeat)
	defer ticker.Stop()
	defer c.endDomains() // which also writes no more when the leadership is lost
	for {
		if err := safely(func() error { return c.Tick(ctx) }); err != nil && ctx.Err() == nil {
			logger.Error(err, "tick incomplete; will retry")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// endDomains ends what all domains write.
func (c *Coordinator) endDomains() {
	for _, d := range c.domains {
		d.end()
	}
}

// letLand waits, where anything was ever granted, until what a former leader was writing when it ended stands in
// the API and in the cache, or never will. The workers go on meanwhile.
func (c *Coordinator) letLand(ctx context.Context) error {
	var leases v1alpha1.PrefixLeaseList
	if err := c.APIReader.List(ctx, &leases, client.Limit(1)); err != nil {
		return fmt.Errorf("see whether a leader has granted anything: list PrefixLeases: %w", err)
	}
	if len(leases.Items) == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
	case <-c.Clock.After(cacheLag):
	}
	return nil
}

// beginEpoch takes an epoch above every one that was ever recorded, so that no
// grant of a former leader outlives this one's first.
func (c *Coordinator) beginEpoch(ctx context.Context) error {
	c.domains, c.retries = map[string]*domain{}, c.newRetries()
	c.led, c.ended = nil, map[string]time.Time{}
	workloads, err := objects.ListWorkloads(ctx, c.APIReader)
	if err != nil {
		return fmt.Errorf("begin an epoch: %w", err)
	}
	var leases v1alpha1.PrefixLeaseList
	if err := c.APIReader.List(ctx, &leases); err != nil {
		return fmt.Errorf("begin an epoch: list PrefixLeases: %w", err)
	}
	var profiles v1alpha1.DestinationProfileList
	if err := c.APIReader.List(ctx, &profiles); err != nil {
		return fmt.Errorf("begin an epoch: list DestinationProfiles: %w", err)
	}
	last := int64(0)
	recorded := func(epoch int64) {
		if epoch < lastEpoch {
			last = max(last, epoch)
		}
	}
	for i := range profiles.Items {
		recorded(ptr.Deref(profiles.Items[i].Status.Epoch, 0))
	}
	for _, w := range workloads {
		recorded(recordedEpoch(w))
	}
	// What workers say of epochs is not asked: they know none but those written here.
	for i := range leases.Items {
		recorded(leases.Items[i].Spec.Epoch)
	}
	c.epoch = min(last+1, lastEpoch-1)
	return nil
}

// Tick makes one round over the domains that are due.
func (c *Coordinator) Tick(ctx context.Context) error {
	now := c.Clock.Now()
	if !c.isDue(now) {
		return nil
	}
	c.gathered = now
	if err := c.gatherPolicies(ctx); err != nil {
		return err
	}
	world, err := c.gather(ctx)
	if err != nil {
		return err
	}
	c.regroup(ctx, world)
	var errs []error
	for name, members := range world {
		errs = append(errs, c.tickDomain(ctx, name, members))
	}
	for name, d := range c.domains {
		if _, there := world[name]; !there {
			errs = append(errs, safely(func() error { c.close(name, d); return nil }))
			delete(c.domains, name)
			delete(c.ended, name)
		}
	}
	c.retries.GC()
	return errors.Join(errs...)
}

// isDue tells that a domain is due, or that there may be a new one.
func (c *Coordinator) isDue(now time.Time) bool {
	if now.Sub(c.gathered) >= gatherInterval {
		return true
	}
	for _, d := range c.domains {
		if d != nil && !now.Before(d.due) {
			return true
		}
	}
	return false
}

// tickDomain has a domain tick, unless it is parked. One that cannot be taken control of,
// or that panics, is parked with all its transfers; its controller is then begun anew, from what
// the API holds.
func (c *Coordinator) tickDomain(ctx context.Context, name string, members []*member) error {
	key := "domain/" + name
	if c.parked(key) || c.settling(name) {
		return nil
	}
	var d *domain
	err := safely(func() (err error) {
		if d, err = c.domain(ctx, name, members); err != nil {
			return err
		}
		return d.tick(ctx, members)
	})
	var p *panicked
	if d != nil && !errors.As(err, &p) {
		c.unpark(key)
		return err
	}
	if d != nil {
		c.endDomain(name) // its successor adopts what stands, so nothing may come after
	}
	waiting := workloadsOf(members)
	c.parkTransfers(ctx, key, "the coordination of "+name, err, waiting...)
	c.Metrics.Parked(name, len(waiting))
	return nil
}

// close ends the control of a domain that the last transfer has left; nil while it is parked.
func (c *Coordinator) close(name string, d *domain) {
	if d != nil {
		d.dropAbsent(c.Clock.Now(), nil)
		d.end()
	}
	c.Metrics.ForgetDomain(name)
}

// domain returns the controller of a domain, begun anew when it is not there. Each has an
// epoch of its own, so that what one that panicked has granted is older than any of its
// successor's.
func (c *Coordinator) domain(ctx context.Context, name string, members []*member) (*domain, error) {
	if d := c.domains[name]; d != nil {
		return d, nil
	}
	snapshot, err := c.readProfile(ctx, name, members)
	if err != nil {
		return nil, fmt.Errorf("take control of %s: %w", name, err)
	}
	d, err := newDomain(ctx, c, name, snapshot)
	if err != nil {
		return nil, fmt.Errorf("take control of %s: %w", name, err)
	}
	// There is no later epoch than the last one, where the sequences of grants still rise.
	c.epoch = min(c.epoch+1, lastEpoch-1)
	c.domains[name] = d
	log.FromContext(ctx).WithName("coordinator").Info("took control of a domain", "domain", name, "transfers", len(members), "epoch", d.epoch)
	return d, nil
}
