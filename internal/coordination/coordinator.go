package coordination

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// defaultReportsPerSecond bounds the reports of a whole fleet, and likewise its grants.
const defaultReportsPerSecond = 50

// Options of a coordinator.
type Options struct {
	// Rand spreads probes in time; required.
	Rand *rand.Rand
	// ReportsPerSecond bounds the reports of the whole fleet, and likewise its grants: the
	// more workers, the less often each reports. 0 means 50.
	ReportsPerSecond int
	// Without are the parts of the law to leave out; for simulations only.
	Without congestion.Mechanism
}

// PipelineCoordinator controls all transfers into one domain: an endpoint and a
// bucket, or several that share a quota. It is not safe for concurrent use.
//
// Observe processes reports as they come. Tick, called once per UpdateInterval, decides the
// grants. The caller must record the finished archives that Progress returns before it
// writes the grants of the next Tick, since these acknowledge them to the workers; and must
// write a grant before it relies on it.
type PipelineCoordinator struct {
	options Options
	started bool
	epoch   int64
	now     time.Time // of the last call that gave a time
	ticked  time.Time
	limits  protocol.Limits // of a policy
	// heard is when a report was taken in last, hearing since when that has been so without
	// a break.
	heard, hearing time.Time
	// lent: some grant had a window, which may stand in the API until its withdrawal does.
	lent bool

	control   *congestion.GlobalCongestionController
	transfers []*transfer // by ID
	tenants   []*tenant   // by name
	members   map[*congestion.Member]*prefix
	workers   map[protocol.WorkerID]*worker
	ordered   []*worker // by ID
	active    int       // of the workers

	decision protocol.Decision // of this tick
	metrics  metrics

	// Scratch of Tick.
	divider fairshare.Divider
	shares  struct {
		tenants   []*fairshare.Tenant
		transfers []*fairshare.Transfer
	}
	controlled []*worker
	growing    []fairshare.Growth
	evidence   []*congestion.Evidence
	grown      []protocol.PrefixCounters // of Observe
}

// NewPipelineCoordinator returns a coordinator that does nothing until Start.
func NewPipelineCoordinator(options Options) (*PipelineCoordinator, error) {
	if options.Rand == nil {
		return nil, errors.New("new pipeline coordinator: the source of randomness is missing")
	}
	options.ReportsPerSecond = cmp.Or(max(0, options.ReportsPerSecond), defaultReportsPerSecond)
	control := congestion.NewGlobalCongestionController(protocol.DefaultConfig(), options.Rand, options.Without)
	return &PipelineCoordinator{options: options, control: control, members: map[*congestion.Member]*prefix{}, workers: map[protocol.WorkerID]*worker{}}, nil
}

// Start begins to lead with the epoch of the snapshot, which must be above every
// earlier one. With a path in the snapshot the coordinator learns for one lease lifetime:
// earlier grants stay in force, and nothing beyond them is granted but the reserve.
func (c *PipelineCoordinator) Start(now time.Time, s protocol.Snapshot) error {
	if c.started {
		return errors.New("start coordinator: it was started before")
	}
	if s.Epoch < 1 {
		return fmt.Errorf("start coordinator: epoch is %d, must be at least 1", s.Epoch)
	}
	if s.Path != nil {
		if err := c.control.Restore(now, s); err != nil {
			return fmt.Errorf("start coordinator: %w", err)
		}
		c.control.Learn(now.Add(max(s.LeaseLifetime, protocol.Lifetime(protocol.DefaultConfig().LeaseDuration))))
	}
	if s.Known != nil {
		c.control.Remember(*s.Known)
	}
	c.started, c.epoch = true, s.Epoch
	c.now, c.ticked = now, now
	c.control.Begin(now)
	return nil
}

// Tick expires leases, applies the law, and returns the desired state of every grant
// (level-triggered): one that did not change keeps its sequence.
func (c *PipelineCoordinator) Tick(now time.Time) protocol.Plan {
	if !c.started {
		return protocol.Plan{}
	}
	c.now = now
	drained := c.control.Undrained()
	c.expire(now)
	c.control.EndLearning(now)
	c.decision = protocol.Decision{}
	c.endRounds(now)
	if c.control.Undrained() < drained {
		c.expire(now) // what may be used coasting is not given to others from now on
	}
	c.chooseActive(now)
	c.configure()
	charged := c.charges(now)
	c.distribute(now, charged)
	c.limitGrants(now, charged)
	c.paceGrants()
	c.paceWorkers()
	c.assign(now)
	for _, t := range c.transfers {
		t.choosePlanner(now)
		c.metrics.ArchivesMoved += t.work.Steal()
	}
	plan := protocol.Plan{Grants: c.issue(now), Decision: c.decision}
	c.metrics.tick(c, now)
	c.ticked = now
	return plan
}

// expire takes back what workers hold whose leases are over.
func (c *PipelineCoordinator) expire(now time.Time) {
	drains := c.control.Undrained() > 1
	for _, w := range slices.Clone(c.ordered) {
		held := w.lease.Held()
		ended := w.lease.Expire(now, drains)
		if held && ended != lease.Nothing && !w.leaving() {
			c.metrics.LeasesExpired++
		}
		if ended == lease.Floored {
			w.release(w.transfer.removed)
		}
		if w.removing && !w.lease.Held() && !w.lease.Coasts() {
			c.removeWorker(w)
		}
	}
}

// coordinatedWorkers gives the workers whose windows are controlled.
func (c *PipelineCoordinator) coordinatedWorkers() []*worker {
	c.controlled = c.controlled[:0]
	for _, w := range c.ordered {
		if w.transfer.coordinated() {
			c.controlled = append(c.controlled, w)
		}
	}
	return c.controlled
}
