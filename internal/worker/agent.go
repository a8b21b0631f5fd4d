package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/s3"
)

const (
	// finalReportTimeout is how long the last report is retried for.
	finalReportTimeout = 10 * time.Second
	// againAfter is the pause before the engine is made again.
	againAfter = 5 * time.Second
)

var (
	// ErrTerminated means that the worker was told to stop before its work was done.
	ErrTerminated = errors.New("terminated before the work was done")
	// ErrLeaseGone means that the lease was deleted or belongs to another pod.
	ErrLeaseGone = errors.New("the lease is gone")
)

// Sender does what grants say, and reports; *Engine is one.
type Sender interface {
	// Run works until a grant says Drain and nothing is in flight any more, which is no
	// error, or until ctx ends.
	Run(ctx context.Context) error
	// Apply takes in a grant, which may be older than the last one.
	Apply(grant v1alpha1.PrefixLeaseSpec)
	// Confirm tells that a request which was sent then found a grant in the API.
	Confirm(grant protocol.GrantID, sent time.Time)
	// Report returns the next report, to be sent at once.
	Report() v1alpha1.PrefixLeaseStatus
	// Eager is signaled when a report is worth more than usual.
	Eager() <-chan struct{}
}

// AgentOptions holds what an Agent works with. All but Logger are required.
type AgentOptions struct {
	Leases Leases
	// PodUID is the UID of the worker's pod; a lease for any other is not its own.
	PodUID types.UID
	// Instance identifies the process in its reports.
	Instance string
	// NewEngine makes the engine once the lease is known. As long as it fails, the
	// worker reports that it is blocked, and why.
	NewEngine func(ctx context.Context, afterReport int64, restarted bool) (Sender, error)
	// Logger is where trouble is told; nil discards.
	Logger *slog.Logger
}

// Agent carries grants from the worker's lease to its engine, and reports back.
type Agent struct {
	options AgentOptions
	found   chan struct{}
	gone    chan struct{}
	sooner  chan struct{} // a grant asks for reports more often

	mu     sync.Mutex
	lease  *v1alpha1.PrefixLease // the newest; nil until found
	first  bool                  // no process has reported into it before this one
	isGone bool
	engine Sender
	// answered is when the API server answered a report last: with the lease, so that need
	// not be read at once.
	answered time.Time
}

// NewAgent returns an agent.
func NewAgent(o AgentOptions) *Agent {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Agent{options: o, found: make(chan struct{}), gone: make(chan struct{}), sooner: make(chan struct{}, 1)}
}

// Run waits for the lease of its pod and serves it until a grant says Drain,
// which is no error, until ctx ends (ErrTerminated), or until the lease is
// deleted (ErrLeaseGone). In every case the uploads in flight are aborted.
func (a *Agent) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	// The lease is followed while the engine winds down.
	followed, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	running.Go(func() { a.follow(followed) })

	select {
	case <-ctx.Done():
		return ErrTerminated
	case <-a.found:
	}
	engine, err := a.makeEngine(inner)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	running.Go(func() { ended <- engine.Run(inner) })
	return a.serve(engine, ended, cancel)
}

// follow reads the lease until ctx ends.
func (a *Agent) follow(ctx context.Context) {
	var reads protocol.Reads
	for ctx.Err() == nil {
		sent := time.Now()
		lease, err := a.options.Leases.Read(ctx)
		failed := false
		switch {
		case err == nil:
			a.takeNewer(lease, sent)
		case apierrors.IsNotFound(err):
			a.take(nil)
		case ctx.Err() == nil:
			failed = true
			a.options.Logger.Warn("lease not read", "error", err.Error())
		}
		a.rest(ctx, reads.Next(a.read(time.Since(sent), failed), rand.Int64N))
	}
}

// read tells of a read of the lease, by what is known since.
func (a *Agent) read(took time.Duration, failed bool) protocol.Read {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := protocol.Read{Took: took, Failed: failed, Lease: a.lease != nil}
	if r.Lease {
		r.Interval = a.lease.Spec.ReportInterval.Duration
		r.Awaited = a.lease.Spec.AcknowledgedInstance != a.options.Instance && !a.opens()
	}
	return r
}

// rest waits until ctx ends, or until the lease was seen neither by a read nor by a report for a
// pause.
func (a *Agent) rest(ctx context.Context, pause time.Duration) {
	for wait := pause; wait > 0 && ctx.Err() == nil; {
		_ = s3.Sleep(ctx, wait) // ctx is asked above.
		a.mu.Lock()
		wait = pause - time.Since(a.answered)
		a.mu.Unlock()
	}
}

// take takes in the lease as the API server has it; nil when it was deleted.
func (a *Agent) take(lease *v1alpha1.PrefixLease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	own := lease != nil && string(lease.Spec.PodUID) == string(a.options.PodUID)
	switch {
	case a.isGone:
	case a.lease == nil && own:
		a.lease, a.first = lease, lease.Status.Instance == ""
		close(a.found)
	case a.lease == nil:
	case !own || lease.UID != a.lease.UID:
		a.isGone = true
		close(a.gone)
	default:
		if reportInterval(&lease.Spec) < reportInterval(&a.lease.Spec) {
			notify(a.sooner)
		}
		a.lease = lease
		if a.engine != nil {
			a.engine.Apply(lease.Spec)
		}
	}
}

// makeEngine makes the engine, and reports what hinders it until it can.
func (a *Agent) makeEngine(ctx context.Context) (Sender, error) {
	a.mu.Lock()
	lease := a.lease
	a.mu.Unlock()
	restarted := lease.Status.Instance != ""
	after := ptr.Deref(lease.Status.ReportSequence, 0)
	if !opens(&lease.Spec) {
		after = max(after, ptr.Deref(lease.Spec.AcknowledgedReport, 0))
	}
	for {
		engine, err := a.options.NewEngine(ctx, after, restarted)
		if err == nil {
			a.employ(engine)
			return engine, nil
		}
		a.options.Logger.Warn("worker cannot start", "error", err.Error())
		after++
		if err := a.write(ctx, stalled(a.options.Instance, after, err)); err != nil {
			a.options.Logger.Warn("report not written", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil, ErrTerminated
		case <-a.gone:
			return nil, ErrLeaseGone
		case <-time.After(againAfter):
		}
	}
}

// employ hands the engine the newest grant, and all that follow.
func (a *Agent) employ(engine Sender) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.engine = engine
	engine.Apply(a.lease.Spec)
}

// serve reports until the engine has ended, and once more then.
func (a *Agent) serve(engine Sender, ended <-chan error, stop func()) error {
	due := time.NewTimer(a.firstReport())
	defer due.Stop()
	var sent time.Time
	for {
		select {
		case <-due.C:
		case <-a.sooner:
			due.Reset(time.Until(sent.Add(a.interval())))
			continue
		case <-engine.Eager():
			time.Sleep(protocol.ReportSpacing)
		case <-a.gone:
			stop()
			a.options.Logger.Warn("stopped without a lease", "cause", <-ended)
			return ErrLeaseGone
		case err := <-ended:
			return a.conclude(engine, err)
		}
		sent = time.Now()
		err := a.report(engine)
		next := a.interval()
		if err != nil {
			a.options.Logger.Warn("report not written", "error", err.Error())
			next = protocol.AfterFailure(next, rand.Int64N)
		}
		due.Reset(next)
	}
}

// firstReport is how long to wait with the first report: where the lease is opened by it nothing is
// granted yet, so it can leave those the API server that are waited for.
func (a *Agent) firstReport() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.opens() {
		return 0
	}
	return protocol.OpeningWait(reportInterval(&a.lease.Spec), rand.Int64N)
}

// opens tells that the lease is held from the first report on. The caller holds the lock.
func (a *Agent) opens() bool { return a.first && opens(&a.lease.Spec) }

// conclude sends the last report and returns what the end of the engine means.
func (a *Agent) conclude(engine Sender, err error) error {
	for deadline := time.Now().Add(finalReportTimeout); ; time.Sleep(protocol.ReportSpacing) {
		reportErr := a.report(engine)
		if reportErr == nil || apierrors.IsNotFound(reportErr) || !time.Now().Before(deadline) {
			break
		}
		a.options.Logger.Warn("last report not written", "error", reportErr.Error())
	}
	if err != nil {
		return ErrTerminated
	}
	return nil
}

// interval returns how long to wait between reports, by the newest grant.
func (a *Agent) interval() time.Duration {
	a.mu.Lock()
	interval := reportInterval(&a.lease.Spec)
	a.mu.Unlock()
	// Workers that began together shall not report together forever.
	return interval - time.Duration(rand.Int64N(int64(interval)/10+1))
}

// reportInterval is that of the grant, or until one says it the first.
func reportInterval(grant *v1alpha1.PrefixLeaseSpec) time.Duration {
	if interval := grant.ReportInterval.Duration; interval > 0 {
		return interval
	}
	return protocol.FirstInterval
}

// report writes one report. Reports go on while a terminated engine winds down.
func (a *Agent) report(engine Sender) error {
	return a.write(context.Background(), engine.Report())
}

// write writes a report. The answer holds the newest grant.
func (a *Agent) write(ctx context.Context, status v1alpha1.PrefixLeaseStatus) error {
	sent := time.Now()
	lease, err := a.options.Leases.Report(ctx, status)
	switch {
	case err == nil:
		a.takeNewer(lease, sent)
		a.mu.Lock()
		a.answered = time.Now()
		a.mu.Unlock()
	case apierrors.IsNotFound(err):
		a.take(nil)
	}
	return err
}

// takeNewer takes in the answer to a request that was sent then. It may have been
// overtaken by another.
func (a *Agent) takeNewer(lease *v1alpha1.PrefixLease, sent time.Time) {
	a.mu.Lock()
	stale := a.lease != nil && lease.UID == a.lease.UID && grantID(lease.Spec).Before(grantID(a.lease.Spec))
	a.mu.Unlock()
	if stale {
		return
	}
	a.take(lease)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.engine != nil && !a.isGone && lease.UID == a.lease.UID {
		a.engine.Confirm(grantID(lease.Spec), sent)
	}
}
