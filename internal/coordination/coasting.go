package coordination

import (
	"time"

	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// Stored tells that the API holds a grant of the worker. Until it does, the worker may find
// the one before there, and go on with it after its lease.
func (c *PipelineCoordinator) Stored(now time.Time, id protocol.WorkerID, grant protocol.GrantID) {
	c.now = now
	if w := c.workers[id]; w != nil {
		w.lease.Stored(now, grant)
	}
}

// hear records that reports come in.
func (c *PipelineCoordinator) hear(now time.Time, w *worker) {
	if c.heard.IsZero() || now.Sub(c.heard) > w.transfer.terms.Duration/2 {
		c.hearing = now
	}
	c.heard = now
}

// cutOff tells that a worker coasts and others are heard all the time, so that it may be the
// one that is cut off. Where nobody is heard the manager may be.
func (c *PipelineCoordinator) cutOff(now time.Time, w *worker) bool {
	t := w.transfer.terms
	return w.lease.Coasts() && !w.leaving() && w.silent(now) && !w.halved && c.heard.Sub(c.hearing) >= t.Lifetime
}

// halve takes half of its windows from a worker that may be cut off; what it may use in
// spite of that stays charged.
func (c *PipelineCoordinator) halve(now time.Time, w *worker) {
	g := lease.Halve(*w.lease.Grant())
	g.Epoch, w.halved = c.epoch, true
	for _, wp := range w.prefixes {
		wp.share.Window, wp.share.Target, wp.share.Rate = 0, 0, 0
		for _, p := range g.Prefixes {
			if p.Prefix == wp.prefix.name {
				wp.share.Window, wp.share.Target, wp.share.Rate = p.Window, p.Window, p.Rate
			}
		}
	}
	w.issueAgain(now, g)
}

// issueAgain records a grant with the times of the one before it.
func (w *worker) issueAgain(now time.Time, g protocol.Grant) {
	terms := w.terms()
	terms.Lifetime, terms.Coasting = protocol.Lifetime(g.Duration), g.Coasting
	g.Charged = w.lease.Unacknowledged(g)
	w.lease.Issue(now, g, terms)
}
