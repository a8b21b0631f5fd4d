package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"cargoship.dev/operator/api/v1alpha1"
)

// fakeLeases is an API server with one lease.
type fakeLeases struct {
	read chan struct{} // takes one value a read, while somebody waits for it

	mu      sync.Mutex
	lease   *v1alpha1.PrefixLease
	reports []reportAt
	fail    error
}

type reportAt struct {
	at     time.Time
	status v1alpha1.PrefixLeaseStatus
}

func newFakeLeases() *fakeLeases { return &fakeLeases{read: make(chan struct{})} }

// set changes the lease as f says; a nil f deletes it.
func (l *fakeLeases) set(f func(*v1alpha1.PrefixLease)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f == nil {
		l.lease = nil
	} else {
		next := &v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Name: "w-0", UID: "lease"}}
		if l.lease != nil {
			next = l.lease.DeepCopy()
		}
		f(next)
		l.lease = next
	}
}

func (l *fakeLeases) Read(context.Context) (*v1alpha1.PrefixLease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.read <- struct{}{}:
	default:
	}
	if l.lease == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, "w-0")
	}
	return l.lease, nil
}

func (l *fakeLeases) Report(_ context.Context, status v1alpha1.PrefixLeaseStatus) (*v1alpha1.PrefixLease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.fail != nil:
		return nil, l.fail
	case l.lease == nil:
		return nil, apierrors.NewNotFound(schema.GroupResource{}, "w-0")
	}
	l.reports = append(l.reports, reportAt{time.Now(), status})
	return l.lease, nil
}

func (l *fakeLeases) taken() []reportAt {
	l.mu.Lock()
	defer l.mu.Unlock()
	reports := l.reports
	l.reports = nil
	return reports
}

// agentBench is an agent with a bench's engine.
type agentBench struct {
	*bench
	leases *fakeLeases
	agent  chan error
	cancel context.CancelFunc
	// engineFails makes making the engine fail.
	engineFails atomic.Bool
}

func startAgent(t *testing.T) *agentBench {
	a := &agentBench{bench: newBench(t), leases: newFakeLeases(), agent: make(chan error, 1)}
	agent := NewAgent(AgentOptions{
		Leases: a.leases, PodUID: "pod", Instance: "one",
		NewEngine: func(_ context.Context, after int64, restarted bool) (*Engine, error) {
			if a.engineFails.Load() {
				return nil, errors.New("open source: no such directory")
			}
			a.options.AfterReport, a.options.Restarted = after, restarted
			a.Engine = NewEngine(a.options)
			return a.Engine, nil
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	go func() { a.agent <- agent.Run(ctx) }()
	return a
}

// write has the manager write the grant, acknowledging the newest report, and
// returns when the agent reads it.
func (a *agentBench) write() {
	a.grant.Sequence++
	a.leases.set(func(l *v1alpha1.PrefixLease) {
		if n := len(a.leases.reports); n > 0 {
			r := a.leases.reports[n-1].status
			a.grant.AcknowledgedReport, a.grant.AcknowledgedInstance = r.ReportSequence, r.Instance
		}
		l.Spec = a.grant
		l.Spec.PodUID = "pod"
	})
	<-a.leases.read
}

func agentBubble(t *testing.T, want error, test func(t *testing.T, a *agentBench)) {
	synctest.Test(t, func(t *testing.T) {
		a := startAgent(t)
		test(t, a)
		a.cancel()
		if err := <-a.agent; !errors.Is(err, want) {
			t.Errorf("Run returned %v, want %v", err, want)
		}
	})
}

func TestAgentWaitsForTheLeaseOfItsPod(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		a.leases.set(func(l *v1alpha1.PrefixLease) { l.Spec.PodUID, l.UID = "another", "old" })
		after(time.Minute)
		if n := len(a.leases.taken()); n > 0 {
			t.Errorf("%d reports into the lease of another pod", n)
		}
		a.leases.set(nil)
		after(time.Second)
		a.leases.set(func(l *v1alpha1.PrefixLease) { l.Spec.PodUID = "pod" })
		after(readFirst + time.Millisecond)
		if n := len(a.leases.taken()); n != 1 {
			t.Errorf("%d reports at once, want 1", n)
		}
	})
}

func TestAgentReportsAtTheInterval(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		a.grant.ReportInterval.Duration = 5 * time.Second
		a.write()
		after(61 * time.Second)
		if n := len(a.leases.taken()); n < 12 || n > 14 {
			t.Errorf("%d reports in a minute at an interval of 5 s less up to a tenth", n)
		}
	})
}

func TestAgentReportsAtTheFirstShortInterval(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		a.grant.ReportInterval.Duration = 0
		a.write()
		after(100 * time.Millisecond)
		a.leases.taken()
		a.grant.ReportInterval.Duration = 500 * time.Millisecond
		a.write()
		after(500 * time.Millisecond)
		if n := len(a.leases.taken()); n != 1 {
			t.Errorf("%d reports in half a second after the first grant asked for one in each, want 1", n)
		}
	})
}

func TestAgentReportsSoonWhenIdleButNotTooOften(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		a.files = 1
		a.grant.ReportInterval.Duration = 10 * time.Second
		a.write()
		after(10 * time.Millisecond)
		for n := range int64(5) {
			a.on("a", 1, n)
			a.write()
			after(testUpload + reportSpacing + 10*time.Millisecond)
		}
		reports := a.leases.taken()
		if len(reports) < 6 {
			t.Fatalf("%d reports after five archives that left nothing to do", len(reports))
		}
		for i := range len(reports) - 1 {
			if d := reports[i+1].at.Sub(reports[i].at); d < reportSpacing {
				t.Errorf("reports %s apart", d)
			}
		}
	})
}

func TestAgentObeysGrantsWhileReportsFail(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		a.on("a", 2, 0)
		a.write()
		after(10 * time.Millisecond)
		a.write()
		a.leases.mu.Lock()
		a.leases.fail = errors.New("the server is away")
		a.leases.mu.Unlock()
		after(time.Second)
		a.on("a", 0)
		a.write()
		after(time.Second)
		a.dest.sinceLast()
		a.leases.mu.Lock()
		a.leases.fail = nil
		a.leases.mu.Unlock()
		after(2 * time.Second)
		reports := a.leases.taken()
		last := reports[len(reports)-1].status
		if got := numbers(last); len(got) != 1 {
			t.Errorf("archives ended during the outage: reported %v", got)
		}
		if *last.ObservedSequence != a.grant.Sequence {
			t.Errorf("observed %d, want %d", *last.ObservedSequence, a.grant.Sequence)
		}
	})
}

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
