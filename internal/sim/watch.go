package sim

import (
	"fmt"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// Sight is what somebody who reads the API sees of a run of the product at one time, and what
// is true.
type Sight struct {
	At time.Duration
	// Progress is that of each transfer, in the order of the scenario; it, Snapshot, Metrics and
	// Decision are the newest that a manager has written.
	Progress []protocol.Progress
	Snapshot protocol.Snapshot
	Metrics  coordination.CoordinationMetrics
	// Decision is that of the last round.
	Decision protocol.Decision
	// Limits are those of the policy.
	Limits protocol.Limits
	Leases []SeenLease
	// Accepted, Throttled and Failed count the requests that have ended, Bytes those of accepted
	// parts of archives that were not given up.
	Accepted, Throttled, Failed int64
	Bytes                       float64
	// AttemptP50 is the median time of an accepted request since the run began.
	AttemptP50 time.Duration
}

// SeenLease is the grant of a worker and its last report that has arrived.
type SeenLease struct {
	Transfer int // its place in the scenario
	Grant    protocol.Grant
	Report   protocol.Report
	// LimitedBy is what the worker says limits it, by prefix; Phase is that of its lease.
	LimitedBy map[string]protocol.Bottleneck
	Phase     lease.Phase
}

// spoken is what a report says beside what the coordinator reads.
type spoken struct {
	limitedBy map[string]protocol.Bottleneck
	phase     lease.Phase
}

// Watch runs a scenario with the product and shows it again and again.
func Watch(s *Scenario, c Controller, seed uint64, every time.Duration, see func(Sight)) error {
	if !c.Ours() {
		return fmt.Errorf("watch controller %s: only ours has grants and reports", c.Name)
	}
	r := newRun(s, seed)
	f := newFleet(r, c)
	f.api.spoken = map[protocol.WorkerID]spoken{}
	r.record.watch(r)
	var last Sight
	r.every(every, func() {
		last = f.sight(last)
		see(last)
	})
	r.play()
	if f.check.violations > 0 && !f.config.Uncoordinated { // whose windows are no shares of one

		return fmt.Errorf("run scenario %s: violated: %s", s.Name, f.check.first)
	}
	return nil
}

// sight is what is seen now; while there is no manager its part stays as it was.
func (f *fleet) sight(last Sight) Sight {
	s := last
	c := f.record
	s.At, s.Accepted, s.Throttled, s.Failed, s.Bytes = f.now, c.accepted, c.throttled, c.failed, 0
	for _, w := range f.works {
		s.Bytes += w.bytes
	}
	s.AttemptP50 = c.attempt.quantile(0.5)
	s.Limits = f.limits()
	if m := f.manager; m.core != nil {
		s.Progress = nil
		for _, w := range f.works {
			s.Progress = append(s.Progress, m.core.Progress(protocol.TransferID(w.spec.Name)))
		}
		s.Snapshot, s.Metrics, s.Decision = m.saved, m.core.Metrics(m.clock()), m.decision
	}
	s.Leases = nil
	for _, p := range f.pods {
		grant, ok := f.api.grants[p.worker.id]
		if !ok {
			continue
		}
		words := f.api.spoken[p.worker.id]
		s.Leases = append(s.Leases, SeenLease{
			Transfer: slices.Index(f.works, p.work), Grant: grant, Report: f.api.reports[p.worker.id],
			LimitedBy: words.limitedBy, Phase: words.phase,
		})
	}
	return s
}

// speak is what the worker says with a report.
func (x *worker) speak() spoken {
	s := spoken{limitedBy: map[string]protocol.Bottleneck{}, phase: x.lease.phase(x.clock())}
	for _, l := range x.prefixes {
		if l != nil && l.meter.used {
			s.limitedBy[l.prefix.name] = l.meter.limitedBy
		}
	}
	return s
}
