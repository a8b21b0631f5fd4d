package sim

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// What internal/worker does; the names are the same there.
const (
	callTimeout    = 5 * time.Second
	longestTimeout = 20 * time.Second
	readLast       = 4 * time.Second
	readPending    = 1500 * time.Millisecond
	pendingPart    = 8
	openingPart    = 5
	openingMost    = 7 * time.Second
	readAgainMost  = 5 * time.Second
	restAfterRead  = 4
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
	looks     int
	failures  int
	pending   int
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
	timeout := longestTimeout
	if a.timeoutBy > 0 {
		timeout = min(max(callTimeout, a.timeoutBy/2), longestTimeout)
	}
	var seen protocol.Grant
	var found bool
	f.api.server.call(timeout, func() bool { return f.api.reached(x) }, func() {
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
		wait = time.Duration(x.random.Int64N(int64(min(g.ReportInterval/openingPart, openingMost)) + 1))
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
		if a.failures++; ok {
			a.failures = 0
		}
		a.pause = max(a.readInterval(), min(restAfterRead*(f.now-sent), readAgainMost))
		if a.failures > 0 {
			a.pause = min(a.pause<<min(a.failures, 10), readAgainMost)
		}
		a.looks++
		f.set(&a.reading, f.now+a.pause)
	})
}

// readInterval is how long to wait before the next look.
func (a *agent) readInterval() time.Duration {
	g := &a.worker.grant
	if !a.found {
		return a.jittered(min(readFirst<<min(a.looks, 10), readLast))
	}
	if g.ReportInterval <= 0 {
		return readFirst
	}
	pause := protocol.ReadInterval(g.ReportInterval)
	if a.worker.lease.acked() == 0 && !g.Opens() && a.pending < protocol.ReadsPerReport {
		pause = min(pause, a.jittered(max(readPending, g.ReportInterval/pendingPart)<<a.pending))
		a.pending++
	}
	return pause
}

// jittered is a pause of which up to half is left out.
func (a *agent) jittered(pause time.Duration) time.Duration {
	return pause - time.Duration(a.worker.random.Int64N(int64(pause/2)))
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
			next = min(next, a.jittered(readAgainMost))
		}
		if x.eager {
			next = min(next, reportSpacing)
		}
		f.set(&x.reporting, f.now+next)
		if r.Drained {
			x.conclude()
		}
	})
}
