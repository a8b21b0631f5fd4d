package coordination

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// writesPerSecond bounds the reports of a whole fleet, and likewise its grants.
const writesPerSecond = 50

// Options of a coordinator.
type Options struct {
	// Rand spreads probes in time; required.
	Rand *rand.Rand
	// Without are the parts of the law to leave out; for simulations only.
	Without congestion.Mechanism
}

// PipelineCoordinator controls all transfers into one domain: an endpoint and a
// bucket. It is not safe for concurrent use.
//
// Observe takes in reports as they come. Tick, called once per UpdateInterval,
// decides the grants. The caller must record what Progress says of finished
// archives before it writes the grants of the next Tick, since these tell the
// workers to forget them; and must write a grant before it counts on it.
type PipelineCoordinator struct {
	options Options
	started bool
	epoch   int64
	now     time.Time // of the last call that gave a time
	ticked  time.Time
	// lent: some grant had a window, which may stand in the API until its withdrawal does.
	lent bool

	control   *congestion.GlobalCongestionController
	transfers []*TransferScheduler // by ID
	tenants   []*tenant            // by name
	members   map[*congestion.Member]*lane
	workers   map[protocol.WorkerID]*worker
	ordered   []*worker // by ID

	transitions []protocol.Transition
	metrics     metrics

	// Scratch of Tick.
	divider fairshare.Divider
	shares  struct {
		tenants   []*fairshare.Tenant
		transfers []*fairshare.Transfer
	}
	controlled []*worker
	growing    []fairshare.Growth
	evidence   []*congestion.Evidence
}

// NewPipelineCoordinator gives a coordinator that does nothing until Start.
func NewPipelineCoordinator(options Options) (*PipelineCoordinator, error) {
	if options.Rand == nil {
		return nil, errors.New("new pipeline coordinator: the source of randomness is missing")
	}
	control := congestion.NewGlobalCongestionController(protocol.DefaultConfig(), options.Rand, options.Without)
	return &PipelineCoordinator{options: options, control: control, members: map[*congestion.Member]*lane{}, workers: map[protocol.WorkerID]*worker{}}, nil
}

// Start begins to lead with the epoch of the snapshot, which must be above every
// earlier one. With a path in the snapshot the coordinator learns for one lease
// lifetime: grants of before stand, and nothing beyond them is given out but
// the reserve.
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
	c.started, c.epoch = true, s.Epoch
	c.now, c.ticked = now, now
	c.control.Begin(now)
	return nil
}

// PutTransfer adds a transfer with what is recorded of it, or changes the weight, the
// configuration and the suspension of one.
func (c *PipelineCoordinator) PutTransfer(now time.Time, spec protocol.Transfer) error {
	c.now = now
	if err := spec.Validate(); err != nil {
		return fmt.Errorf("put transfer %s: %w", spec.ID, err)
	}
	recorded := spec.Recorded
	spec.Recorded = nil
	t := c.transfer(spec.ID)
	switch {
	case t == nil:
		t = c.addTransfer(now, spec)
		c.restoreLanes(t, recorded)
	case t.removed:
		return fmt.Errorf("put transfer %s: it was removed and its workers have not ended", spec.ID)
	}
	t.spec, t.tenant = spec, c.tenantOf(spec.Tenant)
	for _, l := range t.lanes {
		l.member.Tenant = spec.Tenant
	}
	c.forgetTenants()
	c.configure()
	return nil
}

func (c *PipelineCoordinator) addTransfer(now time.Time, spec protocol.Transfer) *TransferScheduler {
	t := &TransferScheduler{
		spec: spec, tenant: c.tenantOf(spec.Tenant), byName: map[string]*lane{}, share: fairshare.NewTransfer(now),
	}
	i, _ := slices.BinarySearchFunc(c.transfers, spec.ID, compareTransfer)
	c.transfers = slices.Insert(c.transfers, i, t)
	return t
}

// configure derives what depends on all transfers and workers: the intervals, and the
// law, which is the destination's: of each of its parameters the safest value of the
// transfers that hold leases counts. Those without, whatever they ask for, count for
// nothing.
func (c *PipelineCoordinator) configure() {
	// In steps of half a second, so that the coming of a worker does not rewrite
	// the grant of every other.
	stretched := time.Duration(len(c.workers)/writesPerSecond*2) * time.Second / 2
	law, live := c.law()
	for _, t := range c.transfers {
		t.terms.Leisure, t.terms.Duration = t.spec.Config.UpdateInterval, t.spec.Config.LeaseDuration
		if live {
			t.terms.Leisure, t.terms.Duration = min(t.terms.Leisure, law.UpdateInterval), min(t.terms.Duration, law.LeaseDuration)
		}
		t.terms.Leisure = max(t.terms.Leisure, stretched)
		t.terms.Duration = max(t.terms.Duration, 4*t.terms.Leisure)
		t.terms.Lifetime = protocol.Lifetime(t.terms.Duration)
	}
	if live && law != c.control.Config() {
		c.control.Configure(law)
	}
	c.hasten()
}

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
func (t *TransferScheduler) counts(now time.Time) bool {
	return !t.removed && t.coordinated() && !t.spec.Suspended &&
		slices.ContainsFunc(t.workers, func(w *worker) bool { return w.live(now) })
}

// shortestInterval is the shortest report interval while the law moves fast.
const shortestInterval = 500 * time.Millisecond

// hasten sets the intervals at which workers report and grants may change: short
// while the law moves fast, as far as the size of the fleet allows.
func (c *PipelineCoordinator) hasten() {
	granted, _ := c.grantedAndCharged()
	hasty := granted > 0 && (c.control.Hasty(c.now) || c.hungry()) || !c.control.Begun() && c.wanted() && !c.options.Without.Has(congestion.Haste)
	step := shortestInterval
	fastest := (time.Duration(len(c.workers))*time.Second/writesPerSecond + step - 1) / step * step
	for _, t := range c.transfers {
		t.terms.Interval = t.terms.Leisure
		if hasty {
			t.terms.Interval = min(t.terms.Leisure, max(step, fastest))
		}
	}
}

// wanted tells that there are archives to send.
func (c *PipelineCoordinator) wanted() bool {
	return slices.ContainsFunc(c.transfers, func(t *TransferScheduler) bool {
		return t.coordinated() && slices.ContainsFunc(t.lanes, func(l *lane) bool { return l.remaining() > 0 })
	})
}

// hungry tells that archives end faster than they are handed out at leisure.
func (c *PipelineCoordinator) hungry() bool {
	return !c.options.Without.Has(congestion.Haste) && slices.ContainsFunc(c.transfers, func(t *TransferScheduler) bool {
		queued := slices.ContainsFunc(t.lanes, func(l *lane) bool { return l.queued() > 0 })
		return queued && slices.ContainsFunc(t.workers, (*worker).hungry)
	})
}

// Interval is how long after a Tick the next should come: soon while a worker has
// no lease yet, since nothing is sent until then.
func (c *PipelineCoordinator) Interval() time.Duration {
	shortest := protocol.DefaultConfig().UpdateInterval
	for _, w := range c.ordered {
		if !w.lease.Held() && !w.leaving() {
			shortest = min(shortest, shortestInterval/2)
		}
	}
	_, live := c.law()
	for _, t := range c.transfers {
		if !live || t.counts(c.now) {
			shortest = min(shortest, t.terms.Interval, t.spec.Config.UpdateInterval)
		}
	}
	return shortest
}

// RemoveTransfer asks the workers of a transfer to end, and forgets the transfer
// with the last of them.
func (c *PipelineCoordinator) RemoveTransfer(now time.Time, id protocol.TransferID) {
	c.now = now
	if t := c.transfer(id); t != nil {
		t.removed = true
		for _, w := range t.workers {
			w.release(true)
		}
		c.forget(t)
		c.configure()
	}
}

// forget drops a removed transfer that has no workers left.
func (c *PipelineCoordinator) forget(t *TransferScheduler) {
	if !t.removed || len(t.workers) > 0 {
		return
	}
	c.transfers = slices.DeleteFunc(c.transfers, func(x *TransferScheduler) bool { return x == t })
	for _, l := range t.lanes {
		l.member.Leave()
		delete(c.members, l.member)
	}
	c.forgetTenants()
}

// RegisterPrefix adds a prefix to a transfer, unless it has it.
func (c *PipelineCoordinator) RegisterPrefix(now time.Time, id protocol.TransferID, prefix string) error {
	c.now = now
	t := c.transfer(id)
	if t == nil {
		return fmt.Errorf("register prefix %s: transfer %s is unknown", prefix, id)
	}
	_, err := c.register(t, prefix)
	return err
}

func (c *PipelineCoordinator) register(t *TransferScheduler, prefix string) (*lane, error) {
	known := len(t.lanes)
	l, err := t.register(prefix)
	if err == nil && len(t.lanes) > known {
		l.member = &congestion.Member{ID: protocol.Member{Transfer: t.spec.ID, Prefix: l.name}, Tenant: t.tenant.name}
		c.members[l.member] = l
		c.control.Admit(l.member)
	}
	return l, err
}

// ScheduleUpload queues one archive and adds it to the plan of its prefix: for whoever
// knows the size of each. One that is queued, assigned or finished already stays
// as it is.
func (c *PipelineCoordinator) ScheduleUpload(u protocol.Upload) error {
	t := c.transfer(u.Archive.Transfer)
	if t == nil {
		return fmt.Errorf("schedule archive %d of prefix %s: transfer %s is unknown",
			u.Archive.Number, u.Archive.Prefix, u.Archive.Transfer)
	}
	l := t.byName[u.Archive.Prefix]
	if l == nil {
		return fmt.Errorf("schedule archive %d: prefix %s of transfer %s is not registered",
			u.Archive.Number, u.Archive.Prefix, u.Archive.Transfer)
	}
	if n := u.Archive.Number; n < 0 || n > protocol.MaxNumber || u.Bytes < 0 || u.Files < 0 {
		return fmt.Errorf("schedule archive %d of prefix %s of transfer %s: its number, size or count of files is out of bounds",
			n, u.Archive.Prefix, u.Archive.Transfer)
	}
	if l.backlog.limit > 0 {
		return fmt.Errorf("schedule archive %d of prefix %s of transfer %s: the prefix is planned as a whole",
			u.Archive.Number, u.Archive.Prefix, u.Archive.Transfer)
	}
	if h := l.held[u.Archive.Number]; !l.backlog.schedule(u) && h != nil {
		h.size = u.Bytes
	}
	return nil
}

// SetPlanning says whether the source of a transfer must be walked still. While
// it must, one live worker holds that duty.
func (c *PipelineCoordinator) SetPlanning(id protocol.TransferID, needed bool) {
	if t := c.transfer(id); t != nil {
		t.planning = needed
	}
}

// AddWorker tells of a worker of a known transfer; maxInFlight is the most that it can
// have in flight, whatever it says itself, 0 if unknown. It is granted something once it
// has reported.
func (c *PipelineCoordinator) AddWorker(now time.Time, id protocol.WorkerID, transfer protocol.TransferID, maxInFlight int) {
	c.now = now
	t := c.transfer(transfer)
	if t == nil {
		return
	}
	w := c.addWorker(now, id, t)
	w.given = min(max(maxInFlight, 0), protocol.MaxWindow)
	w.removing = false
	c.configure()
}

func (c *PipelineCoordinator) addWorker(now time.Time, id protocol.WorkerID, t *TransferScheduler) *worker {
	if w := c.workers[id]; w != nil {
		return w
	}
	w := &worker{id: id, transfer: t, share: fairshare.NewWorker(now, &t.share)}
	w.share.Accepts = func(now time.Time, p *fairshare.Prefix) bool { return w.accepts(now, t.lanes[p.Index]) }
	w.share.Join = func(p *fairshare.Prefix) *fairshare.Part { return &w.ensure(t.lanes[p.Index]).share }
	c.workers[id] = w
	i, _ := slices.BinarySearchFunc(c.ordered, id, compareWorker)
	c.ordered = slices.Insert(c.ordered, i, w)
	t.add(w)
	return w
}

// HasWorker tells whether a worker is known: it was added or adopted, and has
// been neither removed nor, after an unconfirmed removal, outlived by its lease.
func (c *PipelineCoordinator) HasWorker(id protocol.WorkerID) bool { return c.workers[id] != nil }

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
	if confirmed || w.drained || !w.lease.Held() {
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

// AdoptGrant takes over a grant of an earlier leader that stands in the API: its
// windows are charged and its archives held as if they had been granted now.
// The worker of an unknown transfer is told to drain.
func (c *PipelineCoordinator) AdoptGrant(now time.Time, g protocol.Grant) {
	c.now = now
	if known := c.workers[g.Worker]; known != nil && known.lease.Issued() {
		return
	}
	t := c.transfer(g.Transfer)
	if t == nil {
		t = c.addTransfer(now, protocol.Transfer{ID: g.Transfer, Weight: 1, Config: protocol.DefaultConfig()})
		t.removed = true
	}
	w := c.addWorker(now, g.Worker, t)
	c.configure()
	holds := protocol.Lifetime(max(g.Duration, t.terms.Duration))
	ends := now.Add(holds)
	var known []protocol.PrefixGrant
	for _, p := range g.Prefixes {
		if l, err := c.register(t, p.Prefix); err == nil {
			known = append(known, p)
			c.lent = c.lent || p.Window > 0
			w.adopt(l, p)
		}
	}
	w.lease.Adopt(now, g, known, holds)
	if t.coordinated() {
		c.control.Adopt(w.window())
	}
	if g.Plan && t.planner == nil && !t.removed {
		t.planner = w
	}
	c.control.Learn(ends)
}

// adopt takes over the windows and archives of one prefix. Of two workers that
// were given the same archive the later one holds it.
func (w *worker) adopt(l *lane, p protocol.PrefixGrant) {
	cell := w.ensure(l)
	cell.share.Window, cell.entitled = max(p.Window, 0), true
	if w.leaving() {
		return
	}
	for _, a := range p.Assignments {
		n := a.Archive.Number
		if n < 0 || n > protocol.MaxNumber || l.finished.Contains(n) {
			continue
		}
		if other := l.held[n]; other != nil {
			if other.attempts >= a.Attempt {
				continue
			}
			other.drop(l)
		} else if !l.backlog.withhold(n) && !l.backlog.heap.drop(n) {
			continue
		}
		w.hold(cell, archive{number: n, size: l.backlog.meanSize(), attempts: a.Attempt - 1})
		l.held[n].granted = true // since an unknown time: any outcome of it counts
	}
}

// Tick ends leases that are over, applies the law, and gives every grant as it
// should stand, level-triggered: one that did not change keeps its sequence.
func (c *PipelineCoordinator) Tick(now time.Time) protocol.Plan {
	if !c.started {
		return protocol.Plan{}
	}
	c.now = now
	c.expire(now)
	c.control.EndLearning(now)
	c.endRounds(now)
	c.configure()
	c.distribute(now)
	c.limitGrants(now)
	c.paceGrants()
	c.assign(now)
	for _, t := range c.transfers {
		t.choosePlanner(now)
		c.metrics.ArchivesMoved += t.steal(now)
	}
	plan := protocol.Plan{Grants: c.issue(now), Transitions: c.transitions}
	c.metrics.tick(c, now)
	c.transitions = nil
	c.ticked = now
	return plan
}

// expire takes back what workers hold whose leases are over.
func (c *PipelineCoordinator) expire(now time.Time) {
	for _, w := range slices.Clone(c.ordered) {
		if w.lease.Expire(now) {
			if !w.leaving() {
				c.metrics.LeasesExpired++
			}
			w.release(w.transfer.removed)
		}
		if w.removing && !w.lease.Held() {
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

func (c *PipelineCoordinator) transfer(id protocol.TransferID) *TransferScheduler {
	if i, ok := slices.BinarySearchFunc(c.transfers, id, compareTransfer); ok {
		return c.transfers[i]
	}
	return nil
}

func compareTransfer(t *TransferScheduler, id protocol.TransferID) int {
	switch {
	case t.spec.ID < id:
		return -1
	case t.spec.ID > id:
		return 1
	}
	return 0
}
