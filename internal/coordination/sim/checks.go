package sim

import (
	"fmt"
	"time"

	"cargoship.dev/operator/internal/coordination"
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
	recorded int       // sum of the windows in the snapshot that the manager began with
	inForce  int       // sum of the windows in force under leases that hold
	forces   map[*worker]int
	heard    map[heardReport]time.Duration           // when the manager took a report in, true time
	last     map[coordination.WorkerID]time.Duration // when it took in the last of a worker
	lifetime time.Duration
}

type boundAt struct {
	at     time.Duration
	window int
}

type heardReport struct {
	worker   coordination.WorkerID
	instance string
	sequence int64
}

func newChecks(r *run) *checks {
	return &checks{run: r, forces: map[*worker]int{}, heard: map[heardReport]time.Duration{}, last: map[coordination.WorkerID]time.Duration{}}
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

// began takes down what a manager begins with.
func (c *checks) began(m *manager) {
	c.recorded = 0
	if m.saved.Path != nil {
		c.recorded = m.saved.Path.Window
	}
}

// ticked holds the coordinator's books against the grants that it gives (I1, I4).
func (c *checks) ticked(m *manager, plan coordination.Plan) {
	metrics := m.core.Metrics(m.clock())
	granted := 0
	for _, g := range metrics.Groups {
		granted += g.Granted
	}
	if granted > metrics.Charged {
		c.violation("I1", "%d granted and %d charged", granted, metrics.Charged)
	}
	c.bounds = append(c.bounds, boundAt{c.run.now, metrics.Window})
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
	if metrics.Learning && sum > c.recorded+reserve {
		c.violation("I4", "%d granted while learning, %d recorded", sum, c.recorded)
	}
	c.forget()
	c.compare()
}

// forget drops the bounds that no lease can be from any more.
func (c *checks) forget() {
	since := c.run.now - c.lifetime
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

// observed takes down when the manager heard a report.
func (c *checks) observed(r coordination.Report) {
	c.heard[heardReport{r.Worker, r.Instance, r.Sequence}] = c.run.now
	c.last[r.Worker] = c.run.now
}

// leased holds the end of a worker's lease against what the manager believes (I2):
// it counts the lifetime from when it took in the report that the grant acknowledges.
func (c *checks) leased(x *worker) {
	g := &x.grant
	at, ok := c.heard[heardReport{x.id, fmt.Sprint(x.instance), x.lease.acked}]
	if !ok || g.Instance != fmt.Sprint(x.instance) || x.lease.acked != g.AcknowledgedReport {
		return
	}
	ends := c.run.now + time.Duration(float64(x.lease.end()-x.clock())/(1+x.drift))
	believed := at + time.Duration(float64(lifetimeOf(g.Duration))/(1+driftBound))
	if ends > believed {
		c.violation("I2", "the lease of %s holds until %v, the manager believes until %v", x.id, ends, believed)
	}
}

// silence without a report lets the manager give a worker's archives to others
// before its lease has ended, in report intervals.
const silence = 3

// begins holds an archive that a worker begins against what the API says (I3, I6).
func (c *checks) begins(x *worker, a *attempt) {
	stored := x.fleet.api.grants[x.id]
	if (fence{stored.Epoch, stored.Sequence}).before(fence{x.grant.Epoch, x.grant.Sequence}) && !x.fleet.manager.removed[x.id] {
		c.violation("I6", "%s begins archive %d under a grant that the API does not hold", x.id, a.number)
	}
	if a.archive.holder != nil && a.archive.holder != x && a.archive.holder.works(a.archive) &&
		x.lease.held(x.clock()) && c.run.now-c.last[a.archive.holder.id] <= silence*a.archive.holder.grant.ReportInterval {
		c.violation("I6", "%s begins archive %d of %s, which %s sends under a lease that holds",
			x.id, a.number, a.archive.prefix.name, a.archive.holder.id)
	}
	a.archive.holder = x
}

// works tells that the worker may send the archive under a lease that holds.
func (x *worker) works(a *archive) bool {
	if !x.alive || !x.lease.held(x.clock()) {
		return false
	}
	l := x.lanes[a.prefix.index]
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
	l := t.lane
	if l.law.InFlight() > l.limits.Window {
		c.violation("I1", "%s has %d in flight on %s, its window is %d", x.id, l.law.InFlight(), l.prefix.name, l.limits.Window)
	}
	t.floor = x.lease.expired(x.clock())
	if t.floor {
		if x.floored++; x.floored > 1 {
			c.violation("I5", "%s has %d in flight that it started after its lease had ended", x.id, x.floored)
		}
	}
	if !t.floor && !x.lease.held(x.clock()) {
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

// concluded holds what the manager counted against what is true (I6), and, where all
// is done, looks for what is left over (I7).
func (c *checks) concluded(f *fleet) {
	m := f.manager
	if m.core == nil {
		return
	}
	for _, w := range f.works {
		open := int64(0)
		for _, p := range m.core.Progress(coordination.TransferID(w.spec.Name)).Prefixes {
			c.counted(m, w.byName[p.Prefix], p)
			open += p.Queued + p.Assigned
		}
		if w.endless || open > 0 {
			continue
		}
		for _, pod := range f.pods {
			if pod.work == w && pod.worker.alive && !pod.worker.hung && pod.worker.attempts > 0 &&
				pod.worker.lease.held(pod.worker.clock()) && f.now-pod.worker.lastGrant > time.Minute {
				c.violation("I7", "%s still works on %d archives, all are done", pod.worker.id, pod.worker.attempts)
			}
		}
	}
}

func (c *checks) counted(m *manager, p *prefix, progress coordination.PrefixProgress) {
	for n, a := range p.archives {
		if a.done || !progress.Finished.Contains(int64(n)) {
			continue
		}
		if progress.FailedArchives == 0 {
			c.violation("I6", "archive %d of %s counts as finished, nobody finished it", n, p.name)
		}
		a.fail()
	}
	known := progress.Queued + progress.Assigned + progress.Finished.Count()
	if want := m.scheduled[p]; known != want {
		c.violation("I6", "%d archives of %s are queued, assigned or finished, of %d", known, p.name, want)
	}
}
