package coordination

import (
	"math"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// limitGrants turns targets into windows such that the sum of the charges stays
// within the bound: what is taken from one worker can be given to another only
// once the first has acknowledged that, or its lease is over. Within one worker
// slots move at once, since it acts on one grant at a time.
func (c *PipelineCoordinator) limitGrants(now time.Time) {
	free := c.control.Bound()
	free -= c.chargeFloors(free)
	c.growing = c.growing[:0]
	claims := c.allocator.claims[:0]
	for _, w := range c.ordered {
		charged := w.lease.Leased()
		if w.transfer.coordinated() {
			free -= charged
		}
		if !w.due(now) {
			continue
		}
		if growth := w.target() - charged; growth > 0 && w.transfer.coordinated() {
			if w.overdue(now) {
				growth = 0 // what is leased to a worker that has died helps nobody
			}
			c.growing = append(c.growing, w)
			claims = append(claims, claim{weight: 1, demand: float64(growth), rank: w.since.UnixNano()})
			continue
		}
		w.grow(now, unlimited)
	}
	c.allocator.claims = claims
	c.allocator.divide(free, claims)
	for i, w := range c.growing {
		w.grow(now, w.lease.Leased()+claims[i].share)
	}
	for _, w := range c.ordered {
		if serving := w.window() > 0; serving != w.serving {
			w.serving, w.since = serving, now
		}
	}
}

// target sums the slots that the worker should have.
func (w *worker) target() int {
	sum := 0
	for _, cell := range w.cells {
		sum += cell.target
	}
	return sum
}

// grow sets the windows to their targets, short of what exceeds the most in all.
// That is cut from the windows that grow: the others fit, as they did before.
func (w *worker) grow(now time.Time, most int) {
	excess := w.target() - most
	for _, cell := range w.cells {
		cut := max(0, min(excess, cell.target-cell.window))
		window := cell.target - cut
		if (window > 0) != (cell.window > 0) {
			cell.since = now
		}
		cell.window = window
		excess -= cut
	}
}

// paceGrants divides the rate of each group that has one over the cells with windows.
func (c *PipelineCoordinator) paceGrants() {
	c.cells = c.cells[:0]
	for _, t := range c.transfers {
		for _, l := range t.lanes {
			l.pace = pace{}
		}
	}
	for _, w := range c.ordered {
		for _, cell := range w.cells {
			cell.rate = 0
			if cell.window > 0 && w.transfer.coordinated() && cell.lane.member.Paced() {
				cell.lane.pace.window += cell.window
				c.cells = append(c.cells, cell)
			}
		}
	}
	if len(c.cells) == 0 {
		return
	}
	for _, g := range c.control.Groups() {
		if g.Rate > 0 {
			c.paceTransfers(c.lanesOf(g))
		}
	}
	for _, cell := range c.cells {
		l := cell.lane
		cell.rate = max(slowestPace, l.pace.rate*float64(cell.window)/float64(l.pace.window))
	}
}

// groupLanes is a group's rate, and the lanes that share it.
type groupLanes struct {
	rate  float64
	lanes []*lane
}

// lanesOf finds the lanes of a group, in its order.
func (c *PipelineCoordinator) lanesOf(g congestion.Group) groupLanes {
	c.rated = c.rated[:0]
	for _, m := range g.Members {
		c.rated = append(c.rated, c.members[m])
	}
	return groupLanes{g.Rate, c.rated}
}

// slowestPace in requests per second is the least that a grant can say.
const slowestPace = 0.001

// pace is a transfer's or a lane's part of a group's rate.
type pace struct {
	window int     // granted
	rate   float64 // requests per second
}

// paceTransfers divides the rate of a group over tenants, over the transfers of each by
// weight, then over prefixes. No party is given more than its window can use: by Little's law
// window/latency requests per second, and half as many again for the scatter. The
// latency is the smaller of T₀ and the present one: either can be that of a few late
// answers, and who is granted too little sends too little to show it.
func (c *PipelineCoordinator) paceTransfers(g groupLanes) {
	latency := min(c.control.BaseLatency(), c.control.Latency())
	usable := func(window int) float64 {
		if latency <= 0 && window > 0 {
			return unlimited
		}
		return 1.5 * float64(window) / max(latency, 1e-9)
	}
	for _, t := range c.transfers {
		t.pace = pace{}
	}
	for _, l := range g.lanes {
		l.transfer.pace.window += l.pace.window
	}
	c.paceTenants(g, usable)
	for _, x := range c.tenants {
		claims := c.allocator.claims[:0]
		for _, t := range x.transfers {
			claims = append(claims, claim{weight: float64(t.spec.Weight), demand: usable(t.pace.window)})
		}
		c.allocator.claims = claims
		c.allocator.fill(x.pace.rate, claims)
		for i, t := range x.transfers {
			t.pace.rate = claims[i].fair
		}
		for _, t := range x.transfers {
			if t.pace.window > 0 {
				c.paceLanes(g, t, usable)
			}
		}
	}
}

// paceLanes divides a transfer's part of the rate of a group over its prefixes.
func (c *PipelineCoordinator) paceLanes(g groupLanes, t *TransferScheduler, usable func(window int) float64) {
	claims := c.allocator.claims[:0]
	for _, l := range g.lanes {
		if l.transfer != t {
			continue
		}
		weight := 1.0
		if t.spec.Config.BandwidthStrategy == protocol.BandwidthProportional {
			weight = float64(max(1, l.pace.window))
		}
		claims = append(claims, claim{weight: weight, demand: usable(l.pace.window)})
	}
	c.allocator.claims = claims
	c.allocator.fill(t.pace.rate, claims)
	i := 0
	for _, l := range g.lanes {
		if l.transfer == t {
			l.pace.rate = claims[i].fair
			i++
		}
	}
}

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
			if cell.window > 0 {
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
func (c *cell) waits() bool { return len(c.held) > 0 && c.window == 0 }

// recallWaiting recalls what the worker cannot send for want of a window, but for the
// archive that it sends first there, which it may have begun.
func (w *worker) recallWaiting() {
	for _, c := range w.cells {
		for c.target == 0 && c.waits() && len(c.held) > 1 {
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
	return min(max(1, int(depth)*c.window/max(1, w.granting)), protocol.MaxPipelineDepth)
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
	return (c.window > 0 || len(c.held) > 0) && !c.worker.leaving()
}

// aheadIntervals between reports, at leisure, are what a worker is given archives for.
const aheadIntervals = 2

// rateTolerance is the change of a rate, relative to it, that is not worth a write.
const rateTolerance = 0.01

func (c *cell) differs(g *protocol.PrefixGrant) bool {
	if g.Prefix != c.lane.name || g.Window != c.window || len(g.Assignments) != len(c.held) ||
		math.Abs(g.Rate-c.rate) > rateTolerance*g.Rate {
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
			c.lent = c.lent || cell.window > 0
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
	p := protocol.PrefixGrant{Prefix: c.lane.name, Window: c.window, Rate: c.rate}
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
