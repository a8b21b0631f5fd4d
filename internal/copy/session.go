package copy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/policy"
	"cargoship.dev/operator/internal/report"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/upload"
	"cargoship.dev/operator/internal/worker"
)

const (
	// The one transfer and the one worker that the coordinator knows, and the
	// epoch of a coordinator that has no predecessor.
	transferID protocol.TransferID = "copy"
	workerID   protocol.WorkerID   = "copy"
	epoch                          = 1

	// minTurn is the least time between two reports, however eager.
	minTurn = 10 * time.Millisecond
	// never is longer than any copy takes.
	never = 1000 * time.Hour

	// How long nothing may get through before the copy gives up: long where the
	// network may come back by itself, short where somebody has to fix something.
	unreachablePatience = time.Minute
	blockedPatience     = 5 * time.Second
)

// session is one copy under way. Apart from the feed and the outcomes, only the
// goroutine of control uses it.
type session struct {
	options  Options
	source   *archive.Source
	feed     *feed
	outcomes outcomes
	engine   *worker.Engine
	sent     *counting
	meter    *upload.Meter
	// bodies is the most memory, in bytes, that bodies of requests took at once.
	bodies      atomic.Int64
	coordinator *coordination.PipelineCoordinator

	tally tally
	// curve is when what was sent and throttled.
	curve *report.Recorder
	// lost are the archives that ended without a manifest.
	lost []archive.Archive
	// grant is the one in force.
	grant v1alpha1.PrefixLeaseSpec
	// state is the controller's.
	state protocol.State
	// quietSince is when requests ceased to get through while the engine is
	// blocked; zero while it isn't.
	quietSince time.Time
	// looked is closed once the bucket has been looked up.
	looked chan struct{}
	// begun: a request has got through.
	begun bool
	// memory is what the destination is known for.
	memory memory
	// limited is when the limits in force were looked up.
	limited time.Time
}

func newSession(o Options, source *archive.Source, client *s3.Client, gate *upload.Gate, resumed bool) (*session, error) {
	s := &session{options: o, source: source, feed: newFeed(), state: protocol.SlowStart, looked: make(chan struct{}), memory: memoryOf(o), curve: report.NewRecorder(time.Now())}
	s.outcomes.store, s.outcomes.layout = client, o.Layout
	s.outcomes.warn = func(text string, err error) { o.Logger.Warn(text, "error", err.Error()) }
	s.meter = upload.NewMeter(gate)
	bound := worker.BoundCommand()
	uploader := upload.NewUploader(upload.UploaderOptions{
		Client: client, Gate: gate, Meter: s.meter,
		Taken: func(most int64) {
			s.bodies.Store(most)
			bound(most)
		},
	})
	if limit, bounds := uploader.BoundByFiles(); bounds {
		o.Logger.Warn("the limit of open files bounds what can be sent at once: raise it with ulimit -n",
			"limit", limit, "requests", uploader.MaxInFlight())
	}
	s.sent = &counting{Uploader: uploader}
	s.engine = worker.NewEngine(worker.EngineOptions{
		Uploader: s.sent, Gate: gate, Meter: s.meter, Destination: client, Source: source,
		Sync: o.Sync, Earlier: s.earlier(client, resumed), Restarted: resumed,
		Layout:    s.layout,
		Fetch:     s.feed.fetch,
		Manifests: s.outcomes.keep,
		Instance:  string(workerID),
		AskLeft:   true,
		Logger:    o.Logger,
	})
	var err error
	s.coordinator, err = newCoordinator(time.Now(), o.Config(), s.sent.MaxInFlight(), s.memory.recall(time.Now()))
	return s, err
}

func (s *session) layout(context.Context) (archive.Layout, error) { return s.options.Layout, nil }

// earlier finds what earlier runs have left; see worker.EngineOptions.
func (s *session) earlier(client *s3.Client, resumed bool) worker.Earlier {
	synced := s.options.Sync != "" && s.options.Sync != upload.SyncNone
	if s.options.Layout.Tar == nil || !synced && !resumed {
		return nil
	}
	return &worker.EarlierRuns{
		Bucket: client, Layout: s.layout, Resumed: resumed, Synced: synced,
		Warn: func(text string) { s.options.Logger.Warn(text) },
	}
}

// counting counts the files that get through, which reports tell only once
// their archive has ended.
type counting struct {
	worker.Uploader
	files atomic.Int64
}

// Upload implements worker.Uploader.
func (c *counting) Upload(ctx context.Context, f upload.File) (upload.Receipt, error) {
	receipt, err := c.Uploader.Upload(ctx, f)
	if err == nil {
		c.files.Add(1)
	}
	return receipt, err
}

// newCoordinator returns a coordinator that leads one worker of one transfer.
func newCoordinator(now time.Time, config protocol.Config, maxInFlight int, known *protocol.NetworkProfile) (*coordination.PipelineCoordinator, error) {
	c, err := coordination.NewPipelineCoordinator(coordination.Options{
		Rand: rand.New(rand.NewPCG(uint64(now.UnixNano()), 0)),
	})
	if err != nil {
		return nil, fmt.Errorf("set up the coordinator: %w", err)
	}
	err = errors.Join(
		c.Start(now, protocol.Snapshot{Epoch: epoch, Known: known}),
		c.PutTransfer(now, protocol.Transfer{ID: transferID, Weight: 1, Config: config}),
	)
	if err != nil {
		return nil, fmt.Errorf("set up the coordinator: %w", err)
	}
	c.AddWorker(now, workerID, transferID, maxInFlight)
	return c, nil
}

// control is the coordinator's loop: it schedules what the walk finds, and at
// every turn carries the engine's report to the coordinator and its grant back.
// It returns nil once everything has ended.
func (s *session) control(ctx context.Context) error {
	found := s.feed.found
	clock := newClock()
	defer clock.stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case a, more := <-found:
			if !more {
				found = nil
			} else if err := s.schedule(a); err != nil {
				return err
			}
			if !more || s.idle(a.Prefix) {
				clock.hurry()
			}
		case <-s.engine.Eager():
			clock.hurry()
		case <-clock.timer.C:
			if err := s.turn(time.Now()); err != nil {
				return err
			}
			s.report(found == nil)
			if found == nil && (s.feed.err != nil || s.feed.empty()) {
				return s.feed.err
			}
			clock.next()
		}
	}
}

// schedule hands an archive to the coordinator.
func (s *session) schedule(a archive.Archive) error {
	s.tally.find(a)
	return errors.Join(
		s.coordinator.RegisterPrefix(time.Now(), transferID, a.Prefix),
		s.coordinator.ScheduleUpload(protocol.Upload{
			Archive: protocol.ArchiveID{Transfer: transferID, Prefix: a.Prefix, Number: a.Number},
			Files:   a.Files(), Bytes: a.Bytes(),
		}),
	)
}

// idle says that the worker has nothing to do on a prefix.
func (s *session) idle(prefix string) bool {
	for _, p := range s.grant.Prefixes {
		if p.Name == prefix {
			return len(p.Archives) == 0
		}
	}
	return true
}

// turn carries one report and one grant.
func (s *session) turn(now time.Time) error {
	sent := s.engine.Report()
	if err := s.coordinator.Observe(now, convert.Report(workerID, transferID, sent)); err != nil {
		return fmt.Errorf("take in the worker's report: %w", err)
	}
	through := s.tally.count(sent)
	s.curve.Count(now, s.tally.sent, s.tally.throttled)
	for _, f := range sent.Finished {
		s.finish(f)
	}
	if err := s.limit(now); err != nil {
		return err
	}
	deciding := time.Now()
	plan := s.coordinator.Tick(now)
	s.coordinator.Spend(time.Since(deciding))
	for _, t := range plan.Decision.Transitions {
		s.state = t.To
	}
	for _, g := range plan.Grants {
		s.grant = convert.Grant(g)
		s.engine.Apply(s.grant)
	}
	return s.patience(now, sent, through)
}

// limitsAgain is when the limits in force are looked up again: clocks may be set.
const limitsAgain = time.Second

// limit bounds what is sent by the limits in force.
func (s *session) limit(now time.Time) error {
	if len(s.options.Limits) == 0 || !s.limited.IsZero() && now.Sub(s.limited) < limitsAgain {
		return nil
	}
	s.limited = now
	return s.coordinator.Limit(policy.Resolve(now, s.options.Limits).Limits)
}

// finish records an archive that ended for good. One that may be tried again
// stays, since the coordinator will assign it anew.
func (s *session) finish(f v1alpha1.FinishedArchive) {
	id := archiveID{f.Prefix, *f.Number}
	if f.Result == v1alpha1.ArchiveRetry && s.attempt(id) < maxAttempts {
		return
	}
	a, ok := s.feed.done(id)
	if !ok {
		return
	}
	s.tally.finish(f)
	if !s.outcomes.has(id) {
		s.lost = append(s.lost, a)
	}
}

// attempt returns which attempt at an archive the grant in force allows.
func (s *session) attempt(id archiveID) int32 {
	for _, p := range s.grant.Prefixes {
		for _, a := range p.Archives {
			if p.Name == id.prefix && *a.Number == id.number {
				return a.Attempt
			}
		}
	}
	return 0
}

// patience returns an error once the engine has been blocked for too long. A request that
// gets through restarts the wait. A configuration that is rejected from the start will not
// be accepted later. As long as the bucket is being looked up, that will tell what is wrong.
func (s *session) patience(now time.Time, report v1alpha1.PrefixLeaseStatus, through bool) error {
	blocked := apimeta.FindStatusCondition(report.Conditions, v1alpha1.LeaseConditionBlocked)
	switch {
	case through:
		s.quietSince, s.begun = time.Time{}, true
	case s.looking():
	case blocked == nil || blocked.Status != "True":
		// A probe that succeeds proves nothing yet: what was rejected may be so again.
	case !s.begun && blocked.Reason == v1alpha1.ReasonConfigurationRejected:
		return errors.New(blocked.Message)
	case s.quietSince.IsZero():
		s.quietSince = now
		s.options.Logger.Warn("blocked", "reason", blocked.Reason, "error", blocked.Message)
	default:
		limit := blockedPatience
		if blocked.Reason == v1alpha1.ReasonEndpointUnreachable {
			limit = unreachablePatience
		}
		if now.Sub(s.quietSince) > limit {
			return errors.New(blocked.Message)
		}
	}
	return nil
}

// looking tells that the bucket is still being looked up.
func (s *session) looking() bool {
	select {
	case <-s.looked:
		return false
	default:
		return true
	}
}

// clock says when to take the next turn.
type clock struct {
	timer     *time.Timer
	last, due time.Time
}

// newClock returns a clock that does not run until it is hurried: before there is something
// to assign, a turn would only delay the next.
func newClock() *clock {
	c := &clock{timer: time.NewTimer(never)}
	c.due = time.Now().Add(never)
	return c
}

// next sets the turn after one just taken.
func (c *clock) next() {
	c.last = time.Now()
	c.due = c.last.Add(updateInterval)
	c.timer.Reset(updateInterval)
}

// hurry takes the next turn as soon as turns may follow each other.
func (c *clock) hurry() {
	if soon := c.last.Add(minTurn); soon.Before(c.due) {
		c.due = soon
		c.timer.Reset(time.Until(soon))
	}
}

func (c *clock) stop() { c.timer.Stop() }
