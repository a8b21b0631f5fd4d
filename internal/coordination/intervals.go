package coordination

import (
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// configure derives what depends on all transfers and workers: the intervals, and the
// law, which is the destination's: of each of its parameters the safest value of the
// transfers that hold leases counts. Those without, whatever they ask for, count for
// nothing.
func (c *PipelineCoordinator) configure() {
	idle, opening, stretched := c.idleInterval(), c.idleOf(c.expected()), c.stretched()
	law, live := c.law()
	for _, t := range c.transfers {
		t.idle, t.opening = idle, opening
		t.terms.BaseInterval, t.terms.Duration = t.spec.Config.UpdateInterval, t.spec.Config.LeaseDuration
		if live {
			t.terms.BaseInterval, t.terms.Duration = min(t.terms.BaseInterval, law.UpdateInterval), min(t.terms.Duration, law.LeaseDuration)
		}
		t.terms.BaseInterval = max(t.terms.BaseInterval, stretched)
		t.terms.Duration = leaseDuration(t.terms)
		t.terms.Lifetime, t.terms.Coasting = protocol.Lifetime(t.terms.Duration), t.spec.Config.CoastingTime
		t.work.BaseInterval, t.work.Large = t.terms.BaseInterval, idle > 0
	}
	if live && law != c.control.Config() {
		c.control.Configure(law)
	}
	c.setIntervals()
}

// leaseDuration is so long that some reports may be lost.
func leaseDuration(t lease.Terms) time.Duration { return max(t.Duration, 4*t.BaseInterval) }

// law is what the transfers that hold leases agree on, if there are any.
func (c *PipelineCoordinator) law() (law protocol.Config, live bool) {
	for _, t := range c.transfers {
		switch {
		case !t.counts(c.now):
		case !live:
			law, live = t.spec.Config, true
		default:
			law = law.Safer(t.spec.Config)
		}
	}
	defaults := protocol.DefaultConfig()
	law.UpdateInterval = max(law.UpdateInterval, defaults.UpdateInterval)
	law.LeaseDuration = max(law.LeaseDuration, defaults.LeaseDuration)
	return law, live
}

// counts tells that the transfer has a say in what all of the domain share: a worker of
// it can be granted something.
func (t *transfer) counts(now time.Time) bool {
	return !t.removed && t.coordinated() && !t.spec.Suspended &&
		slices.ContainsFunc(t.workers, func(w *worker) bool { return w.live(now) })
}

// shortestInterval is the shortest report interval while the law moves fast.
const shortestInterval = 500 * time.Millisecond

// setIntervals sets the intervals at which workers report and grants may change: short
// while the law moves fast, as far as the size of the fleet allows.
func (c *PipelineCoordinator) setIntervals() {
	granted := slices.ContainsFunc(c.ordered, func(w *worker) bool { return w.transfer.coordinated() && w.window() > 0 })
	fast := granted && (c.control.FastReporting(c.now) || c.starved()) || !c.control.Begun() && c.wanted() && !c.options.Without.Has(congestion.Haste)
	fastest := max(shortestInterval, c.fastest())
	for _, t := range c.transfers {
		t.terms.Interval = t.terms.BaseInterval
		if fast {
			t.terms.Interval = min(t.terms.BaseInterval, fastest)
		}
	}
}

// wanted tells that there are archives to send.
func (c *PipelineCoordinator) wanted() bool {
	return slices.ContainsFunc(c.transfers, func(t *transfer) bool {
		return t.coordinated() && t.work.Remaining()
	})
}

// starved tells that archives end faster than they are assigned at the base interval.
func (c *PipelineCoordinator) starved() bool {
	return !c.options.Without.Has(congestion.Haste) && slices.ContainsFunc(c.transfers, func(t *transfer) bool {
		return t.work.Waiting() && slices.ContainsFunc(t.workers, func(w *worker) bool { return w.work.Starved() })
	})
}

// ticksPerReport is how many ticks come in a report interval of a large fleet in slow start.
const ticksPerReport = 4

// Interval is how long after a Tick the next should come: soon while a worker has
// no lease yet, since nothing is sent until then.
func (c *PipelineCoordinator) Interval() time.Duration {
	shortest := protocol.DefaultConfig().UpdateInterval
	for _, w := range c.ordered {
		if !w.lease.Held() && !w.lease.Coasts() && !w.leaving() {
			shortest = min(shortest, shortestInterval/2)
		}
	}
	_, live := c.law()
	for _, t := range c.transfers {
		if !live || t.counts(c.now) {
			shortest = min(shortest, t.terms.Interval, t.spec.Config.UpdateInterval)
		}
	}
	if c.large() && c.control.Starting() {
		// A round waits for the last of many reports, and what it decides for a tick.
		shortest = max(shortest/ticksPerReport, shortestInterval/2)
	}
	return shortest
}
