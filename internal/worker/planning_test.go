package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// walkOf is a walk that lists an archive every second, ten in all, and goes on
// where it was cut short.
type walkOf struct {
	listed, running, most int
	// fails makes the walk fail at once.
	fails atomic.Bool
}

func (w *walkOf) run(ctx context.Context, progress func(archive.Plan)) (archive.Plan, error) {
	w.running++
	defer func() { w.running-- }()
	w.most = max(w.most, w.running)
	if w.fails.Load() {
		return archive.Plan{}, errors.New("open source: input/output error")
	}
	plan := func() archive.Plan {
		return archive.Plan{Complete: w.listed == 10, Prefixes: []archive.PlannedPrefix{{Name: "a", Archives: int64(w.listed)}}}
	}
	for w.listed < 10 {
		if s3.Sleep(ctx, time.Second) != nil {
			return archive.Plan{}, ctx.Err()
		}
		w.listed++
		progress(plan())
	}
	return plan(), nil
}

func TestPlanningDuty(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		w := &walkOf{}
		b.options.Plan = w.run
		b.run()
		b.grant.Duty = v1alpha1.DutyPlan
		b.send()
		after(2 * time.Second)
		if w.listed > 0 {
			t.Fatal("planned before the lease began")
		}
		b.renew()
		after(3500 * time.Millisecond)
		r := b.renew()
		if r.Plan == nil || r.Plan.State != planRunning || *r.Plan.Prefixes[0].Archives != 3 {
			t.Errorf("plan after 3.5 s: %+v", r.Plan)
		}
		after(7 * time.Second)
		r = b.renew()
		if r.Plan == nil || r.Plan.State != planComplete || *r.Plan.Prefixes[0].Archives != 10 {
			t.Errorf("plan after 10.5 s: %+v", r.Plan)
		}
		b.grant.Duty = ""
		b.renew()
		synctest.Wait()
		if r := b.Report(); r.Plan != nil {
			t.Errorf("plan reported without the duty: %+v", r.Plan)
		}
	})
}

func TestPlanningStopsWithTheLeaseAndGoesOnWithTheNext(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		w := &walkOf{}
		b.options.Plan = w.run
		b.run()
		b.grant.Duty = v1alpha1.DutyPlan
		b.grant.LeaseDuration.Duration = 4 * time.Second
		b.renew()
		after(20 * time.Second)
		if w.running > 0 || w.listed != 3 {
			t.Errorf("%d walks after expiry, %d archives listed; want 0 and 3", w.running, w.listed)
		}
		b.grant.LeaseDuration.Duration = time.Minute
		b.renew()
		after(8 * time.Second)
		if r := b.Report(); r.Plan == nil || r.Plan.State != planComplete || w.most != 1 {
			t.Errorf("plan %+v, up to %d walks at once", r.Plan, w.most)
		}
	})
}

func TestPlanningHeldUp(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		w := &walkOf{}
		w.fails.Store(true)
		b.options.Plan = w.run
		b.run()
		b.grant.Duty = v1alpha1.DutyPlan
		b.renew()
		after(2 * time.Second)
		if s, reason := condition(b.renew(), v1alpha1.LeaseConditionBlocked); s != metav1.ConditionTrue || reason != v1alpha1.ReasonSourceUnavailable {
			t.Errorf("Blocked is %s %s", s, reason)
		}
		w.fails.Store(false)
		after(5 * time.Second)
		if s, _ := condition(b.renew(), v1alpha1.LeaseConditionBlocked); s != metav1.ConditionFalse {
			t.Errorf("Blocked is %s after the walk goes on", s)
		}
		after(9 * time.Second)
		if r := b.Report(); r.Plan.State != planComplete {
			t.Errorf("plan: %+v", r.Plan)
		}
	})
}

func TestDutyIsGivenUpOnceTheWalkHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.options.Plan = func(ctx context.Context, _ func(archive.Plan)) (archive.Plan, error) {
			<-ctx.Done()
			time.Sleep(2 * time.Second)
			return archive.Plan{}, ctx.Err()
		}
		b.run()
		b.grant.Duty = v1alpha1.DutyPlan
		b.renew()
		after(time.Second)
		b.grant.Duty = ""
		b.renew()
		after(time.Second)
		if r := b.Report(); *r.ObservedSequence == b.grant.Sequence {
			t.Error("the end of the duty is acknowledged while the walk goes on")
		} else if r.Plan != nil {
			t.Errorf("a plan is reported after the duty was withdrawn: %+v", r.Plan)
		}
		after(2 * time.Second)
		if r := b.Report(); *r.ObservedSequence != b.grant.Sequence {
			t.Errorf("observed %d, want %d", *r.ObservedSequence, b.grant.Sequence)
		}
	})
}

func TestAPlanOfAnEarlierDutyIsNotTold(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		walks := 0
		b.options.Plan = func(ctx context.Context, progress func(archive.Plan)) (archive.Plan, error) {
			if walks++; walks == 1 {
				progress(archive.Plan{Prefixes: []archive.PlannedPrefix{{Name: "a", Archives: 3}}})
				<-ctx.Done()
				time.Sleep(2 * time.Second) // It winds down.
				return archive.Plan{}, ctx.Err()
			}
			<-ctx.Done()
			return archive.Plan{}, ctx.Err()
		}
		b.run()
		for _, duty := range []v1alpha1.Duty{v1alpha1.DutyPlan, "", v1alpha1.DutyPlan} {
			b.grant.Duty = duty
			b.renew()
			after(500 * time.Millisecond)
		}
		after(3 * time.Second)
		b.renew()
		if r := b.Report(); walks != 2 || r.Plan == nil || len(r.Plan.Prefixes) > 0 {
			t.Errorf("%d walks, the plan told is %+v", walks, r.Plan)
		}
	})
}
