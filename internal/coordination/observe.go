package coordination

import (
	"errors"
	"fmt"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/coordination/schedule"
)

// Errors of Observe; the report was ignored, except ErrNewerEpoch, which also
// says that another coordinator leads and this one should stop.
var (
	// ErrNotStarted: Start comes first.
	ErrNotStarted = errors.New("the coordinator has not been started")
	// ErrUnknownWorker: AddWorker or AdoptGrant comes first.
	ErrUnknownWorker = errors.New("the worker is unknown")
	// ErrStaleReport: a later report has been processed already.
	ErrStaleReport = errors.New("the report is older than one already processed")
	// ErrNewerEpoch: the worker acts on the grant of a later leader.
	ErrNewerEpoch = errors.New("the worker acts on a grant of a later epoch")
	// ErrImpossibleReport: the report cannot be true.
	ErrImpossibleReport = errors.New("the report is impossible")
)

// Bounds of what one worker can do in a second; a report beyond them is rejected: far more
// requests than a processor can sign, and more bytes than a network card of 400 Gb/s sends.
const (
	mostRequests = 1e6
	mostBytes    = 1e11
)

// slotMoves bounds the sum over the prefixes of what was in flight on each at most, in
// windows: slots move from one to another.
const slotMoves = 2

// Observe processes a report, unless it is stale or impossible: then the error wraps one of
// the errors of this package and nothing changes.
func (c *PipelineCoordinator) Observe(now time.Time, r protocol.Report) error {
	if !c.started {
		return ErrNotStarted
	}
	c.now = now
	w := c.workers[r.Worker]
	if err := c.check(now, w, r); err != nil {
		c.metrics.rejected(err)
		return fmt.Errorf("observe report %d of worker %s: %w", r.Sequence, r.Worker, err)
	}
	c.hear(now, w)
	restarted := w.lease.Instance() != r.Instance
	first := restarted || !w.lease.Reported()
	c.grown = c.grown[:0]
	if !first {
		c.grown = w.grown(c.grown, r)
	}
	b := w.lease.Believe(now, r, c.grown)
	elapsed := b.Elapsed
	w.acknowledge(now, r)
	for i := range r.Prefixes {
		c.count(w, r, r.Prefixes[i], b, first)
	}
	w.observePace(r, first)
	w.use(r, b, first)
	if !first && !w.blocked {
		w.transfer.tenant.evidence.Hold(b.Most, elapsed)
	}
	ended := 0
	for _, o := range r.Finished {
		held := w.work.Held()
		if c.finish(w, r, o); w.work.Held() < held && !o.Retry && o.Failed.Files == 0 {
			ended++
		}
	}
	w.work.MeasureCompletionRate(ended, elapsed, first)
	w.work.MeasureRest(w.round.limited)
	c.observePlan(w, r)
	w.work.Yield(r)
	if r.Drained {
		w.drained = true
		w.release(true)
		w.lease.End()
	}
	c.metrics.ReportsAccepted++
	return nil
}

// HasReport tells that a report of a worker's process was processed, or a later one of it: Observe
// would ignore it as stale.
func (c *PipelineCoordinator) HasReport(id protocol.WorkerID, instance string, sequence int64) bool {
	w := c.workers[id]
	return w != nil && w.lease.Instance() == instance && sequence <= w.lease.LastReport()
}

// check returns why a report must be ignored.
func (c *PipelineCoordinator) check(now time.Time, w *worker, r protocol.Report) error {
	switch {
	case w == nil:
		return ErrUnknownWorker
	case r.Transfer != w.transfer.spec.ID:
		return fmt.Errorf("%w: it names transfer %q, the worker serves %q", ErrImpossibleReport, r.Transfer, w.transfer.spec.ID)
	case r.Epoch > c.epoch:
		return ErrNewerEpoch
	}
	if err := r.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrImpossibleReport, err)
	}
	l := &w.lease
	switch {
	case r.Sequence <= l.LastReport():
		return ErrStaleReport
	case l.Grant().ID().Before(r.ActsOn()):
		return fmt.Errorf("%w: it acts on grant %d of epoch %d, which was never given",
			ErrImpossibleReport, r.GrantSequence, r.Epoch)
	}
	if err := w.checkPlan(r); err != nil {
		return fmt.Errorf("%w: %w", ErrImpossibleReport, err)
	}
	switch {
	case l.Instance() != r.Instance:
		return nil // a new process begins anew
	case r.ActsOn().Before(l.ActsOn()):
		return ErrStaleReport
	}
	if r.Uptime < l.Uptime() {
		return fmt.Errorf("%w: its uptime of %v went back from %v", ErrImpossibleReport, r.Uptime, l.Uptime())
	}
	return w.checkCounters(r, l.Elapsed(now, r))
}

// checkCounters finds counters that went back within one process or grew faster
// than any could, and prefixes named twice.
func (w *worker) checkCounters(r protocol.Report, elapsed time.Duration) error {
	w.checks++
	var all protocol.PrefixCounters
	for _, p := range r.Prefixes {
		l := w.transfer.byName[p.Prefix]
		if l == nil {
			continue
		}
		wp := w.ensure(l)
		if wp.checked == w.checks {
			return fmt.Errorf("%w: it names prefix %q twice", ErrImpossibleReport, p.Prefix)
		}
		if newest := p.Newest.Grant; w.lease.Grant().ID().Before(newest) {
			return fmt.Errorf("%w: requests of prefix %q started under grant %d of epoch %d, which was never given",
				ErrImpossibleReport, p.Prefix, newest.Sequence, newest.Epoch)
		}
		wp.checked = w.checks
		growth := p.Since(wp.counters)
		if growth.Decreased() {
			return fmt.Errorf("%w: a counter of prefix %q went back", ErrImpossibleReport, p.Prefix)
		}
		if growth.Oversampled() {
			return fmt.Errorf("%w: the samples of prefix %q grew by more than all requests", ErrImpossibleReport, p.Prefix)
		}
		all = all.Plus(growth)
	}
	if seconds := 1 + elapsed.Seconds(); float64(all.Started) > mostRequests*seconds || float64(all.Bytes) > mostBytes*seconds {
		return fmt.Errorf("%w: %d requests and %d bytes in %v", ErrImpossibleReport, all.Started, all.Bytes, elapsed)
	}
	return nil
}

// grown adds by how much the counters of each prefix that is known have grown; nobody asks for the
// first report of a process, whose time is unknown.
func (w *worker) grown(all []protocol.PrefixCounters, r protocol.Report) []protocol.PrefixCounters {
	for i := range r.Prefixes {
		p := &r.Prefixes[i]
		if l := w.transfer.byName[p.Prefix]; l != nil {
			all = append(all, p.Since(w.ensure(l).counters))
		}
	}
	return all
}

// acknowledge takes in what the report says of the worker itself.
func (w *worker) acknowledge(now time.Time, r protocol.Report) {
	if w.lease.Instance() != r.Instance {
		w.restart()
	}
	w.lease.Take(now, r)
	w.halved = false
	w.told = min(r.MaxInFlight, protocol.MaxWindow)
	w.blocked = r.Blocked
	w.drained = r.Drained
}

// restart forgets the process that was before: its counters end with it.
func (w *worker) restart() {
	for _, wp := range w.prefixes {
		wp.counters, wp.rates, wp.round = protocol.PrefixCounters{}, congestion.Rates{}, prefixRound{}
		wp.work.Sent = 0
	}
	w.round = workerRound{}
	w.work.ForgetCompletionRate()
}

// count takes in the growth of one prefix's counters, as far as it is believed. The
// first report of a process only sets where they begin, since the time that it spans is
// unknown.
func (c *PipelineCoordinator) count(w *worker, r protocol.Report, p protocol.PrefixCounters, b lease.Belief, first bool) {
	l := w.transfer.byName[p.Prefix]
	if l == nil {
		return
	}
	wp := w.ensure(l)
	growth := p.Since(wp.counters)
	wp.counters = b.Measures(p)
	wp.work.Sent = p.Bytes
	wp.share.Demand = fairshare.Unlimited
	if p.SenderLimited && p.MaxInFlight < wp.share.Window {
		wp.share.Demand = headroom(p.MaxInFlight)
	}
	if first || !wp.entitled {
		return
	}
	growth = b.Growth(growth)
	if seconds := b.Elapsed.Seconds(); seconds > 0 {
		wp.rates = congestion.RatesOf(growth, seconds)
	}
	if p.PolicyLimited {
		wp.useful = 0 // its requests wait for the policy
	} else {
		wp.limitSlow(growth, b.Elapsed)
	}
	w.work.Sent(growth.Bytes)
	wp.round.grew, wp.round.growth = true, wp.round.growth.Plus(growth)
	judged := wp.judgment.Judged(&w.lease, r, growth)
	wp.round.judged = wp.round.judged.Plus(judged)
	if !w.blocked && w.transfer.coordinated() {
		w.transfer.tenant.evidence.Add(growth, judged)
		l.model.Count(growth)
	}
}

// headroom is what a party that used so many slots may claim next: a quarter
// more, so that its share can grow again.
func headroom(used int) int { return used + used/4 + 1 }

// use takes in how much of its windows the worker used.
func (w *worker) use(r protocol.Report, b lease.Belief, first bool) {
	inFlight, limited, elapsed := 0, true, b.Elapsed
	for _, p := range r.Prefixes {
		inFlight += min(p.MaxInFlight, b.Most)
		limited = limited && p.SenderLimited
	}
	inFlight = min(inFlight, slotMoves*b.Most)
	w.share.Demand = w.slots()
	limited = limited && inFlight < w.window()
	if limited && len(r.Prefixes) > 0 {
		w.share.Demand = min(w.share.Demand, headroom(inFlight))
	}
	limited = limited || w.used.held // whoever may not send more is not slow
	w.round.limited = limited
	w.round.inFlight = max(w.round.inFlight, inFlight)
	w.work.MeasureSpeed(elapsed, w.window(), first, limited)
	w.round.settled = w.lease.Settled(r)
	if !first {
		w.round.seconds += elapsed.Seconds()
	}
}

// finish takes in how an archive ended.
func (c *PipelineCoordinator) finish(w *worker, r protocol.Report, o protocol.Outcome) {
	switch w.work.Finish(r, o) {
	case schedule.Ignored:
		c.metrics.OutcomesIgnored++
	case schedule.Retried:
		c.metrics.Retries++
	case schedule.Finished:
		c.metrics.ArchivesFinished++
	}
}
