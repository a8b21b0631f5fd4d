package worker

import (
	"context"
	"slices"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/s3"
)

const (
	planRunning  = "Running"
	planComplete = "Complete"
)

// planning is the planning duty: the walk of the source that writes the inventory.
type planning struct {
	// running: a walk is at work, or waits to be tried again.
	running bool
	cancel  context.CancelFunc
	// known is what stands in the bucket; nil until the walk has said so.
	known *archive.Plan
	// verdict is why the walk is held up; nil while it goes on.
	verdict *verdict
}

// plan starts or stops the walk as duty and lease say. Two walks at once could
// list files twice, so it never outlives the lease.
func (e *Engine) plan() {
	p := &e.planning
	held := e.grant.Duty == v1alpha1.DutyPlan && e.grant.Mode == v1alpha1.LeaseActive
	due := held && e.options.Plan != nil && e.lease.Phase(time.Now()) == lease.Held
	switch {
	case !due && p.running:
		p.cancel()
	case due && !p.running && (p.known == nil || !p.known.Complete):
		ctx, cancel := context.WithCancel(e.ctx)
		p.running, p.cancel = true, cancel
		p.known = nil // Another worker may have planned more since.
		e.work.Go(func() { e.walk(ctx) })
	}
	if !held && !p.running {
		p.known, p.verdict = nil, nil
	}
}

// walk plans until the plan is complete or ctx ends. What went wrong is tried
// again, since nothing moves without a plan.
func (e *Engine) walk(ctx context.Context) {
	defer e.walkEnded()
	for pauses := retryPauses(); ; {
		plan, err := e.options.Plan(ctx, e.planned)
		if err == nil {
			e.planned(plan)
			return
		}
		if ctx.Err() != nil {
			return
		}
		e.planHeldUp(err)
		if s3.Sleep(ctx, pauses.Step()) != nil {
			return
		}
	}
}

func (e *Engine) walkEnded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.planning.cancel()
	e.planning.running = false
	notify(e.wake)
}

// planned takes in how far the inventory has come.
func (e *Engine) planned(plan archive.Plan) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := &e.planning
	if p.known == nil || plan.Complete || len(plan.Prefixes) > len(p.known.Prefixes) {
		notify(e.eager)
	}
	plan.Prefixes = slices.Clone(plan.Prefixes)
	p.known, p.verdict = &plan, nil
}

func (e *Engine) planHeldUp(err error) {
	v := verdictOf(err)
	if v.reason == reasonUnknown {
		v.reason = v1alpha1.ReasonSourceUnavailable
	}
	e.options.Logger.Warn("planning held up", "reason", v.reason, "error", v.message)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.planning.verdict = &v
	notify(e.eager)
}

// reportPlan returns the state of the duty, nil when it is not held: also while a walk
// winds down after the duty was withdrawn, since the manager rejects such a report.
func (e *Engine) reportPlan() *v1alpha1.PlanReport {
	if e.grant.Duty != v1alpha1.DutyPlan {
		return nil
	}
	return e.planning.report()
}

func (p *planning) report() *v1alpha1.PlanReport {
	if p.known == nil {
		if !p.running {
			return nil
		}
		return &v1alpha1.PlanReport{State: planRunning}
	}
	r := &v1alpha1.PlanReport{State: planRunning}
	if p.known.Complete {
		r.State = planComplete
	}
	for _, x := range p.known.Prefixes {
		r.Prefixes = append(r.Prefixes, v1alpha1.PlannedPrefix{
			Name: x.Name, Archives: new(x.Archives), Files: new(x.Files), Bytes: new(x.Bytes),
		})
	}
	return r
}
