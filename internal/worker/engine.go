package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/pace"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/upload"
)

const (
	// maxMembers is how many entries the archives under way may have before another is
	// begun on a prefix that has one: names and digests of that many take some 20 MiB.
	maxMembers = 32 << 10
)

// Uploader sends files; *upload.Uploader is one.
type Uploader interface {
	Upload(ctx context.Context, f upload.File) (upload.Receipt, error)
	UploadStream(ctx context.Context, s upload.Stream) (upload.Receipt, error)
	MaxInFlight() int
}

// Gate limits requests; *upload.Gate is one.
type Gate interface {
	Set(from upload.Grant, limits []upload.PrefixLimit)
	// Pace is what all of them may send together, by a policy.
	Pace(to upload.Pace)
	Narrow(from upload.Grant, limits []upload.PrefixLimit)
}

// Meter counts requests; *upload.Meter is one.
type Meter interface {
	Snapshot(time.Duration) []upload.PrefixStats
}

// Destination is the bucket; *s3.Client is one.
type Destination interface {
	Probe(ctx context.Context) error
	ChecksumAlgorithm() string
	OpenUploads(ctx context.Context, prefix string) ([]s3.OpenUpload, error)
}

// EngineOptions holds what an Engine works with.
type EngineOptions struct {
	Uploader    Uploader
	Gate        Gate
	Meter       Meter
	Destination Destination
	Source      *archive.Source
	// Layout returns the resolved layout of the transfer, once archives are assigned.
	Layout func(ctx context.Context) (archive.Layout, error)
	// Fetch returns the content of an assigned archive.
	Fetch func(ctx context.Context, prefix string, number int64) (archive.Archive, error)
	// Sync may have objects kept that stand already; empty means SyncNone.
	Sync upload.Sync
	// Earlier finds what need not be sent with packing Tar; nil for nothing.
	Earlier Earlier
	// Manifests keeps the manifest of an archive that has been sent under the key, and
	// returns the one that stands there then; nil keeps none.
	Manifests func(ctx context.Context, key string, m archive.Manifest) (archive.Manifest, error)
	// Restore restores an archive and returns its members with what became of each; nil
	// for an engine that sends. One that restores needs neither Uploader, Source, Layout,
	// Fetch nor Manifests.
	Restore func(ctx context.Context, prefix string, number int64) ([]archive.Member, error)
	// MaxInFlight is how many requests an engine that restores can use at once.
	MaxInFlight int
	// Plan walks the source for the planning duty; nil makes the engine ignore that duty.
	Plan func(ctx context.Context, progress func(archive.Plan)) (archive.Plan, error)
	// Waits tells what the planning duty waits for, "" for nothing; nil for never.
	Waits func() string
	// Instance identifies the process in its reports.
	Instance string
	// AfterReport is the sequence of the last report that an earlier process has
	// written into the same lease: the sequences of this one follow it, so that
	// what was acknowledged to the one is never taken for the other's.
	AfterReport int64
	// Restarted says that an earlier process held the same lease and may have left
	// multipart uploads open.
	Restarted bool
	// AskLeft has even the first attempt at an archive ask for multipart uploads that are
	// open at its keys, for an earlier process that nobody knows of may have left some.
	AskLeft bool
	// Logger is where trouble is told; nil discards.
	Logger *slog.Logger
}

// Engine does what grants say: it sends the archives assigned within the windows
// granted, for as long as the lease holds, and reports. Its methods are safe for
// concurrent use.
type Engine struct {
	options EngineOptions
	wake    chan struct{}
	eager   chan struct{}
	// tasks hands work to goroutines that wait for some.
	tasks chan func(ctx context.Context)
	work  sync.WaitGroup
	left  leftovers

	mu  sync.Mutex
	ctx context.Context // of Run; nil before and after it
	// grant is the newest grant, obeyed the one whose consequences are all drawn:
	// nothing of what it withdrew is in flight any more.
	grant  v1alpha1.PrefixLeaseSpec
	obeyed protocol.GrantID
	// limited is the first grant with the windows and rates of the newest.
	limited upload.Grant
	lease   lease.Holder
	limits  []upload.PrefixLimit
	// coast steers the engine while nobody renews its lease, coasting says that it does.
	coast    pace.Coast
	coasting bool
	// floorOn is the prefix that the floor was on last.
	floorOn string
	// over says that Run has returned.
	over bool

	prefixes map[string]*prefixWork
	attempts map[archiveID]*attempt
	// ended are the archives that ended and are still granted, by attempt, until the manager
	// has taken that in.
	ended    map[archiveID]int32
	finished []finishedArchive

	// frames makes those of all tars; nil until there is one that is compressed.
	frames *archive.Compressor

	blockage   blockage
	planning   planning
	conditions []metav1.Condition
	processors processors
}

// grantID names the grant that a lease holds.
func grantID(g v1alpha1.PrefixLeaseSpec) protocol.GrantID {
	return protocol.GrantID{Epoch: g.Epoch, Sequence: g.Sequence}
}

// NewEngine returns an engine that has no grant yet.
func NewEngine(o EngineOptions) *Engine {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		options:  o,
		wake:     make(chan struct{}, 1),
		eager:    make(chan struct{}, 1),
		tasks:    make(chan func(ctx context.Context)),
		lease:    lease.NewHolder(time.Now(), o.AfterReport),
		prefixes: map[string]*prefixWork{},
		blockage: blockage{pauses: retryPauses()},
		attempts: map[archiveID]*attempt{},
		ended:    map[archiveID]int32{},
	}
	return e
}

// Eager is signaled when a report is worth more than usual: a prefix has
// nothing left to send, the engine is blocked or no longer so, the plan begins
// or is complete, a drain is over.
func (e *Engine) Eager() <-chan struct{} { return e.eager }

// Apply takes in a grant. It may be called with the same grant again; a grant
// with a lower epoch or sequence than one before is ignored. When Apply
// returns, no request starts that the grant does not allow.
func (e *Engine) Apply(grant v1alpha1.PrefixLeaseSpec) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if grantID(grant).Before(grantID(e.grant)) {
		return
	}
	renewed := grantID(e.grant).Before(grantID(grant))
	if renewed && !limitsAs(grant, e.grant) {
		e.limited = upload.Grant(grantID(grant))
	}
	e.grant = grant
	e.forget(e.lease.Take(time.Now(), e.options.Instance, grant.AcknowledgedInstance, ptr.Deref(grant.AcknowledgedReport, 0),
		grant.LeaseDuration.Duration, coastingTime(&grant)))
	e.assign()
	e.withdraw()
	// The pace outlives the lease: a limit holds while nobody leads.
	e.options.Gate.Pace(paceOf(grant))
	e.setLimits(renewed)
	notify(e.wake)
}

// Run works until the grant says Drain and nothing is in flight any more, which
// is no error, or until ctx ends, which it returns. Either way no goroutine is
// left, and no multipart upload but those that the Uploader keeps.
func (e *Engine) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	e.mu.Lock()
	e.ctx = inner
	e.mu.Unlock()
	err := e.loop(ctx)
	cancel()
	e.work.Wait()

	e.mu.Lock()
	defer e.mu.Unlock()
	e.ctx, e.over = nil, true
	for _, a := range e.attempts {
		a.traced(outcomeWithdrawn)
	}
	clear(e.attempts)
	e.options.Gate.Set(e.limited, nil)
	return err
}

func (e *Engine) loop(ctx context.Context) error {
	turn := time.NewTimer(0)
	defer turn.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.wake:
		case <-turn.C:
		}
		next, drained := e.step()
		if drained {
			return nil
		}
		turn.Stop()
		if next > 0 {
			turn.Reset(next)
		}
	}
}

// step draws the consequences of the time and of the newest grant. It returns
// when the lease turns, 0 for not by itself, and whether a drain is over.
func (e *Engine) step() (next time.Duration, drained bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx.Err() != nil {
		return 0, false
	}
	e.setLimits(false)
	e.plan()
	for _, w := range e.prefixes {
		e.pump(w)
	}
	if e.grant.Mode == v1alpha1.LeaseDrain && e.idle() {
		return 0, true
	}
	if e.grant.Epoch == 0 {
		return 0, false
	}
	return e.lease.Remaining(time.Now()), false
}

// idle says that nothing is in flight and no duty is at work.
func (e *Engine) idle() bool { return len(e.attempts) == 0 && !e.planning.running }

// forget drops the ended archives that the manager has taken in. One that the same attempt is
// granted for still did not count, and begins again.
func (e *Engine) forget(acknowledged int64) {
	kept := e.finished[:0]
	for _, f := range e.finished {
		id := archiveID{f.Prefix, *f.Number}
		switch {
		case f.report == 0 || f.report > acknowledged:
			kept = append(kept, f)
		case e.ended[id] == f.attempt:
			delete(e.ended, id)
		}
	}
	clear(e.finished[len(kept):])
	e.finished = kept
}

// start runs work on a goroutine that Run waits for. The caller holds the lock,
// and Run has not returned. A goroutine that is done takes on what is started next,
// since its stack has grown to what sending a file takes.
func (e *Engine) start(work func(ctx context.Context)) {
	select {
	case e.tasks <- work:
		return
	default:
	}
	ctx := e.ctx
	e.work.Go(func() {
		for {
			work(ctx)
			select {
			case work = <-e.tasks:
			case <-ctx.Done():
				return
			}
		}
	})
}

// notify leaves a signal unless one is there.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// blocking returns the error as one that nothing else will get round either, or nil.
func blocking(err error) *s3.Error {
	if te, ok := errors.AsType[*s3.Error](err); ok && te.Blocks() {
		return te
	}
	return nil
}
