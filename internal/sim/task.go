package sim

import (
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/sim/baseline"
)

// maxAttempts is how often internal/s3 tries one request.
const maxAttempts = 10

// task is one part of an attempt: waiting for the gate, in flight, or waiting for
// its next try.
type task struct {
	prefixWork *prefixWork
	attempt    *attempt
	part       int
	tries      int
	request    *request
	timer      event
	grant      protocol.GrantID // whose limits it started under
	floor      bool             // started after the lease had ended
	waits      bool             // for its next try
	broken     bool             // its connection broke while the process hung, which it has yet to see
}

func (x *worker) newTask(a *attempt, part int) *task {
	var t *task
	if last := len(x.free) - 1; last >= 0 {
		t = x.free[last]
		x.free = x.free[:last]
	} else {
		t = &task{}
		t.request = x.fleet.path.newRequest(x.host, t)
		t.timer.act = func() { x.unlessHung(t.again) }
	}
	l := a.prefixWork
	t.prefixWork, t.attempt, t.part, t.tries, t.waits, t.broken = l, a, part, 0, false, false
	t.request.partition, t.request.prefix = l.prefix.partition, l.prefix.place
	t.request.size = float64(a.archive.partBytes(part))
	a.tasks = append(a.tasks, t)
	return t
}

func (t *task) begin() {
	t.prefixWork.worker.retries.deposit(retryTokensPerStart)
	t.enqueue()
}

func (t *task) enqueue() {
	t.prefixWork.queue = append(t.prefixWork.queue, t)
	t.prefixWork.pumpGate()
}

// pumpGate lets through what may start now.
func (l *prefixWork) pumpGate() {
	f := l.worker.fleet
	for len(l.queue) > 0 && l.worker.inFlight < l.worker.windows {
		now := f.time(f.now)
		ok, wait := l.law.Ready(now)
		if !ok {
			if wait > 0 {
				f.set(&l.paced, f.now+wait)
			}
			return
		}
		if l.worker.policy.holds(l) {
			return
		}
		l.start(now)
	}
}

// start lets the first task that waits through.
func (l *prefixWork) start(now time.Time) {
	f, t := l.worker.fleet, l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	l.worker.policy.take(now, t.request.size)
	l.law.Start(now)
	l.worker.inFlight++
	t.grant = l.worker.limited
	l.meter.begin(t.grant)
	t.tries++
	f.check.starts(l.worker, t)
	f.record.started(t.request, l.law.InFlight())
	t.request.start()
}

// ended takes in the end of the request.
func (t *task) ended(r *request) {
	l := t.prefixWork
	f := l.worker.fleet
	l.endRequest()
	l.meter.end(t.grant, f.now-r.started, r)
	f.check.ends(l.worker, t)
	f.record.ended(r)
	switch r.outcome {
	case baseline.Accepted:
		l.law.Accepted()
		t.attempt.archive.accept(t.part)
		if t.tries > 1 {
			l.worker.retries.deposit(1)
		}
		t.finish(true)
	case baseline.Throttled:
		l.law.Throttled(f.time(f.now))
		t.retry()
	default:
		t.retry()
	}
	l.pumpGates()
}

// endRequest counts one that has ended.
func (l *prefixWork) endRequest() {
	l.law.End()
	l.worker.inFlight--
}

// pumpGates lets through what may start now that a request has ended: of its own prefix first, and of the
// others where all windows together had been full.
func (l *prefixWork) pumpGates() {
	x := l.worker
	full := x.inFlight+1 >= x.windows
	l.pumpGate()
	for i := 0; full && i < len(x.prefixes) && x.inFlight < x.windows; i++ {
		if other := x.prefixes[(l.prefix.index+1+i)%len(x.prefixes)]; other != nil {
			other.pumpGate()
		}
	}
}

// breaks sees that the connection broke.
func (t *task) breaks() {
	if t.broken {
		t.broken = false
		t.ended(t.request)
	}
}

// retry waits for the next try, or gives up.
func (t *task) retry() {
	x := t.prefixWork.worker
	if t.tries == maxAttempts {
		t.finish(false)
		return
	}
	first, most := 200*time.Millisecond, 20*time.Second
	if t.request.outcome == baseline.Throttled {
		first, most = 100*time.Millisecond, 5*time.Second
	}
	pause := min(first<<(t.tries-1), most)
	t.waits = true
	x.fleet.set(&t.timer, x.fleet.now+time.Duration(x.random.Int64N(int64(pause)))+time.Millisecond)
}

// again tries again once the budget of retries allows, which 503s need none of: the gate slows down.
func (t *task) again() {
	x := t.prefixWork.worker
	if !t.waits {
		return // it was canceled while the process hung
	}
	if t.request.outcome != baseline.Throttled && !x.retries.take(x.fleet.now) {
		pause := 500*time.Millisecond + time.Duration(x.random.Int64N(int64(500*time.Millisecond)))
		x.fleet.set(&t.timer, x.fleet.now+pause)
		return
	}
	t.waits = false
	t.enqueue()
}

// finish ends the part for good.
func (t *task) finish(ok bool) {
	a := t.attempt
	t.leave()
	a.settle(ok)
}

// leave takes the task out of its attempt and makes it free for another part.
func (t *task) leave() {
	a := t.attempt
	i := slices.Index(a.tasks, t)
	last := len(a.tasks) - 1
	a.tasks[i] = a.tasks[last]
	a.tasks = a.tasks[:last]
	t.prefixWork.files--
	t.prefixWork.worker.free = append(t.prefixWork.worker.free, t)
}

// cancel ends the part because its archive was withdrawn.
func (t *task) cancel() {
	l := t.prefixWork
	f := l.worker.fleet
	f.cancel(&t.timer)
	t.waits = false
	if i := slices.Index(l.queue, t); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
	t.leave()
	if t.request.running || t.broken {
		t.broken = false
		t.request.drop()
		t.request.outcome, t.request.served = baseline.Failed, 0
		l.endRequest()
		l.meter.end(t.grant, f.now-t.request.started, t.request)
		f.check.ends(l.worker, t)
		f.record.ended(t.request)
		l.pumpGates()
	}
}

// inFlight lists the tasks of a prefix whose requests are under way.
func (l *prefixWork) inFlight() []*task {
	var tasks []*task
	if l == nil {
		return nil
	}
	for _, as := range l.assigned {
		if as.run == nil {
			continue
		}
		for _, t := range as.run.tasks {
			if t.request.running {
				tasks = append(tasks, t)
			}
		}
	}
	return tasks
}

// retryBudget bounds the retries of a process as internal/s3 does.
type retryBudget struct {
	tokens float64
	filled time.Duration
}

const (
	retryTokens          = 10.0
	retryTokensPerStart  = 0.1
	retryTokensPerSecond = 1.0
)

func newRetryBudget(now time.Duration) retryBudget { return retryBudget{retryTokens, now} }

func (b *retryBudget) deposit(tokens float64) { b.tokens = min(b.tokens+tokens, retryTokens) }

func (b *retryBudget) take(now time.Duration) bool {
	b.tokens = min(b.tokens+(now-b.filled).Seconds()*retryTokensPerSecond, retryTokens)
	b.filled = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
