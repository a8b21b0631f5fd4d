package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// fleet is the product: workers, an API that keeps the last grant and report of
// each, and the manager around the production coordinator.
type fleet struct {
	*run
	config   protocol.Config
	without  congestion.Mechanism
	api      api
	manager  *manager
	pods     []*pod
	byID     map[protocol.WorkerID]*worker
	messages *rand.Rand
}

// pod is one place in the Job: when its worker's pod dies, another takes it.
type pod struct {
	fleet      *fleet
	work       *work
	group      *WorkerGroup
	name       string
	generation int
	worker     *worker
}

// api is what the API server holds, and the way to it.
type api struct {
	fleet   *fleet
	server  *apiServer // nil where it takes no time
	outages int        // that go on; while there are any nobody reaches it
	grants  map[protocol.WorkerID]protocol.Grant
	reports map[protocol.WorkerID]protocol.Report
	spoken  map[protocol.WorkerID]spoken // with these reports; nil unless somebody watches
}

func newFleet(r *run, c Controller) *fleet {
	f := &fleet{run: r, config: *c.config, without: c.without, messages: stream(r.seed, "messages"), byID: map[protocol.WorkerID]*worker{}}
	f.api = api{
		fleet: f, grants: map[protocol.WorkerID]protocol.Grant{}, reports: map[protocol.WorkerID]protocol.Report{},
	}
	if spec := r.scenario.API; spec != nil {
		f.api.server = &apiServer{fleet: f, spec: spec}
		r.record.api = f.api.server
	}
	f.manager = &manager{
		fleet: f, random: stream(r.seed, "manager"),
		recorded: map[string]map[string]protocol.Recorded{}, removed: map[protocol.WorkerID]bool{},
	}
	r.record.faultManager, r.record.faultAPI = f.manager.kill, f.api.fail
	for _, w := range r.works {
		for i := range w.spec.Workers {
			g := &w.spec.Workers[i]
			for n := range g.Count {
				p := &pod{fleet: f, work: w, group: g, name: fmt.Sprintf("%s-%04d", g.Name, n)}
				p.start()
				f.pods = append(f.pods, p)
				r.hosts = append(r.hosts, &process{group: g, work: w, name: p.name, victim: p, host: p.worker.host})
			}
		}
	}
	f.manager.start()
	return f
}

// start creates a pod and its worker.
func (p *pod) start() {
	name := p.name
	if p.generation > 0 {
		name = fmt.Sprintf("%s-%d", p.name, p.generation)
	}
	p.generation++
	var machine *host
	if p.worker != nil {
		machine = p.worker.host // the same NIC, as far as changes have come
	} else {
		machine = p.fleet.host(p.group.Link, float64(p.group.NIC))
	}
	p.worker = newWorker(p.fleet, p.work, p.group, machine, name)
	p.fleet.byID[p.worker.id] = p.worker
}

func (p *pod) hang() { p.worker.hang() }

func (p *pod) thaw() { p.worker.thaw() }

func (p *pod) isolate(yes bool) { p.worker.isolated = yes }

func (p *pod) crash(after time.Duration) {
	dead := p.worker
	if dead.dead {
		return
	}
	dead.end()
	dead.dead = true
	p.fleet.manager.gone = append(p.fleet.manager.gone, dead.id)
	p.fleet.after(max(after, time.Second), func() {
		if p.worker == dead {
			p.start()
		}
	})
}

func (p *pod) restart(after time.Duration) {
	x := p.worker
	if !x.alive {
		return
	}
	x.end()
	p.fleet.after(max(after, time.Second), func() {
		if p.worker == x && !x.alive && !x.dead {
			after := p.fleet.api.reports[x.id].Sequence
			if g := p.fleet.api.grants[x.id]; !g.Opens() {
				after = max(after, g.AcknowledgedReport)
			}
			x.begin(after)
		}
	})
}

// send lets a message arrive, unless it is lost; it may be late, or come twice.
func (f *fleet) send(arrive func()) {
	m := &f.scenario.Messages
	if f.messages.Float64() < float64(m.Loss) {
		return
	}
	copies := 1
	if f.messages.Float64() < float64(m.Duplicates) {
		copies = 2
	}
	for range copies {
		delay := float64(m.Delay) + f.messages.Float64()*float64(m.Jitter)
		if f.messages.Float64() < float64(m.Late) {
			delay += f.messages.Float64() * float64(m.LateBy)
		}
		f.after(time.Duration(delay), arrive)
	}
}

// renewDeadline is how long a manager leads that cannot renew its leadership.
const renewDeadline = 10 * time.Second

// fail keeps everybody from the API for a time.
func (a *api) fail(length time.Duration) {
	f := a.fleet
	a.outages++
	f.after(length, func() {
		if a.outages--; a.outages == 0 && f.manager.waits {
			f.manager.start()
		}
	})
	if length > renewDeadline {
		f.after(renewDeadline, f.manager.depose)
	}
}

// reached tells that the worker's messages arrive.
func (a *api) reached(x *worker) bool { return a.outages == 0 && !x.isolated }

// putReport writes a report; the answer holds the newest grant.
func (a *api) putReport(x *worker, r protocol.Report) {
	if !a.reached(x) {
		return
	}
	sent, instance := x.clock(), x.instance
	words := a.listen(x)
	a.fleet.send(func() {
		if a.outages > 0 || a.fleet.manager.removed[r.Worker] {
			return
		}
		a.keep(r, words)
		if g, ok := a.grants[r.Worker]; ok {
			a.answer(x, func() {
				x.take(g)
				if x.instance == instance {
					x.confirm(g, sent)
				}
			})
		}
	})
}

// listen takes in what a worker says beside its report, if somebody watches.
func (a *api) listen(x *worker) (words spoken) {
	if a.spoken != nil {
		words = x.speak()
	}
	return words
}

// keep holds the newest report of a worker.
func (a *api) keep(r protocol.Report, words spoken) {
	a.reports[r.Worker] = r
	if a.spoken != nil {
		a.spoken[r.Worker] = words
	}
}

// tell lets a worker know its grant.
func (a *api) tell(x *worker, g protocol.Grant) {
	a.answer(x, func() { x.take(g) })
}

// answer lets a message of the API arrive.
func (a *api) answer(x *worker, arrive func()) {
	a.fleet.send(func() {
		if a.reached(x) {
			x.unlessHung(arrive)
		}
	})
}

// must stops a run whose coordinator refuses what every manager asks of it.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
