package sim

import (
	"fmt"
	"time"
)

// run is one simulation: the path, what is to be sent, and what was seen.
type run struct {
	*path
	epoch    time.Time // where virtual time begins
	seed     uint64
	works    []*work
	record   *recorder
	check    *checks
	hosts    []*process
	over     bool // nothing more is to be seen
	conclude func()
}

// process is one worker, as faults and changes see it.
type process struct {
	group  *WorkerGroup
	work   *work
	name   string
	victim victim
	host   *host
}

// victim is what can break.
type victim interface {
	hang()
	thaw()
	// crash kills it for good; another takes its place after a time.
	crash(after time.Duration)
	// restart kills the process, which begins again in the same place.
	restart(after time.Duration)
	isolate(yes bool)
	// lie makes it report what is not so; an empty kind ends that.
	lie(kind string)
}

// epoch0 is an arbitrary beginning of virtual time.
func epoch0() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// time turns virtual time into what the laws are given.
func (r *run) time(d time.Duration) time.Time { return r.epoch.Add(d) }

func newRun(s *Scenario, seed uint64) *run {
	r := &run{path: newPath(s, seed), epoch: epoch0(), seed: seed, record: newRecorder(s)}
	r.check = newChecks(r)
	places := map[*partition]int{}
	for i := range s.Transfers {
		w := &work{spec: &s.Transfers[i], index: i, partSize: int64(s.Transfers[i].PartSize), byName: map[string]*prefix{}}
		w.endless = w.spec.Archives == 0 && len(w.spec.Arrivals) == 0
		for _, spec := range w.spec.Prefixes {
			for n := range spec.Count {
				x := r.partitions[spec.Partition]
				p := &prefix{
					name: prefixName(spec, n), place: places[x], index: len(w.prefixes),
					transfer: w, partition: x,
				}
				places[x]++
				w.prefixes = append(w.prefixes, p)
				w.byName[p.name] = p
			}
		}
		r.works = append(r.works, w)
	}
	return r
}

func prefixName(spec Prefix, n int) string {
	if spec.Count == 1 {
		return spec.Name
	}
	return fmt.Sprintf("%s-%02d", spec.Name, n)
}

// go runs to the end of the scenario.
func (r *run) play() {
	r.plan()
	end := time.Duration(r.scenario.Duration)
	for !r.over && r.next(end) {
	}
}

// plan sets everything that the scenario says will happen.
func (r *run) plan() {
	r.every(time.Second, func() {
		for _, p := range r.order {
			if p.tick(r.now) {
				r.record.disturbance(r.now)
			}
		}
	})
	for _, c := range r.scenario.Changes {
		r.after(time.Duration(c.At), func() { r.change(c) })
	}
	for _, f := range r.scenario.Faults {
		r.repeat(f.At, f.Every, f.Until, func() { r.fault(f) })
	}
	for i := range r.scenario.Tenants {
		newTenant(r, &r.scenario.Tenants[i])
	}
	for _, w := range r.works {
		if w.spec.Archives > 0 {
			w.appear(w.spec.Archives)
		}
		for _, a := range w.spec.Arrivals {
			if a.Every == 0 {
				r.after(time.Duration(a.At), func() { r.record.disturbance(r.now) })
			}
			w.awaited++
			r.repeat(a.At, a.Every, a.Until, func() { w.appear(a.Archives) })
			last := a.At
			if a.Every > 0 {
				last = max(a.At, a.Until)
			}
			r.after(time.Duration(last), func() { w.awaited-- })
		}
	}
}

// every acts again and again.
func (r *run) every(period time.Duration, act func()) {
	e := &event{}
	e.act = func() {
		act()
		r.set(e, r.now+period)
	}
	r.set(e, r.now+period)
}

// repeat acts at a time, and where there is a period, again until an end.
func (r *run) repeat(at, every, until Duration, act func()) {
	e := &event{}
	e.act = func() {
		act()
		if next := r.now + time.Duration(every); every > 0 && next <= time.Duration(until) {
			r.set(e, next)
		}
	}
	r.set(e, time.Duration(at))
}

func (r *run) fault(f Fault) {
	length := time.Duration(f.For)
	switch f.Kind {
	case FaultThrottling, FaultTimeouts, FaultErrors:
		r.blackOut(f, f.Kind)
		r.after(length, func() {
			r.blackOut(f, "")
			r.record.disturbance(r.now)
		})
	case FaultManager:
		r.record.faultManager(length)
	case FaultAPI:
		r.record.faultAPI(length)
	default:
		for _, p := range r.victims(f) {
			r.strike(p, f.Kind, length)
		}
	}
}

func (r *run) blackOut(f Fault, kind string) {
	for _, p := range r.order {
		if f.Partition == "" || p.spec.Name == f.Partition {
			p.blackout = kind
		}
	}
}

// victims are the first Count workers of the group.
func (r *run) victims(f Fault) []*process {
	var hit []*process
	for _, p := range r.hosts {
		if (f.Workers == "" || p.group.Name == f.Workers) && (f.Count == 0 || len(hit) < f.Count) {
			hit = append(hit, p)
		}
	}
	return hit
}

func (r *run) strike(p *process, kind string, length time.Duration) {
	v := p.victim
	switch kind {
	case FaultHang:
		v.hang()
		if length > 0 {
			r.after(length, v.thaw)
		}
	case FaultCrash:
		v.crash(length)
	case FaultRestart:
		v.restart(length)
	case FaultIsolate:
		v.isolate(true)
		if length > 0 {
			r.after(length, func() { v.isolate(false) })
		}
	default:
		if isLie(kind) {
			v.lie(kind)
			if length > 0 {
				r.after(length, func() { v.lie("") })
			}
		}
	}
}

// tenant is somebody else at work on a partition.
type tenant struct {
	run    *run
	spec   *Tenant
	host   *host
	idle   []*request
	gap    event
	random func() float64
}

// newTenant begins at its time: with so many requests at once, or so many per
// second. A throttled request is tried again like a new one, after a pause with
// full jitter of up to a tenth of a second, as an SDK's first retry.
func newTenant(r *run, spec *Tenant) {
	random := stream(r.seed, "tenant "+spec.Name)
	t := &tenant{run: r, spec: spec, host: r.host(spec.Link, 1e15)}
	r.after(time.Duration(spec.From), func() {
		r.record.disturbance(r.now)
		for range spec.InFlight {
			t.request()
		}
		if spec.Rate > 0 {
			t.gap.act = func() {
				if r.now < time.Duration(spec.Until) {
					t.request()
					r.set(&t.gap, r.now+time.Duration(random.ExpFloat64()/float64(spec.Rate)*float64(time.Second)))
				}
			}
			t.gap.act()
		}
	})
	r.after(time.Duration(spec.Until), func() { r.record.disturbance(r.now) })
	t.random = random.Float64
}

func (t *tenant) request() {
	var q *request
	if last := len(t.idle) - 1; last >= 0 {
		q = t.idle[last]
		t.idle = t.idle[:last]
	} else {
		q = t.run.newRequest(t.host, t)
		q.partition = t.run.partitions[t.spec.Partition]
		q.size = float64(t.spec.PartSize)
	}
	q.start()
}

func (t *tenant) ended(q *request) {
	t.idle = append(t.idle, q)
	if t.spec.InFlight == 0 || t.run.now >= time.Duration(t.spec.Until) {
		return
	}
	if q.outcome == 0 {
		t.request()
		return
	}
	t.run.after(time.Duration(t.random()*float64(100*time.Millisecond)), t.request)
}
