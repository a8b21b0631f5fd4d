package sim

import (
	"fmt"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// driftBound is the most that a clock may run off, as internal/coordination has it.
const driftBound = 0.01

// reserve is what newcomers share while a manager learns, as internal/coordination
// has it by default.
const reserve = 4

// checks holds the invariants of docs/architecture.md against what is true in a run
// of the product, at every event that could break one.
type checks struct {
	run        *run
	violations int
	first      string // the first violation

	bounds   []boundAt // the windows of all groups, oldest first
	before   int       // the window at the last tick without a drain
	recorded int       // sum of the windows in the snapshot that the manager began with
	inForce  int       // sum of the windows in force under leases that hold
	forces   map[*worker]int
	heard    map[heardReport]time.Duration // when the manager took a report in, true time
	lifetime time.Duration
}

type boundAt struct {
	at     time.Duration
	window int
}

type heardReport struct {
	worker   protocol.WorkerID
	instance string
	sequence int64
}

func newChecks(r *run) *checks {
	return &checks{run: r, forces: map[*worker]int{}, heard: map[heardReport]time.Duration{}}
}

// violation counts a broken invariant.
func (c *checks) violation(invariant, format string, args ...any) {
	c.violations++
	if c.first == "" {
		c.first = fmt.Sprintf("%s at %.3f s: %s", invariant, c.run.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

// lifetimeOf is the longest that a grant may hold by a clock that runs slow.
func lifetimeOf(duration time.Duration) time.Duration {
	return time.Duration(float64(duration) * (1 + driftBound) / (1 - driftBound))
}

// began records what a manager begins with.
func (c *checks) began(m *manager) {
	c.recorded = 0
	if m.saved.Path != nil {
		c.recorded = m.saved.Path.Window
	}
}

// ticked holds the coordinator's books against the grants that it gives (I1, I4).
func (c *checks) ticked(m *manager, plan protocol.Plan) {
	metrics := m.core.Metrics(m.clock())
	granted := 0
	for _, g := range metrics.Groups {
		granted += g.Granted
	}
	if granted > metrics.Charged {
		c.violation("I1", "%d granted and %d charged", granted, metrics.Charged)
	}
	if c.inForce > metrics.Charged {
		c.violation("I9", "windows of %d are in force, %d are charged", c.inForce, metrics.Charged)
	}
	c.bounds = append(c.bounds, boundAt{c.run.now, c.undrained(plan.Grants, metrics.Window)})
	sum := 0
	for _, g := range plan.Grants {
		if g.Epoch != m.epoch {
			continue
		}
		for _, p := range g.Prefixes {
			sum += p.Window
		}
		c.lifetime = max(c.lifetime, lifetimeOf(lifetimeOf(g.Duration)))
	}
	most := c.recorded + reserve
	if m.fleet.config.CoastingTime > 0 {
		most += reserve // for those that listen, where others may coast on all that was recorded
	}
	if metrics.Learning && sum > most {
		c.violation("I4", "%d granted while learning, %d recorded", sum, c.recorded)
	}
	c.forget()
	c.compare()
	c.decided(plan.Decision)
}

// decided finds what a decision gives no reason for.
func (c *checks) decided(d protocol.Decision) {
	if len(d.Groups) > 0 && !d.Made() {
		c.violation("Decision", "the window is %d for no reason", d.Window.Window)
	}
	for _, g := range d.Groups {
		if g.Reason == "" {
			c.violation("Decision", "the rate of group %s is %v for no reason", g.Group, g.Rate)
		}
	}
	for _, t := range d.Transitions {
		if t.Cause == "" {
			c.violation("Decision", "group %s went from %s to %s for no reason", t.Group, t.From, t.To)
		}
	}
}

// undrained is the window, or that of before where the grants of a drain allow coasting on it.
func (c *checks) undrained(grants []protocol.Grant, window int) int {
	if !slices.ContainsFunc(grants, func(g protocol.Grant) bool { return g.CoastingWindow > g.Window() }) {
		c.before = window
	}
	return max(window, c.before)
}

// forget drops the bounds that no grant in force can be from any more.
func (c *checks) forget() {
	since := c.run.now - c.lifetime
	for _, p := range c.run.hosts {
		if x := p.victim.(*pod).worker; x.lease.coasts(x.clock()) {
			since = min(since, x.taken-c.lifetime)
		}
	}
	for len(c.bounds) > 1 && c.bounds[1].at <= since {
		c.bounds = c.bounds[1:]
	}
}

// force takes in the windows that are in force at a worker (I1).
func (c *checks) force(x *worker) {
	c.inForce += x.inForce - c.forces[x]
	c.forces[x] = x.inForce
	c.compare()
}

func (c *checks) compare() {
	most := 0
	for _, b := range c.bounds {
		most = max(most, b.window)
	}
	if limit := most + reserve; c.inForce > limit {
		c.violation("I1", "windows of %d are in force, at most %d were to be", c.inForce, limit)
	}
}

// observed records when the manager heard a report.
func (c *checks) observed(x *worker, r protocol.Report) {
	x.heard = c.run.now
	c.heard[heardReport{r.Worker, r.Instance, r.Sequence}] = c.run.now
}

// leased holds the end of a worker's lease against what the manager believes (I2):
// it counts the lifetime from when it took in the report that the grant acknowledges. A grant
// that opens the lease before allows nothing.
func (c *checks) leased(x *worker) {
	switch g := x.grant; {
	case x.lease.acked() == 0:
		return
	case g.Opens():
		if g.Plan || len(g.Prefixes) > 0 {
			c.violation("I2", "%s may send by a grant that acknowledges what no manager has taken in", x.id)
		}
		return
	}
	at, ok := c.heard[heardReport{x.id, fmt.Sprint(x.instance), x.lease.acked()}]
	if !ok {
		c.violation("I2", "%s holds a lease by report %d, which no manager has taken in", x.id, x.lease.acked())
		return
	}
	ends := c.run.now + time.Duration(float64(x.lease.end()-x.clock())/(1+x.drift))
	believed := at + time.Duration(float64(lifetimeOf(x.grant.Duration))/(1+driftBound))
	if ends > believed {
		c.violation("I2", "the lease of %s holds until %v, the manager believes until %v", x.id, ends, believed)
	}
}

// begins holds an archive that a worker begins against what the API says (I3, I6).
func (c *checks) begins(x *worker, a *attempt) {
	stored := x.fleet.api.grants[x.id]
	if stored.ID().Before(x.grant.ID()) && !x.fleet.manager.removed[x.id] {
		c.violation("I6", "%s begins archive %d under a grant that the API does not hold", x.id, a.number)
	}
	if h := a.archive.holder; h != nil && h != x && h.works(a.archive) && c.wellHeard(h) && c.wellHeard(x) && x.lease.held(x.clock()) {
		c.violation("I6", "%s begins archive %d of %s, which %s sends under a lease that holds",
			x.id, a.number, a.archive.prefix.name, h.id)
	}
	a.archive.holder = x
}

// wellHeard tells that the manager had no cause to give the worker's archives to
// others: it was heard regularly for a lease lifetime.
func (c *checks) wellHeard(x *worker) bool {
	return c.run.now-max(x.unheard, x.born) > c.lifetime
}

// silentIntervals without a report, or unseenVersions grants that it does not act on,
// make a worker's archives free to be hedged, as internal/coordination has it.
const (
	silentIntervals = 3
	unseenVersions  = 4
)

// listen records which workers the manager has not heard for long, or do not
// hear it.
func (c *checks) listen(f *fleet) {
	for _, p := range f.pods {
		x := p.worker
		g := f.api.grants[x.id]
		unseen := g.Sequence - f.api.reports[x.id].GrantSequence
		if f.now-x.heard > silentIntervals*min(g.ReportInterval, f.config.UpdateInterval) || unseen >= unseenVersions {
			x.unheard = f.now
		}
	}
}

// works tells that the worker may send the archive under a lease that holds.
func (x *worker) works(a *archive) bool {
	if !x.alive || !x.lease.held(x.clock()) && !x.lease.coasts(x.clock()) {
		return false
	}
	l := x.prefixes[a.prefix.index]
	if l == nil {
		return false
	}
	for _, as := range l.assigned {
		if as.run != nil && as.run.archive == a {
			return true
		}
	}
	return false
}

// starts holds a request that starts against what is allowed (I1, I5).
func (c *checks) starts(x *worker, t *task) {
	l := t.prefixWork
	if l.law.InFlight() > l.limits.Window {
		c.violation("I1", "%s has %d in flight on %s, its window is %d", x.id, l.law.InFlight(), l.prefix.name, l.limits.Window)
	}
	if x.inFlight > x.windows {
		c.violation("I1", "%s has %d in flight, its windows sum to %d", x.id, x.inFlight, x.windows)
	}
	t.floor = x.lease.expired(x.clock())
	if t.floor {
		if x.floored++; x.floored > 1 {
			c.violation("I5", "%s starts a request on %s after its lease has ended, with %d in flight that it started after that", x.id, l.prefix.name, x.floored-1)
		}
	}
	if !t.floor && !x.lease.held(x.clock()) && !x.lease.coasts(x.clock()) {
		c.violation("I5", "%s starts a request before its lease has begun", x.id)
	}
}

// ends takes back what starts has counted.
func (c *checks) ends(x *worker, t *task) {
	if t.floor {
		x.floored--
		t.floor = false
	}
}

// concluded holds what the manager counted against what is true (I6).
func (c *checks) concluded(f *fleet) {
	m := f.manager
	if m.core == nil {
		return
	}
	for _, w := range f.works {
		for _, p := range m.core.Progress(protocol.TransferID(w.spec.Name)).Prefixes {
			c.counted(m, w.byName[p.Prefix], p)
		}
	}
}

// counted compares the books on one prefix. What finished without anybody having
// sent it has failed; that must have been said.
func (c *checks) counted(m *manager, p *prefix, progress protocol.PrefixProgress) {
	var unsent, sent int64
	for n, a := range p.archives {
		if a.done {
			sent++
		}
		if !a.done && progress.Finished.Contains(int64(n)) {
			unsent++
			a.fail()
		}
	}
	if unsent > progress.Exhausted {
		c.violation("I6", "%d archives of %s count as finished that nobody finished, %d of them as failed",
			unsent, p.name, progress.Exhausted)
	}
	c.conserved(p, progress, sent)
	known := progress.Queued + progress.Assigned + progress.Finished.Count()
	if want := m.scheduled[p]; known != want {
		c.violation("I6", "%d archives of %s are queued, assigned or finished, of %d", known, p.name, want)
	}
}

// conserved looks for files that are counted without having been sent, or that nobody
// accounts for once everything has ended (I8). An archive holds one file.
func (c *checks) conserved(p *prefix, progress protocol.PrefixProgress, sent int64) {
	if progress.Done.Files > sent {
		c.violation("I8", "%d files of %s count as done, %d were sent", progress.Done.Files, p.name, sent)
	}
	ended := progress.Done.Plus(progress.Failed).Plus(progress.Skipped)
	if progress.Queued+progress.Assigned == 0 && ended != (protocol.Tally{Files: progress.Planned.Files, Bytes: progress.Planned.Bytes}) {
		c.violation("I8", "%+v of %s are planned, and %+v done, failed or skipped", progress.Planned, p.name, ended)
	}
}

// rested looks for what is left over once all work has ended and the workers were
// told to drain (I7).
func (c *checks) rested(f *fleet) {
	for id, g := range f.api.grants {
		if x := f.byID[id]; !x.hung {
			c.violation("I7", "grant %d of %s is left over", g.Sequence, id)
		}
	}
	if f.record.inFlight > 0 {
		c.violation("I7", "%d requests are in flight", f.record.inFlight)
	}
}
