package coordination

import (
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// AddWorker tells of a worker of a known transfer; maxInFlight is the most that it can
// have in flight, whatever it says itself, 0 if unknown. It is granted something once it
// has reported.
func (c *PipelineCoordinator) AddWorker(now time.Time, id protocol.WorkerID, transfer protocol.TransferID, maxInFlight int) {
	c.now = now
	t := c.transfer(transfer)
	if t == nil {
		return
	}
	known := c.workers[id] != nil
	w := c.addWorker(now, id, t)
	w.given = min(max(maxInFlight, 0), protocol.MaxWindow)
	w.removing = false
	if !known { // which every tick tells of all workers, and each would look at all of them
		c.configure()
	}
}

func (c *PipelineCoordinator) addWorker(now time.Time, id protocol.WorkerID, t *transfer) *worker {
	if w := c.workers[id]; w != nil {
		return w
	}
	w := &worker{id: id, transfer: t, share: fairshare.NewWorker(now, &t.share), work: t.work.AddWorker(id)}
	w.share.Accepts = func(now time.Time, p *fairshare.Prefix) bool { return w.work.Accepts(now, t.prefixes[p.Index].work) }
	w.share.Join = func(p *fairshare.Prefix) *fairshare.Part { return &w.ensure(t.prefixes[p.Index]).share }
	c.workers[id] = w
	i, _ := slices.BinarySearchFunc(c.ordered, id, compareWorker)
	c.ordered = slices.Insert(c.ordered, i, w)
	t.add(w)
	return w
}

// HasWorker tells whether a worker is known: it was added or adopted, and has
// been neither removed nor, after an unconfirmed removal, outlived by its lease.
func (c *PipelineCoordinator) HasWorker(id protocol.WorkerID) bool { return c.workers[id] != nil }

// Workers are those of a transfer that may still send, also of one that was removed.
func (c *PipelineCoordinator) Workers(id protocol.TransferID) []protocol.WorkerID {
	t := c.transfer(id)
	if t == nil {
		return nil
	}
	all := make([]protocol.WorkerID, 0, len(t.workers))
	for _, w := range t.workers {
		all = append(all, w.id)
	}
	return all
}

// Drain asks the present workers of a transfer to end.
func (c *PipelineCoordinator) Drain(now time.Time, id protocol.TransferID) {
	c.now = now
	if t := c.transfer(id); t != nil {
		for _, w := range t.workers {
			w.draining = true
		}
	}
}

// RemoveWorker tells that a worker is gone. Confirmed: its process is known to be
// dead, so its windows and archives are free at once. Otherwise they are when
// its lease must be over.
func (c *PipelineCoordinator) RemoveWorker(now time.Time, id protocol.WorkerID, confirmed bool) {
	c.now = now
	w := c.workers[id]
	if w == nil {
		return
	}
	w.removing = true
	if confirmed || w.drained || !w.lease.Held() && !w.lease.Coasts() {
		c.removeWorker(w)
	}
}

func (c *PipelineCoordinator) removeWorker(w *worker) {
	w.release(w.drained || w.transfer.removed)
	w.transfer.drop(w)
	delete(c.workers, w.id)
	if i, ok := slices.BinarySearchFunc(c.ordered, w.id, compareWorker); ok {
		c.ordered = slices.Delete(c.ordered, i, i+1)
	}
	c.forget(w.transfer)
	c.configure()
}

// Lacks tells that a grant of an earlier leader that stands in the API was not taken over from a worker that is
// known.
func (c *PipelineCoordinator) Lacks(id protocol.WorkerID, grant protocol.GrantID) bool {
	w := c.workers[id]
	return w != nil && grant.Epoch < c.epoch && w.lease.Lacks(grant)
}

// AdoptGrant takes over a grant of an earlier leader that stands in the API: its
// windows are charged and its archives held as if they had been granted now.
// The worker of an unknown transfer is told to drain. Once this leader has granted the worker something,
// what comes later of an earlier one is charged beside it.
func (c *PipelineCoordinator) AdoptGrant(now time.Time, g protocol.Grant) {
	c.now = now
	known := c.workers[g.Worker]
	first := known == nil || !known.lease.Issued()
	if !first && !c.Lacks(g.Worker, g.ID()) {
		return
	}
	t := c.transfer(g.Transfer)
	if t == nil {
		t = c.addTransfer(now, protocol.Transfer{ID: g.Transfer, Weight: 1, Config: protocol.DefaultConfig()})
		t.removed = true
	}
	w := c.addWorker(now, g.Worker, t)
	c.configure()
	w.forgetWindows(g.ID())
	var prefixes []protocol.PrefixGrant
	for _, p := range g.Prefixes {
		if l, err := c.register(t, p.Prefix); err == nil {
			prefixes = append(prefixes, p)
			c.lent = c.lent || p.Window > 0
			w.adopt(l, g.ID(), p)
		}
	}
	w.lease.Adopt(now, g, prefixes, w.terms())
	if first && t.coordinated() {
		c.control.Adopt(max(w.window(), g.CoastingWindow))
	}
	if g.Plan && t.planner == nil && !t.removed {
		t.planner = w
	}
	if longest := w.lease.Lifetime(); first && longest > 0 { // one that sends nothing teaches nothing
		c.control.Learn(now.Add(longest))
	}
	if own := *w.lease.Grant(); own.Epoch == c.epoch { // it has to say what the worker may do by this one
		own.Sequence++
		w.issueAgain(now, own)
	}
}

// forgetWindows forgets what was granted before a grant of an earlier leader, unless this one has granted
// something since.
func (w *worker) forgetWindows(adopted protocol.GrantID) {
	if !w.lease.Grant().ID().Before(adopted) {
		return
	}
	for _, wp := range w.prefixes {
		wp.share.Window = 0
	}
}

// adopt takes over the windows and archives of one prefix. Of two workers that
// were given the same archive the later one holds it.
func (w *worker) adopt(l *prefix, grant protocol.GrantID, p protocol.PrefixGrant) {
	wp := w.ensure(l)
	if w.lease.Grant().ID().Before(grant) {
		wp.share.Window, wp.entitled = max(p.Window, 0), true
	}
	if w.leaving() {
		return
	}
	wp.work.Adopt(p.Assignments)
	wp.work.AdoptRecalled(p.Recalled, grant)
	wp.work.AdoptReserve(p.Reserve)
	wp.work.AdoptWithdrawn(p.Withdrawn, grant)
}
