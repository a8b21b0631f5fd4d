package coordination

import (
	"math"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// assign assigns archives to the workers with windows from the queues, and takes back
// what they cannot send.
func (c *PipelineCoordinator) assign(now time.Time) {
	for _, w := range c.ordered {
		for _, wp := range w.prefixes {
			h := wp.work
			h.Window, h.Target, h.MaxInFlight = wp.share.Window, wp.share.Target, wp.counters.MaxInFlight
		}
	}
	for _, t := range c.transfers {
		t.work.Begin(now)
	}
	for _, w := range c.ordered {
		if !w.ready(now) || !w.due(now) || w.transfer.spec.Suspended {
			continue
		}
		w.work.Assign(now)
	}
}

// issue gives the grants as they stand, writing anew those that changed or need
// renewal.
func (c *PipelineCoordinator) issue(now time.Time) []protocol.Grant {
	grants := make([]protocol.Grant, 0, len(c.ordered))
	for _, w := range c.ordered {
		if w.due(now) {
			if c.changed(w) || w.stale(now) {
				c.write(now, w)
			}
			w.lease.Follow()
		}
		grants = append(grants, *w.lease.Grant())
	}
	return grants
}

// changed tells that what the worker should be granted differs from what is.
func (c *PipelineCoordinator) changed(w *worker) bool {
	g, t := w.lease.Grant(), w.transfer
	if !w.lease.Issued() || g.Epoch != c.epoch || g.Drain != w.leaving() || g.Plan != (t.planner == w) ||
		g.Duration != t.terms.Duration || g.ReportInterval != t.terms.Interval {
		return true
	}
	i := 0
	for _, wp := range w.prefixes {
		if !wp.granted() {
			continue
		}
		if i == len(g.Prefixes) || wp.differs(&g.Prefixes[i]) {
			return true
		}
		i++
	}
	return i != len(g.Prefixes)
}

// granted tells that the worker's grant names the prefix.
func (c *workerPrefix) granted() bool {
	return (c.share.Window > 0 || c.work.Held() > 0) && !c.worker.leaving()
}

// rateTolerance is the change of a rate, relative to it, that is not worth a write.
const rateTolerance = 0.01

func (c *workerPrefix) differs(g *protocol.PrefixGrant) bool {
	if g.Prefix != c.prefix.name || g.Window != c.share.Window || math.Abs(g.Rate-c.share.Rate) > rateTolerance*g.Rate {
		return true
	}
	return !c.work.Assigned(g.Assignments)
}

// write issues a new grant.
func (c *PipelineCoordinator) write(now time.Time, w *worker) {
	l, t := &w.lease, w.transfer
	g := protocol.Grant{
		Worker: w.id, Transfer: t.spec.ID,
		Epoch: c.epoch, Sequence: l.Grant().Sequence + 1,
		AcknowledgedReport: l.LastReport(), Instance: l.Instance(),
		Duration: t.terms.Duration, ReportInterval: t.terms.Interval,
		Drain: w.leaving(), Plan: t.planner == w,
	}
	prefixes, archives := w.granted()
	g.Prefixes = slices.Grow(g.Prefixes, prefixes)
	assignments := make([]protocol.Assignment, 0, archives)
	for _, wp := range w.prefixes {
		if wp.granted() {
			wp.entitled = true
			g.Prefixes, assignments = wp.grant(&g, assignments)
			c.lent = c.lent || wp.share.Window > 0
		}
		wp.work.Withhold(g.ID())
	}
	l.Issue(now, g, t.terms.Lifetime)
}

// granted counts the prefixes and the archives that the worker's grant names.
func (w *worker) granted() (prefixes, archives int) {
	for _, wp := range w.prefixes {
		if wp.granted() {
			prefixes++
			archives += wp.work.Held()
		}
	}
	return prefixes, archives
}

// grant writes the part of a grant, its assignments behind those of the prefixes
// before, and notes in which grant each archive first stands.
func (c *workerPrefix) grant(g *protocol.Grant, all []protocol.Assignment) ([]protocol.PrefixGrant, []protocol.Assignment) {
	p := protocol.PrefixGrant{Prefix: c.prefix.name, Window: c.share.Window, Rate: c.share.Rate}
	before := len(all)
	all = c.work.Grant(g.ID(), all)
	if len(all) > before {
		p.Assignments = all[before:len(all):len(all)]
	}
	return append(g.Prefixes, p), all
}
