package main

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// archiveRequests is how many requests an archive takes.
	archiveRequests = 64
	// puppetInFlight is the most requests that a puppet says it can have in flight.
	puppetInFlight = 64
	// idleWait is how long a puppet with nothing to wait for looks away.
	idleWait = time.Minute
)

// puppet is a worker's engine that sends nothing: requests, archives and counters follow from
// its grants, the path and the time. All else of the worker is the real one.
type puppet struct {
	path     *path
	plan     *v1alpha1.PlanReport
	asked    *counted
	instance string
	wake     chan struct{}
	eager    chan struct{}

	mu         sync.Mutex
	grant      v1alpha1.PrefixLeaseSpec
	holder     lease.Holder
	at         time.Time // until when what follows is told
	prefixes   map[string]*prefixWork
	finished   []ended
	over       bool
	conditions []metav1.Condition
	// untilLeased is what was asked until the first lease, nil before.
	untilLeased *asks
}

// ended is an archive that ended, and the first report that said so, 0 for none yet.
type ended struct {
	v1alpha1.FinishedArchive
	report int64
}

func newPuppet(p *path, plan *v1alpha1.PlanReport, asked *counted, instance string, after int64) *puppet {
	now := time.Now()
	return &puppet{
		path: p, plan: plan, asked: asked, instance: instance, wake: make(chan struct{}, 1), eager: make(chan struct{}, 1),
		holder: lease.NewHolder(now, after), at: now, prefixes: map[string]*prefixWork{},
	}
}

// Eager implements worker.Sender.
func (p *puppet) Eager() <-chan struct{} { return p.eager }

// Run implements worker.Sender.
func (p *puppet) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			p.end()
			return context.Cause(ctx)
		case <-p.wake:
		case <-timer.C:
		}
		p.mu.Lock()
		p.advance(time.Now())
		drain, next := p.grant.Mode == v1alpha1.LeaseDrain, p.untilDry()
		p.mu.Unlock()
		if drain {
			p.end()
			return nil
		}
		timer.Reset(next)
	}
}

func (p *puppet) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	for _, l := range p.prefixes {
		l.set(p.path, 0)
	}
}

// Apply implements worker.Sender.
func (p *puppet) Apply(g v1alpha1.PrefixLeaseSpec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.Epoch < p.grant.Epoch || g.Epoch == p.grant.Epoch && g.Sequence < p.grant.Sequence || p.over {
		return
	}
	p.advance(time.Now())
	if g.Duty == v1alpha1.DutyPlan && p.grant.Duty != v1alpha1.DutyPlan {
		notify(p.eager) // the plan is there
	}
	p.grant = g
	// The manager leads all the time: a puppet does not coast.
	acknowledged := p.holder.Take(time.Now(), p.instance, g.AcknowledgedInstance, ptr.Deref(g.AcknowledgedReport, 0), g.LeaseDuration.Duration, 0)
	kept := p.finished[:0]
	for _, f := range p.finished {
		if f.report == 0 || f.report > acknowledged {
			kept = append(kept, f)
		}
	}
	p.finished = kept
	p.obey()
	notify(p.wake)
}

// Confirm implements worker.Sender.
func (p *puppet) Confirm(_ protocol.GrantID, sent time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holder.Confirm(sent)
}

// obey takes over windows, rates and archives of the newest grant.
func (p *puppet) obey() {
	granted := map[string]v1alpha1.PrefixGrant{}
	for _, g := range p.grant.Prefixes {
		granted[g.Name] = g
		if p.prefixes[g.Name] == nil {
			p.prefixes[g.Name] = &prefixWork{ended: map[int64]bool{}}
		}
	}
	held := p.holder.Phase(time.Now()) == lease.Held
	if held && p.untilLeased == nil {
		p.untilLeased = new(p.asked.asks())
	}
	for name, l := range p.prefixes {
		g := granted[name]
		window := int64(ptr.Deref(g.Window, 0))
		if !held {
			window = 0
		}
		l.rate = float64(ptr.Deref(g.MilliRequestsPerSecond, 0)) / 1000
		l.assign(g.Archives)
		l.set(p.path, window)
	}
}

// advance tells what happened since it was asked last. The caller holds the lock.
func (p *puppet) advance(now time.Time) {
	elapsed := now.Sub(p.at).Seconds()
	p.at = now
	if p.holder.Phase(now) != lease.Held {
		for _, l := range p.prefixes {
			l.set(p.path, 0)
		}
	}
	latency := p.path.latency()
	dry := false
	for name, l := range p.prefixes {
		numbers := l.advance(elapsed, latency)
		for _, n := range numbers {
			p.finished = append(p.finished, ended{FinishedArchive: v1alpha1.FinishedArchive{
				Prefix: name, Number: ptr.To(n), Result: v1alpha1.ArchiveFinished,
				Done: &v1alpha1.Tally{Files: ptr.To(int64(archiveFiles)), Bytes: ptr.To(int64(archiveBytes))},
			}})
		}
		dry = dry || len(numbers) > 0 && len(l.archives) == 0 && l.window > 0
	}
	if dry {
		notify(p.eager)
	}
}

// untilDry is when a prefix will have nothing left to send.
func (p *puppet) untilDry() time.Duration {
	latency, next := p.path.latency(), idleWait
	for _, l := range p.prefixes {
		if d := l.untilDry(latency); d > 0 {
			next = min(next, d)
		}
	}
	return next
}

// Report implements worker.Sender.
func (p *puppet) Report() v1alpha1.PrefixLeaseStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.advance(now)
	sequence := p.holder.Send(now)
	s := v1alpha1.PrefixLeaseStatus{
		Instance: p.instance, ReportSequence: &sequence, UptimeMilliseconds: ptr.To(now.Sub(p.holder.Started()).Milliseconds()),
		ObservedEpoch: ptr.To(p.grant.Epoch), ObservedSequence: ptr.To(p.grant.Sequence),
		MaxInFlight: ptr.To(int32(puppetInFlight)), MilliCPU: ptr.To(int64(250)), ChecksumAlgorithm: "CRC64NVME",
	}
	if p.grant.Duty == v1alpha1.DutyPlan {
		s.Plan = p.plan
	}
	latency := p.path.latency()
	for name, l := range p.prefixes {
		s.Prefixes = append(s.Prefixes, l.report(name, latency))
	}
	for i := range p.finished[:min(len(p.finished), 256)] {
		if p.finished[i].report == 0 {
			p.finished[i].report = sequence
		}
		s.Finished = append(s.Finished, p.finished[i].FinishedArchive)
	}
	p.setConditions(&s)
	return s
}

func (p *puppet) setConditions(s *v1alpha1.PrefixLeaseStatus) {
	set := func(kind, reason string, is bool) {
		status := metav1.ConditionFalse
		if is {
			status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(&p.conditions, metav1.Condition{Type: kind, Status: status, Reason: reason})
	}
	set(v1alpha1.LeaseConditionBlocked, "Working", false)
	set(v1alpha1.LeaseConditionDegraded, v1alpha1.ReasonHealthy, false)
	if p.over || p.grant.Mode == v1alpha1.LeaseDrain {
		set(v1alpha1.LeaseConditionDrained, "Drained", true)
	}
	s.Conditions = append(s.Conditions, p.conditions...)
}

// state is whether the puppet holds a lease, and how many requests per second that allows on
// the idle path.
func (p *puppet) state(now time.Time) (held bool, allowed float64, interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holder.Phase(now) != lease.Held {
		return false, 0, 0
	}
	for _, l := range p.prefixes {
		allowed += l.allows(baseLatency)
	}
	return true, allowed, p.grant.ReportInterval.Duration
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
