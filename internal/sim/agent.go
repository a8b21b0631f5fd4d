package sim

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// agent is what a worker's process does at an API server that takes its time: it reads its lease again and again,
// and reports one report at a time, as internal/worker's.
type agent struct {
	worker    *worker
	reading   event
	calling   bool // a report is under way
	found     bool // the lease is there
	pause     time.Duration
	answered  time.Duration // when a report was
	reads     protocol.Reads
	timeoutBy time.Duration // the interval of the newest lease that was seen; 0 for none
}

func (a *agent) begin(x *worker) {
	*a = agent{worker: x, reading: a.reading}
	a.reading.act = func() { x.unlessHung(a.look) }
	x.fleet.set(&a.reading, x.fleet.now)
}

// call makes a request whose answer holds the lease, if there is one. What was asked by a process before is of no
// interest.
func (a *agent) call(served func(), ended func(ok, found bool)) {
	x := a.worker
	f, instance, sent := x.fleet, x.instance, x.clock()
	var seen protocol.Grant
	var found bool
	f.api.server.call(protocol.CallTimeout(a.timeoutBy), func() bool { return f.api.reached(x) }, func() {
		if seen, found = f.api.grants[x.id]; found {
			served()
		}
	}, func(ok bool) {
		x.unlessHung(func() {
			if x.instance != instance {
				return
			}
			if ok && found {
				a.timeoutBy = seen.ReportInterval
				a.take(seen, sent)
			}
			ended(ok, found)
		})
	})
}

// take takes the lease in. The first report follows soon: where it opens the lease, within a while.
func (a *agent) take(g protocol.Grant, sent time.Duration) {
	x := a.worker
	x.take(g)
	x.confirm(g, sent)
	if a.found {
		return
	}
	a.found = true
	wait := time.Duration(0)
	if g.Opens() {
		wait = protocol.OpeningWait(g.ReportInterval, x.random.Int64N)
	}
	x.fleet.set(&x.reporting, x.fleet.now+wait)
}

// look reads the lease, unless the answer to a report showed it a short time ago.
func (a *agent) look() {
	x := a.worker
	f := x.fleet
	if due := a.answered + a.pause; a.answered > 0 && due > f.now {
		f.set(&a.reading, due)
		return
	}
	sent := f.now
	a.call(func() {}, func(ok, _ bool) {
		g := &x.grant
		a.pause = a.reads.Next(protocol.Read{
			Took: f.now - sent, Failed: !ok,
			Lease: a.found, Awaited: x.lease.acked() == 0 && !g.Opens(), Interval: g.ReportInterval,
		}, x.random.Int64N)
		f.set(&a.reading, f.now+a.pause)
	})
}

// report sends a report; the next is due once it has ended.
func (a *agent) report(r protocol.Report) {
	x := a.worker
	f := x.fleet
	a.calling = true
	words := f.api.listen(x)
	a.call(func() {
		if !f.manager.removed[x.id] {
			f.api.keep(r, words)
		}
	}, func(ok, _ bool) {
		a.calling = false
		next := x.interval()
		switch {
		case ok:
			a.answered = f.now
		default:
			next = protocol.AfterFailure(next, x.random.Int64N)
		}
		if x.eager {
			next = min(next, protocol.ReportSpacing)
		}
		f.set(&x.reporting, f.now+next)
		if r.Drained {
			x.conclude()
		}
	})
}
