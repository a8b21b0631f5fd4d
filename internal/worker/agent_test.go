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
	"cargoship.dev/operator/internal/coordination/protocol"
)

// fakeLeases is an API server with one lease.
type fakeLeases struct {
	read  chan struct{} // takes one value a read, while somebody waits for it
	reads atomic.Int64
	slow  atomic.Int64 // how long a read takes, in nanoseconds

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
	l.reads.Add(1)
	time.Sleep(time.Duration(l.slow.Load()))
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
		NewEngine: func(_ context.Context, after int64, restarted bool) (Sender, error) {
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
		after(4*time.Second + time.Millisecond)
		if n := len(a.leases.taken()); n == 0 || n > 3 {
			t.Errorf("%d reports when the lease is there, want one at once and few thereafter", n)
		}
	})
}

func TestAgentAsksEverLessOftenForALeaseThatIsNotThere(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		reads := func(d time.Duration) int {
			before := a.leases.reads.Load()
			after(d)
			return int(a.leases.reads.Load() - before)
		}
		after(time.Second)
		if n := a.leases.reads.Load(); n < 3 || n > 6 { // the first of them maybe before this goroutine ran
			t.Errorf("asked %d times in the first second", n)
		}
		after(10 * time.Second)
		if n := reads(time.Minute); n < 15 || n > 30 {
			t.Errorf("asked %d times a minute after ten seconds, want one every 2 to 4 s", n)
		}
	})
}

// In a large fleet reports and reads are rare. The first grant is looked for sooner, since
// nothing is sent before, and ever later, since many begin together.
func TestAgentLooksSoonForItsFirstGrant(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		reads := func(d time.Duration) int {
			before := a.leases.reads.Load()
			after(d)
			return int(a.leases.reads.Load() - before)
		}
		a.leases.set(func(l *v1alpha1.PrefixLease) {
			l.Spec.PodUID = "pod"
			l.Spec.ReportInterval.Duration = 40 * time.Second
		})
		<-a.leases.read
		if n := reads(6 * time.Second); n != 1 {
			t.Errorf("looked %d times in the first six seconds, where reports come every 40 s, want 1", n)
		}
		after(30 * time.Second)
		if n := reads(10 * time.Minute); n < 14 || n > 17 {
			t.Errorf("looked %d times in ten minutes, at an interval of 36 to 40 s, though nobody answers; want once in each", n)
		}
	})
}

// The answer to a report holds the lease: between two the lease is read three times, once if
// they are rare, and just before or after a report never.
func TestAgentLooksBetweenReports(t *testing.T) {
	for interval, want := range map[time.Duration]int{2 * time.Second: 3, 5 * time.Second: 1} {
		agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
			a.grant.ReportInterval.Duration = interval
			a.write()
			after(time.Second)
			a.write() // which answers the first report
			a.leases.taken()
			before := a.leases.reads.Load()
			after(50 * interval)
			reads, reports := int(a.leases.reads.Load()-before), len(a.leases.taken())
			if reads < (reports-1)*want || reads > (reports+1)*want {
				t.Errorf("%d reads and %d reports at an interval of %v, want %d reads for each report", reads, reports, interval, want)
			}
		})
	}
}

// An API server that is slow is asked less often. Reports are not put off, since leases depend
// on them.
func TestAgentSparesASlowServer(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		a.grant.ReportInterval.Duration = time.Second
		a.write()
		a.leases.mu.Lock()
		a.leases.fail = errors.New("the server is away")
		a.leases.mu.Unlock()
		a.leases.slow.Store(int64(time.Second))
		after(10 * time.Second)
		before := a.leases.reads.Load()
		after(time.Minute)
		if n := a.leases.reads.Load() - before; n < 11 || n > 13 {
			t.Errorf("%d reads in a minute of a second each, want one every 5 s", n)
		}
		a.leases.mu.Lock()
		a.leases.fail = nil
		a.leases.mu.Unlock()
		after(10 * time.Second)
		if n := len(a.leases.taken()); n < 9 {
			t.Errorf("%d reports in ten seconds, want one a second", n)
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

func TestAgentTriesARareReportAgainSoon(t *testing.T) {
	agentBubble(t, ErrTerminated, func(t *testing.T, a *agentBench) {
		a.leases.mu.Lock()
		a.leases.fail = errors.New("the server is busy")
		a.leases.mu.Unlock()
		a.grant.ReportInterval.Duration = 40 * time.Second
		a.write()
		after(time.Second)
		a.leases.mu.Lock()
		a.leases.fail = nil
		a.leases.mu.Unlock()
		a.leases.taken()
		const again = 5 * time.Second
		after(again)
		if n := len(a.leases.taken()); n != 1 {
			t.Errorf("%d reports within %v of a server that answers again, want 1 though they are due every 40 s", n, again)
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
			after(testUpload + protocol.ReportSpacing + 10*time.Millisecond)
		}
		reports := a.leases.taken()
		if len(reports) < 6 {
			t.Fatalf("%d reports after five archives that left nothing to do", len(reports))
		}
		for i := range len(reports) - 1 {
			if d := reports[i+1].at.Sub(reports[i].at); d < protocol.ReportSpacing {
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
