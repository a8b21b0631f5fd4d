package coordination

import (
	"math"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// assign fills the hands of the workers with windows from the queues, and takes back
// what they cannot send.
func (c *PipelineCoordinator) assign(now time.Time) {
	for _, t := range c.transfers {
		t.measureDrains()
		for _, l := range t.lanes {
			l.sharing = 0
			if !l.available() {
				l.served = now
			}
		}
	}
	for _, w := range c.ordered {
		w.serves, w.granting = 0, w.window()
		for _, cell := range w.cells {
			if cell.share.Window > 0 {
				cell.lane.sharing++
				w.serves++
			}
		}
	}
	for _, w := range c.ordered {
		if !w.ready(now) || !w.due(now) || w.transfer.spec.Suspended {
			continue
		}
		w.recallWaiting()
		if !w.blocked {
			w.refill(now)
		}
	}
}

// waits tells that the worker holds archives of the prefix and has no window there.
func (c *cell) waits() bool { return len(c.held) > 0 && c.share.Window == 0 }

// recallWaiting recalls what the worker cannot send for want of a window, but for the
// archive that it sends first there, which it may have begun.
func (w *worker) recallWaiting() {
	for _, c := range w.cells {
		for c.share.Target == 0 && c.waits() && len(c.held) > 1 {
			c.recall()
		}
	}
}

// refill fills the hands of a worker. What it is offered changes for the prefix that it
// took the last archive of and for no other, so each is rated once and that one again.
func (w *worker) refill(now time.Time) {
	offers := w.transfer.offers[:0]
	for _, c := range w.cells {
		if o, ok := c.offer(); ok {
			offers = append(offers, o)
		}
	}
	w.transfer.offers = offers
	for w.held < protocol.MaxOutstanding && len(offers) > 0 {
		i := best(offers)
		c := offers[i].cell
		again := false
		if w.accepts(now, c.lane) {
			if a, ok := c.lane.take(); ok {
				c.lane.served = now
				w.hold(c, a)
			}
			offers[i], again = c.offer()
		}
		if !again {
			offers = slices.Delete(offers, i, i+1)
		}
	}
	w.handed = w.held
}

// depth is how many archives the worker may hold of the lane: fewer towards the
// end, so that the last ones spread over all workers.
func (c *cell) depth() int {
	workers := 2 * c.lane.sharing
	if c.lane.sharing == 1 {
		workers = 1 // nobody to leave any to
	}
	fair := (c.lane.remaining() + workers - 1) / workers
	most := int(c.lane.transfer.mostUnfinished()) / c.lane.sharing
	return min(c.ahead(), max(1, min(fair, most)))
}

// ahead is how many archives of the lane, which has a window, the worker may hold
// before the end: PipelineDepth for each prefix that it serves, and of all these by
// its window here. A worker has most of its window on one prefix, and would send what
// is PipelineDepth archives there before it is given more.
func (c *cell) ahead() int {
	w := c.worker
	depth := float64(w.transfer.spec.Config.PipelineDepth * w.serves)
	depth = max(depth, aheadIntervals*w.turnover*w.transfer.terms.Leisure.Seconds())
	return min(max(1, int(depth)*c.share.Window/max(1, w.granting)), protocol.MaxPipelineDepth)
}

// issue gives the grants as they stand, writing anew those that changed or need
// renewal.
func (c *PipelineCoordinator) issue(now time.Time) []protocol.Grant {
	grants := make([]protocol.Grant, 0, len(c.ordered))
	for _, w := range c.ordered {
		if w.due(now) && (c.changed(w) || w.stale(now)) {
			c.write(now, w)
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
	for _, cell := range w.cells {
		if !cell.granted() {
			continue
		}
		if i == len(g.Prefixes) || cell.differs(&g.Prefixes[i]) {
			return true
		}
		i++
	}
	return i != len(g.Prefixes)
}

// granted tells that the worker's grant names the lane.
func (c *cell) granted() bool {
	return (c.share.Window > 0 || len(c.held) > 0) && !c.worker.leaving()
}

// aheadIntervals between reports, at leisure, are what a worker is given archives for.
const aheadIntervals = 2

// rateTolerance is the change of a rate, relative to it, that is not worth a write.
const rateTolerance = 0.01

func (c *cell) differs(g *protocol.PrefixGrant) bool {
	if g.Prefix != c.lane.name || g.Window != c.share.Window || len(g.Assignments) != len(c.held) ||
		math.Abs(g.Rate-c.share.Rate) > rateTolerance*g.Rate {
		return true
	}
	for i, h := range c.held {
		if g.Assignments[i].Archive.Number != h.number || g.Assignments[i].Attempt != h.attempts {
			return true
		}
	}
	return false
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
	for _, cell := range w.cells {
		if cell.granted() {
			cell.entitled = true
			g.Prefixes, assignments = cell.grant(&g, assignments)
			c.lent = c.lent || cell.share.Window > 0
		}
		for _, h := range cell.recalled {
			if h.recall == (protocol.GrantID{}) {
				h.recall = g.ID()
			}
		}
	}
	l.Issue(now, g, t.terms.Lifetime)
}

// granted counts the prefixes and the archives that the worker's grant names.
func (w *worker) granted() (prefixes, archives int) {
	for _, cell := range w.cells {
		if cell.granted() {
			prefixes++
			archives += len(cell.held)
		}
	}
	return prefixes, archives
}

// grant writes the cell's part of a grant, its assignments behind those of the cells
// before, and notes in which grant each archive first stands.
func (c *cell) grant(g *protocol.Grant, all []protocol.Assignment) ([]protocol.PrefixGrant, []protocol.Assignment) {
	p := protocol.PrefixGrant{Prefix: c.lane.name, Window: c.share.Window, Rate: c.share.Rate}
	before := len(all)
	for _, h := range c.held {
		if !h.granted {
			h.granted, h.first = true, g.ID()
		}
		all = append(all, protocol.Assignment{
			Archive: protocol.ArchiveID{Transfer: g.Transfer, Prefix: c.lane.name, Number: h.number}, Attempt: h.attempts,
		})
	}
	if len(all) > before {
		p.Assignments = all[before:len(all):len(all)]
	}
	return append(g.Prefixes, p), all
}
