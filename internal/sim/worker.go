package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/pace"
	"cargoship.dev/operator/internal/sim/baseline"
)

// worker is a worker pod of ours: agent, engine, gate, meter and uploader of
// internal/worker and internal/upload, with archives of parts.
type worker struct {
	fleet    *fleet
	id       protocol.WorkerID
	work     *work
	group    *WorkerGroup
	host     *host
	random   *rand.Rand
	drift    float64 // of its clock
	instance int
	began    time.Duration // of the process, by its clock

	alive, hung, isolated bool
	dead                  bool     // its pod has ended
	broken                int      // connections that broke while it hung
	deferred              []func() // what happens once it is no longer hung
	grant                 protocol.Grant
	taken                 time.Duration // when that was known
	obeyed                protocol.GrantID
	limited               protocol.GrantID // the first grant with the limits of the newest
	lease                 workerLease
	coast                 pace.Coast
	coasting              bool
	prefixes              []*prefixWork // by prefix, nil before the first use
	windows, inFlight     int           // of all prefixes
	finished              []finishedArchive
	attempts              int
	lastReport            time.Duration
	heard, unheard, born  time.Duration // by the manager: last; last found silent; begun
	drained               time.Duration // when it first reported that it is drained; 0 for not yet
	retries               retryBudget
	fiction               fiction
	liars                 map[string]bool // the processes that have lied, by instance
	inForce               int             // windows in force while the lease holds
	floorOn               *prefixWork     // where the floor is; nil while the lease holds
	policy                policyPace
	floored               int // requests in flight that were started after the lease had ended
	free                  []*task

	agent              agent // where the API server takes its time
	reporting, turning event
	eager              bool
}

// finishedArchive is an archive that ended, and the first report that said so.
type finishedArchive struct {
	outcome protocol.Outcome
	attempt int
	report  int64
	begun   protocol.GrantID // the grant that it was begun under
}

func newWorker(f *fleet, w *work, group *WorkerGroup, machine *host, name string) *worker {
	x := &worker{
		fleet: f, id: protocol.WorkerID(name), work: w, group: group,
		host: machine, random: stream(f.seed, "worker "+name), liars: map[string]bool{},
	}
	x.drift = (2*x.random.Float64() - 1) * float64(f.scenario.Messages.Drift)
	x.reporting.act = func() { x.unlessHung(x.report) }
	x.turning.act = func() { x.unlessHung(x.turn) }
	x.policy.due.act = func() { x.unlessHung(x.pumpWaiting) }
	x.begin(0)
	return x
}

// begin starts a process, which knows of those before it only the sequence of
// their last report.
func (x *worker) begin(after int64) {
	x.instance++
	x.born, x.heard, x.drained = x.fleet.now, x.fleet.now, 0
	x.alive, x.hung, x.eager = true, false, false
	x.limited = protocol.GrantID{}
	x.grant, x.obeyed, x.inForce, x.floored, x.floorOn = protocol.Grant{}, protocol.GrantID{}, 0, 0, nil
	x.windows, x.inFlight = 0, 0
	x.began = x.clock()
	x.coast = pace.Coast{}
	x.lease = newLease(x.fleet.epoch, x.began, after)
	x.prefixes = make([]*prefixWork, len(x.work.prefixes))
	x.finished, x.attempts = nil, 0
	x.fiction = fiction{kind: x.fiction.kind, at: x.fleet.now}
	x.retries = newRetryBudget(x.fleet.now)
	x.policy.begin()
	if x.fleet.api.server != nil {
		x.agent.begin(x)
		return
	}
	x.fleet.set(&x.reporting, x.fleet.now)
}

// end kills the process: what it had under way vanishes.
func (x *worker) end() {
	x.alive = false
	x.deferred = nil
	for range x.broken {
		x.fleet.record.vanished()
	}
	x.broken = 0
	x.fleet.cancel(&x.reporting)
	x.fleet.cancel(&x.agent.reading)
	x.fleet.cancel(&x.turning)
	x.fleet.cancel(&x.policy.due)
	for _, l := range x.prefixes {
		if l == nil {
			continue
		}
		x.fleet.cancel(&l.paced)
		for _, as := range l.assigned {
			if as.run != nil {
				as.run.vanish()
			}
		}
		for _, a := range l.meter.withdrawn {
			a.vanish()
		}
	}
	x.inForce = 0
	x.fleet.check.force(x)
}

// clock is the time by the worker's clock.
func (x *worker) clock() time.Duration { return drifted(x.fleet.now, x.drift) }

func drifted(d time.Duration, drift float64) time.Duration {
	return time.Duration(float64(d) * (1 + drift))
}

// unlessHung acts, or does so when the process is no longer hung.
func (x *worker) unlessHung(act func()) {
	switch {
	case !x.alive:
	case x.hung:
		x.deferred = append(x.deferred, act)
	default:
		act()
	}
}

// hang freezes the process; thaw lets it go on: its connections are broken then.
func (x *worker) hang() {
	if !x.alive || x.hung {
		return
	}
	x.hung = true
	x.inForce = 0
	x.fleet.check.force(x)
	for _, l := range x.prefixes {
		for _, t := range l.inFlight() {
			t.request.drop()
			t.request.outcome, t.request.served = baseline.Failed, 0
			x.broken++
			t.broken = true
			x.deferred = append(x.deferred, t.breaks)
		}
	}
}

func (x *worker) thaw() {
	x.hung, x.broken = false, 0
	deferred := x.deferred
	x.deferred = nil
	if x.alive {
		x.turn() // the lease may have ended; its timer is due as well
	}
	for _, act := range deferred {
		if x.alive {
			act()
		}
	}
}

// untilRead returns how long it takes until the worker next reads its lease.
func (x *worker) untilRead() time.Duration {
	every := protocol.FirstRead
	if x.grant.ReportInterval > 0 {
		every = protocol.ReadInterval(x.grant.ReportInterval)
	}
	return time.Duration(x.fleet.messages.Float64() * float64(every))
}

// take takes in a grant, as Engine.Apply.
func (x *worker) take(g protocol.Grant) {
	if !x.alive {
		return
	}
	newer := g.ID()
	if newer.Before(x.grant.ID()) {
		return
	}
	renewed := x.grant.ID().Before(newer)
	interval := x.reportInterval()
	if renewed && !g.LimitsAs(x.grant) {
		x.limited = newer
	}
	if renewed {
		x.taken = x.fleet.now
	}
	x.grant = g
	sooner := x.reportInterval() < interval
	if due := x.lastReport + x.interval(); sooner && x.reporting.place > 0 && x.reporting.at > due {
		x.fleet.set(&x.reporting, max(x.fleet.now, due))
	}
	x.lease.acknowledge(x.clock(), g, fmt.Sprint(x.instance))
	x.fleet.check.leased(x)
	x.forget()
	x.assign()
	x.policy.set(x, g.Pace)
	x.setLimits(renewed)
	x.pump()
	if g.Drain && x.attempts == 0 {
		x.hurry()
	}
}

// confirm takes in that a request which was sent then found a grant in the API.
func (x *worker) confirm(g protocol.Grant, sent time.Duration) {
	if !x.alive || x.grant.ID() != g.ID() {
		return
	}
	x.lease.confirm(sent)
	if x.lease.coasts(x.clock()) {
		x.setLimits(false)
		x.pump()
	}
}

// forget drops the ended archives that the manager has taken in, as Engine.forget.
func (x *worker) forget() {
	x.finished = slices.DeleteFunc(x.finished, func(f finishedArchive) bool {
		known := f.report > 0 && f.report <= x.lease.acked()
		if known {
			x.prefixWork(f.outcome.Archive.Prefix).forget(f)
		}
		return known
	})
}

// turn draws the consequences of the end of the lease.
func (x *worker) turn() {
	x.setLimits(false)
	x.pump()
}

// assign takes the assignments of the grant over, and withdraws what is no longer
// granted.
func (x *worker) assign() {
	before := map[*prefixWork][]assigned{}
	for _, l := range x.prefixes {
		if l != nil && len(l.assigned) > 0 {
			before[l] = l.assigned
			l.assigned = nil
		}
		if l != nil {
			l.reserve = protocol.Ranges{}
		}
	}
	if !x.grant.Drain {
		for _, p := range x.grant.Prefixes {
			if l := x.prefixWork(p.Prefix); l != nil {
				l.takeOver(p.Assignments, p.Reserve, before[l])
			}
		}
	}
	for _, l := range x.prefixes {
		for _, as := range before[l] {
			if as.run != nil && !l.holds(as.run) {
				as.run.withdraw()
			}
		}
	}
}

// setLimits opens the gate as far as grant and lease allow.
func (x *worker) setLimits(renewed bool) {
	now := x.fleet.time(x.fleet.now)
	allowed, coasting := x.allowed(), x.lease.coasts(x.clock())
	x.windows = 0
	for _, limit := range allowed {
		x.windows += limit.Window
	}
	for _, l := range x.prefixes {
		if l == nil {
			continue
		}
		next := allowed[l.prefix.index]
		l.limit = 0
		if next.Window > 0 {
			l.limit = next.Window + protocol.FilesAhead
		}
		if renewed || next != l.limits || coasting != x.coasting {
			l.limits = next
			if coasting {
				l.law.Narrow(now, next)
			} else {
				l.law.Set(now, next)
			}
			l.pumpGate()
		}
	}
	force := x.windows
	if x.lease.expired(x.clock()) {
		force = 0
	} else if x.grant.Epoch > 0 {
		x.fleet.set(&x.turning, x.fleet.now+time.Duration(float64(x.lease.remaining(x.clock()))/(1+x.drift))+1)
	}
	x.inForce, x.coasting = force, coasting
	x.fleet.check.force(x)
}

// unfinished says that an archive has not ended and is, or could be, under way.
func (x *worker) unfinished(as assigned) bool {
	return as.run != nil || !as.ended && x.room()
}

func (x *worker) room() bool { return len(x.finished)+x.attempts < protocol.MaxFinished }

func (x *worker) pump() {
	for _, l := range x.prefixes {
		if l != nil {
			l.pump()
		}
	}
}

// hurry lets the next report go soon.
func (x *worker) hurry() {
	if soon := x.fleet.now + protocol.ReportSpacing; !x.eager {
		x.eager = true
		if x.agent.calling {
			return // what is under way ends first
		}
		if x.reporting.place == 0 || x.reporting.at > soon {
			x.fleet.set(&x.reporting, soon)
		}
	}
}
