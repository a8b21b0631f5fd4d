package coordination

import (
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// distribute sets the target of every worker prefix: window to tenants to transfers to prefixes
// to workers. Those that do not listen keep what is leased to them.
func (c *PipelineCoordinator) distribute(now time.Time, charged charges) {
	c.shares.tenants, c.shares.transfers = c.shares.tenants[:0], c.shares.transfers[:0]
	for _, x := range c.tenants {
		c.shares.tenants = append(c.shares.tenants, &x.share)
	}
	for _, t := range c.transfers {
		t.prepare(now)
		t.claim()
		for _, l := range t.prefixes {
			l.claim(c.slots(l))
		}
		c.shares.transfers = append(c.shares.transfers, &t.share)
	}
	available := max(0, charged.left(c.control.Bound())-charged.frozen)
	c.divider.Divide(now, c.shares.tenants, c.shares.transfers, available)
}

// slots is how many slots the rate of a prefix can use.
func (c *PipelineCoordinator) slots(l *prefix) int {
	if c.options.Without.Has(congestion.Slots) {
		return fairshare.Unlimited
	}
	if slots, bounded := c.control.Slots(l.member, l.share.Given()); bounded {
		return slots
	}
	return fairshare.Unlimited
}

// claim tells what the transfer and its workers claim in this tick.
func (t *transfer) claim() {
	s, config := &t.share, t.spec.Config
	s.Tenant, s.Weight, s.BaseInterval = &t.tenant.share, t.spec.Weight, t.terms.BaseInterval
	s.Strategy, s.Proportional = config.Strategy, config.BandwidthStrategy == protocol.BandwidthProportional
	s.Fixed, s.FixedPrefixes, s.FixedWindow = config.Uncoordinated, config.MaxPrefixes, config.MaxConcurrentUploads
	s.Workers, s.Ready, s.Free = s.Workers[:0], s.Ready[:0], s.Free[:0]
	for i, w := range t.workers {
		w.share.Place, w.share.Capacity, w.share.Blocked = i, w.capacity(), w.blocked
		for _, wp := range w.prefixes {
			wp.share.Held = wp.work.Held()
		}
		s.Workers = append(s.Workers, &w.share)
		if w.work.Ready {
			s.Ready = append(s.Ready, &w.share)
		}
		if w.work.Ready && !w.blocked {
			s.Free = append(s.Free, &w.share)
		}
	}
}

// claim tells what the prefix can use in this tick.
func (l *prefix) claim(slots int) {
	s := &l.share
	s.Active, s.Queued, s.Slots = l.work.Active(), l.work.Queued(), slots
	s.Efficiency, s.OwnWindow = l.model.Efficiency(), l.model.Window()
}

// prepare tells the scheduler who can work in this tick, and what was measured.
func (t *transfer) prepare(now time.Time) {
	for _, w := range t.workers {
		s := w.work
		s.Ready, s.Missed, s.Blocked = w.ready(now) && w.takesPart() && !t.spec.Suspended, w.missed(now), w.blocked
		s.Capacity, s.Grant = w.capacity(), w.lease.Grant().ID()
	}
	for _, l := range t.prefixes {
		s, m := l.work, &l.model
		s.Latency, s.BaseLatency, s.Bandwidth, s.Failures = m.Latency(), m.BaseLatency(), m.Bandwidth(), m.Failures()
	}
	t.work.Prepare()
}

// limitGrants turns targets into windows such that the sum of the charges stays
// within the bound: what is taken from one worker can be given to another only
// once the first has acknowledged that, or its lease is over. Within one worker
// slots move at once, since it acts on one grant at a time.
func (c *PipelineCoordinator) limitGrants(now time.Time, charged charges) {
	c.growing = c.growing[:0]
	for _, w := range c.ordered {
		w.due = w.lease.Due(now, w.terms(), w.leaving()) || c.hastens(now, w)
		switch leased := w.lease.Leased(); {
		case !w.due:
		case !w.transfer.coordinated():
			w.share.Grow(now, fairshare.Unlimited)
		default:
			wanted := max(0, w.share.Target()-leased)
			if w.overdue(now) {
				wanted = 0 // what is leased to a worker that has died helps nobody
			}
			c.growing = append(c.growing, fairshare.Growth{Worker: &w.share, Charged: leased, Wanted: wanted})
		}
	}
	c.divider.Grow(now, charged.left(c.control.Bound())-charged.leased, c.growing)
	for _, w := range c.ordered {
		w.share.Serve(now)
	}
}

// hastens tells that a decision was made that an active worker of a large fleet is told at once. Ticks
// come more often there than its grants.
func (c *PipelineCoordinator) hastens(now time.Time, w *worker) bool {
	return c.decision.Made() && c.large() && w.active && w.listens && w.lease.Issued() && !w.frozen(now)
}

// paceGrants divides the rate of each group that has one over the worker prefixes with windows.
func (c *PipelineCoordinator) paceGrants() {
	var groups []fairshare.Group
	for _, g := range c.control.Groups() {
		if g.Rate == 0 {
			continue
		}
		group := fairshare.Group{Rate: g.Rate}
		for _, m := range g.Members {
			group.Prefixes = append(group.Prefixes, &c.members[m].share)
		}
		groups = append(groups, group)
	}
	c.divider.Pace(groups, min(c.control.BaseLatency(), c.control.Latency()))
}
