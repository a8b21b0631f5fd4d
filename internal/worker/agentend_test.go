package worker

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
)

func TestAgentDrains(t *testing.T) {
	agentBubble(t, nil, func(t *testing.T, a *agentBench) {
		a.on("a", 2, 0)
		a.write()
		after(time.Second)
		a.grant.Mode, a.grant.Prefixes = v1alpha1.LeaseDrain, nil
		a.write()
		after(2 * time.Second)
		reports := a.leases.taken()
		if s, _ := condition(reports[len(reports)-1].status, v1alpha1.LeaseConditionDrained); s != metav1.ConditionTrue {
			t.Errorf("last report: Drained is %q", s)
		}
	})
}

func TestAgentTerminatedTellsSo(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		a.dest.linger = 3 * time.Second
		a.on("a", 2, 0)
		a.write()
		after(time.Second)
		a.write()
		after(testUpload / 2)
		a.leases.taken()
		a.cancel()
		after(4 * time.Second)
		reports := a.leases.taken()
		if len(reports) < 3 {
			t.Errorf("%d reports while winding down for 3 s", len(reports))
		}
		if s, _ := condition(reports[len(reports)-1].status, v1alpha1.LeaseConditionDrained); s != metav1.ConditionTrue {
			t.Errorf("last report: Drained is %q", s)
		}
	})
}

func TestAgentWhoseLeaseIsDeletedStops(t *testing.T) {
	for name, remove := range map[string]func(l *fakeLeases){
		"deleted":             func(l *fakeLeases) { l.set(nil) },
		"another of its name": func(l *fakeLeases) { l.set(func(p *v1alpha1.PrefixLease) { p.UID = "new" }) },
	} {
		t.Run(name, func(t *testing.T) {
			agentBubble(t, ErrLeaseGone, func(t *testing.T, a *agentBench) {
				a.files = 1000
				a.on("a", 2, 0)
				a.write()
				after(time.Second)
				a.write()
				after(time.Second)
				remove(a.leases)
				after(time.Second)
				if a.dest.sinceLast(); a.dest.inFlight > 0 {
					t.Errorf("%d in flight without a lease", a.dest.inFlight)
				}
			})
		})
	}
}

func TestAgentThatCannotBeginSaysWhy(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		a.engineFails.Store(true)
		a.leases.set(func(l *v1alpha1.PrefixLease) {
			l.Status.Instance, l.Status.ReportSequence = "zero", new(int64(7))
		})
		a.write()
		after(12 * time.Second)
		reports := a.leases.taken()
		if len(reports) != 3 {
			t.Fatalf("%d reports in 12 s", len(reports))
		}
		if s, reason := condition(reports[0].status, v1alpha1.LeaseConditionBlocked); s != metav1.ConditionTrue || reason != v1alpha1.ReasonSourceUnavailable {
			t.Errorf("Blocked is %s %s", s, reason)
		}
		a.engineFails.Store(false)
		after(10 * time.Second)
		reports = a.leases.taken()
		if *reports[0].status.ReportSequence != 11 || !a.options.Restarted {
			t.Errorf("the engine began with report %d, restarted %v; want 11 and true", *reports[0].status.ReportSequence, a.options.Restarted)
		}
		if s, _ := condition(reports[0].status, v1alpha1.LeaseConditionBlocked); s != metav1.ConditionFalse {
			t.Errorf("Blocked is %s once begun", s)
		}
	})
}
