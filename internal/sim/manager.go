package sim

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// manager is the coordinator's process.
type manager struct {
	fleet  *fleet
	random *rand.Rand
	core   *coordination.PipelineCoordinator // nil while it is down
	epoch  int64
	drift  float64
	tick   event
	dying  bool    // it dies in the middle of its next writes
	waits  bool    // another is to begin when the API is back
	writer *writer // nil where the API server takes no time

	saved     protocol.Snapshot
	decision  protocol.Decision                       // of the last round
	recorded  map[string]map[string]protocol.Recorded // by transfer and prefix
	observed  map[protocol.WorkerID]observation
	scheduled map[*prefix]int64
	cuts      int64                      // that this coordinator has made
	hung      int                        // workers that hang whose slots are used again
	hungAt    time.Duration              // when more began to hang; 0 for none
	gone      []protocol.WorkerID        // pods that have ended
	removed   map[protocol.WorkerID]bool // whose leases were deleted
}

type observation struct {
	instance string
	sequence int64
}

// clock is the time by the manager's clock.
func (m *manager) clock() time.Time { return m.fleet.time(drifted(m.fleet.now, m.drift)) }

// start begins to lead from what the API holds, as soon as it can be reached.
func (m *manager) start() {
	f := m.fleet
	if m.waits = f.api.outages > 0; m.waits {
		return
	}
	core, err := coordination.NewPipelineCoordinator(coordination.Options{
		Rand: rand.New(rand.NewPCG(m.random.Uint64(), 1)), Without: m.fleet.without,
		ReportsPerSecond: f.scenario.Messages.ReportsPerSecond,
	})
	must(err)
	m.core, m.dying, m.cuts = core, false, 0
	if f.api.server != nil {
		m.writer = newWriter(f)
	}
	m.epoch++
	m.drift = (2*m.random.Float64() - 1) * float64(f.scenario.Messages.Drift)
	m.observed, m.scheduled = map[protocol.WorkerID]observation{}, map[*prefix]int64{}
	now := m.clock()
	snapshot := m.saved
	snapshot.Epoch = m.epoch
	if k := f.scenario.Known; k != nil && m.epoch == 1 {
		known := protocol.NetworkProfile{RequestRate: float64(k.Requests), BaseLatency: time.Duration(k.BaseLatency), Confidence: float64(k.Confidence)}.Aged(time.Duration(k.Age))
		snapshot.Known = &known
	}
	must(core.Start(now, snapshot))
	for _, w := range f.works {
		m.admit(now, w)
	}
	f.check.began(m)
	m.tick.act = m.work
	f.set(&m.tick, f.now)
}

// admit hands a transfer to the coordinator.
func (m *manager) admit(now time.Time, w *work) {
	id := protocol.TransferID(w.spec.Name)
	must(m.core.PutTransfer(now, protocol.Transfer{
		ID: id, Tenant: w.spec.Tenant, Weight: w.spec.Weight,
		Share: protocol.TenantShare{Weight: w.spec.TenantWeight, Most: float64(w.spec.TenantMost)}, Config: m.fleet.config, Recorded: m.recorded[w.spec.Name],
	}))
	for _, p := range m.fleet.pods {
		if g, ok := m.fleet.api.grants[p.worker.id]; ok && p.work == w {
			m.core.AdoptGrant(now, g)
		}
	}
	for _, p := range w.prefixes {
		must(m.core.RegisterPrefix(now, id, p.name))
	}
}

// work is one round: take in the reports, decide, record, write.
func (m *manager) work() {
	f := m.fleet
	if m.core == nil {
		return
	}
	if f.api.outages > 0 {
		f.set(&m.tick, f.now+time.Duration(float64(m.core.Interval())/(1+m.drift)))
		return
	}
	now := m.clock()
	for _, w := range f.works {
		m.schedule(w)
	}
	for _, p := range f.pods {
		if g, ok := f.api.grants[p.worker.id]; ok && m.core.Lacks(p.worker.id, g.ID()) {
			m.core.AdoptGrant(now, g)
		}
		m.observe(now, p)
		m.core.Stored(now, p.worker.id, f.api.grants[p.worker.id].ID())
	}
	f.check.listen(f)
	m.remove(now)
	for _, w := range f.works {
		if m.over(w) {
			m.core.Drain(now, protocol.TransferID(w.spec.Name))
		}
	}
	must(m.core.Limit(f.limits()))
	plan := m.core.Tick(now)
	m.count()
	f.set(&m.tick, f.now+time.Duration(float64(m.core.Interval())/(1+m.drift)))
	m.saved = m.core.Snapshot()
	f.check.ticked(m, plan)
	f.record.decided(f.now, plan.Decision)
	if plan.Decision.Made() {
		m.decision = plan.Decision
	}
	m.recordProgress()
	m.write(plan)
}

// over tells that all archives of a transfer have ended, and no more will appear.
func (m *manager) over(w *work) bool {
	if w.endless || w.awaited > 0 {
		return false
	}
	for _, p := range m.core.Progress(protocol.TransferID(w.spec.Name)).Prefixes {
		if p.Queued+p.Assigned > 0 || p.Finished.Count() < int64(len(w.byName[p.Prefix].archives)) {
			return false
		}
	}
	return true
}

// count records the cuts, and when the slots of hung workers are used again.
func (m *manager) count() {
	f := m.fleet
	cuts, metrics := int64(0), m.core.Metrics(m.clock())
	for _, g := range metrics.Groups {
		cuts += g.CongestionEvents + g.Recoveries
	}
	f.record.cuts += max(0, cuts-m.cuts)
	m.cuts = cuts
	m.countHung(metrics.Window)
}

// countHung compares what workers that are well are granted with the whole window.
func (m *manager) countHung(window int) {
	f := m.fleet
	hung, granted := 0, 0
	for _, p := range f.pods {
		if p.worker.hung {
			hung++
			continue
		}
		for _, g := range f.api.grants[p.worker.id].Prefixes {
			granted += g.Window
		}
	}
	switch {
	case hung <= m.hung:
		m.hung = hung
	case m.hungAt == 0:
		m.hungAt = f.now
	case float64(granted) >= 0.9*float64(window):
		f.record.reused = max(f.record.reused, f.now-m.hungAt)
		m.hung, m.hungAt = hung, 0
	}
}

// endlessPlan is how many times what its workers are assigned ahead is planned of endless
// work: enough for their reserves.
const endlessPlan = 256

// largestPlan is how many archives of each prefix a transfer may plan.
func (w *work) largestPlan() int64 {
	return min(protocol.MaxPlannedArchives, protocol.MaxPlannedBytes/w.spec.archiveSize()) / int64(len(w.prefixes))
}

// schedule queues what has appeared; of endless work, so much that every worker
// can be given its share.
func (m *manager) schedule(w *work) {
	workers := 0
	for _, g := range w.spec.Workers {
		workers += g.Count
	}
	for _, p := range w.prefixes {
		want := int64(len(p.archives))
		if w.endless {
			want = min(p.ended+int64(endlessPlan*workers*m.fleet.config.PipelineDepth), w.largestPlan())
		}
		if want <= m.scheduled[p] {
			continue
		}
		m.scheduled[p] = want
		must(m.core.PlanPrefix(m.clock(), protocol.TransferID(w.spec.Name), protocol.PlannedPrefix{
			Prefix: p.name, Planned: protocol.Planned{Archives: want, Files: want, Bytes: want * w.spec.archiveSize()},
		}))
	}
}

// observe takes in the newest report of a pod's worker.
func (m *manager) observe(now time.Time, p *pod) {
	id := p.worker.id
	if p.worker.dead {
		return
	}
	if !m.core.HasWorker(id) {
		m.core.AddWorker(now, id, protocol.TransferID(p.work.spec.Name), 0)
	}
	r, ok := m.fleet.api.reports[id]
	seen := observation{r.Instance, r.Sequence}
	if !ok || m.observed[id] == seen {
		return
	}
	m.observed[id] = seen
	err := m.core.Observe(now, r)
	if err == nil {
		m.fleet.check.observed(p.worker, r)
	}
	if err != nil && !errors.Is(err, coordination.ErrStaleReport) && !p.worker.liars[r.Instance] {
		m.fleet.check.violation("I3", "report %d of %s was refused: %v", r.Sequence, id, err)
	}
}

// remove tells of the pods that have ended, and deletes their leases.
func (m *manager) remove(now time.Time) {
	for _, id := range m.gone {
		m.core.RemoveWorker(now, id, true)
		delete(m.fleet.api.grants, id)
		delete(m.fleet.api.reports, id)
		m.removed[id] = true
	}
	m.gone = nil
}

// recordProgress keeps what a later manager begins with.
func (m *manager) recordProgress() {
	if !slices.ContainsFunc(m.fleet.scenario.Faults, func(f Fault) bool { return f.Kind == FaultManager || f.Kind == FaultAPI }) {
		return
	}
	for _, w := range m.fleet.works {
		recorded := map[string]protocol.Recorded{}
		for _, p := range m.core.Progress(protocol.TransferID(w.spec.Name)).Prefixes {
			recorded[p.Prefix] = p.Recorded()
		}
		m.recorded[w.spec.Name] = recorded
	}
}

// write writes the grants that changed.
func (m *manager) write(plan protocol.Plan) {
	f := m.fleet
	for i, g := range plan.Grants {
		if m.dying && i >= len(plan.Grants)/2 {
			m.end()
			return
		}
		if m.writer != nil {
			m.writer.put(g)
			continue
		}
		old, known := f.api.grants[g.Worker]
		next := g.ID()
		switch {
		case known && next == old.ID():
			continue
		case known && next.Before(old.ID()):
			f.check.violation("I3", "grant %v of %s follows grant %d of epoch %d", next, g.Worker, old.Sequence, old.Epoch)
		}
		f.api.grants[g.Worker] = g
		if x := f.byID[g.Worker]; x != nil {
			f.after(x.untilRead(), func() { f.api.tell(x, g) })
		}
	}
}

// kill ends the manager, half of the time in the middle of its writes; another
// begins after a time.
func (m *manager) kill(after time.Duration) {
	f := m.fleet
	if m.core == nil {
		return
	}
	if m.random.IntN(2) == 0 {
		m.dying = true
	} else {
		m.end()
	}
	f.after(max(after, 2*f.config.UpdateInterval), m.start)
}

// depose ends a manager that could not renew its leadership; another begins when the
// API is back.
func (m *manager) depose() {
	if m.core == nil || m.fleet.api.outages == 0 {
		return
	}
	m.waits = true
	m.end()
}

// end ends the process.
func (m *manager) end() {
	m.core = nil
	m.fleet.cancel(&m.tick)
	m.writer.end()
}
