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
		if !w.due || !w.ready(now) || w.transfer.spec.Suspended {
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
		switch {
		case c.cutOff(now, w):
			c.halve(now, w)
		case w.due && w.frozen(now):
			c.endDuty(now, w)
		case w.due:
			if c.changed(w) || w.stale(now) || w.waits(now) {
				c.write(now, w)
			}
			w.follow()
		}
		grants = append(grants, *w.lease.Grant())
	}
	return grants
}

// endDuty takes the planning duty, which ended with the lease, from a worker that is not heard. It keeps what it was
// granted besides.
func (c *PipelineCoordinator) endDuty(now time.Time, w *worker) {
	g := *w.lease.Grant()
	g.Epoch, g.Plan = c.epoch, false
	g.Sequence++
	w.issueAgain(now, g)
}

// follow tells that the worker's grant is what the last decision allows.
func (w *worker) follow() {
	for _, wp := range w.prefixes {
		wp.judgment.Follow(&w.lease)
	}
}

// changed tells that what the worker should be granted differs from what is.
func (c *PipelineCoordinator) changed(w *worker) bool {
	g, t := w.lease.Grant(), w.transfer
	if !w.lease.Issued() || g.Epoch != c.epoch || g.Drain != w.leaving() || g.CoastingWindow != c.coastingWindow(w) || g.Plan != (t.planner == w) || w.termsUnlike(g) || w.pacesUnlike(g.Pace) {
		return true
	}
	next := g.Prefixes
	for _, wp := range w.prefixes {
		if !wp.given() {
			continue
		}
		if next = giving(next); len(next) == 0 || wp.differs(&next[0]) {
			return true
		}
		next = next[1:]
	}
	return len(giving(next)) > 0
}

// coastingWindow is what the worker may use where it coasts, 0 for its windows.
func (c *PipelineCoordinator) coastingWindow(w *worker) int {
	window := w.window()
	if undrained := c.control.Undrained(); undrained > 1 && window > 0 && w.transfer.coordinated() && !w.leaving() {
		return int(undrained * float64(window))
	}
	return 0
}

// giving leaves out the first prefixes, as far as the grant gives nothing there: what it recalls is
// worth no write of its own.
func giving(prefixes []protocol.PrefixGrant) []protocol.PrefixGrant {
	for len(prefixes) > 0 && !prefixes[0].Gives() {
		prefixes = prefixes[1:]
	}
	return prefixes
}

// termsUnlike tells that the times of a grant differ from those in force. A worker that was never
// heard gets a grant anyway once it is: until then only an interval of less than half is worth a
// write, since the intervals of all change while a fleet comes up.
func (w *worker) termsUnlike(g *protocol.Grant) bool {
	t := w.terms()
	switch {
	case w.unheard() && g.Instance == "" && len(g.Prefixes) == 0:
		return g.ReportInterval < t.Interval/2
	case g.Opens(): // and it is renewed before long
		return g.ReportInterval < t.Interval/2 || t.Interval < g.ReportInterval/2
	}
	return g.Duration != t.Duration || g.Coasting != t.Coasting || g.ReportInterval != t.Interval
}

// given tells that the worker may do something on the prefix.
func (c *workerPrefix) given() bool {
	return (c.share.Window > 0 || c.work.Held() > 0 || c.work.Reserving()) && !c.worker.leaving()
}

// named tells that the worker's grant names the prefix.
func (c *workerPrefix) named() bool { return c.given() || c.work.Outstanding() }

// rateTolerance is the change of a rate, relative to it, that is not worth a write.
const rateTolerance = 0.01

// pacesUnlike tells that the pace differs by more than the tolerance.
func (w *worker) pacesUnlike(granted protocol.Pace) bool {
	unlike := func(x, y float64) bool { return (x > 0) != (y > 0) || math.Abs(x-y) > rateTolerance/2*y }
	return unlike(w.pace.Bytes, granted.Bytes) || unlike(w.pace.Requests, granted.Requests)
}

func (c *workerPrefix) differs(g *protocol.PrefixGrant) bool {
	if g.Prefix != c.prefix.name || g.Window != c.share.Window || math.Abs(g.Rate-c.share.Rate) > rateTolerance*g.Rate {
		return true
	}
	return !c.work.Assigned(g.Assignments) || c.work.ReserveDue(g.Reserve)
}

// write issues a new grant.
func (c *PipelineCoordinator) write(now time.Time, w *worker) {
	l, t, terms := &w.lease, w.transfer, w.terms()
	g := protocol.Grant{
		Worker: w.id, Transfer: t.spec.ID,
		Epoch: c.epoch, Sequence: l.Grant().Sequence + 1,
		AcknowledgedReport: l.LastReport(), Instance: l.Instance(),
		Duration: terms.Duration, Coasting: terms.Coasting, ReportInterval: terms.Interval,
		Drain: w.leaving(), Plan: t.planner == w, Pace: w.pace, CoastingWindow: c.coastingWindow(w),
	}
	prefixes, archives := w.named()
	g.Prefixes = slices.Grow(g.Prefixes, prefixes)
	assignments := make([]protocol.Assignment, 0, archives)
	for _, wp := range w.prefixes {
		if wp.named() {
			g.Prefixes, assignments = wp.grant(&g, assignments)
		}
		if wp.given() {
			wp.entitled = true
			c.lent = c.lent || wp.share.Window > 0
		}
		wp.work.Withhold(g.ID())
	}
	if c.opens(w, &g) {
		g.AcknowledgedReport = protocol.FirstReport
	}
	g.Charged = l.Unacknowledged(g)
	l.Issue(now, g, terms)
}

// opens tells that a grant of a worker that was never heard shall open its lease: in a large
// fleet, where a further grant for each worker that is not to send yet would cost too much.
func (c *PipelineCoordinator) opens(w *worker, g *protocol.Grant) bool {
	return c.large() && w.unheard() && !w.active && !w.awaited && len(g.Prefixes) == 0 && !g.Plan
}

// named counts the prefixes and the archives that the worker's grant names.
func (w *worker) named() (prefixes, archives int) {
	for _, wp := range w.prefixes {
		if wp.named() {
			prefixes++
			archives += wp.work.Held()
		}
	}
	return prefixes, archives
}

// grant writes the part of a grant, its assignments behind those of the prefixes
// before, and notes in which grant each archive first stands.
func (c *workerPrefix) grant(g *protocol.Grant, all []protocol.Assignment) ([]protocol.PrefixGrant, []protocol.Assignment) {
	if c.worker.leaving() {
		recalled, withdrawn := c.work.Recall()
		return append(g.Prefixes, protocol.PrefixGrant{Prefix: c.prefix.name, Recalled: recalled, Withdrawn: withdrawn}), all
	}
	p := protocol.PrefixGrant{Prefix: c.prefix.name, Window: c.share.Window, Rate: c.share.Rate, Reserve: c.work.Reserved()}
	p.Recalled, p.Withdrawn = c.work.Recalled()
	before := len(all)
	all = c.work.Grant(g.ID(), all)
	if len(all) > before {
		p.Assignments = all[before:len(all):len(all)]
	}
	return append(g.Prefixes, p), all
}
