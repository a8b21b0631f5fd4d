package copy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/policy"
	"cargoship.dev/operator/internal/report"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/upload"
	"cargoship.dev/operator/internal/worker"
)

const (
	// updateInterval is the report interval of the one worker, the shortest that the
	// coordinator accepts: within one process it costs nothing.
	updateInterval = 100 * time.Millisecond
	// maxAttempts is how often an archive is tried as a whole, each request of it
	// having been repeated several times already.
	maxAttempts = 3
)

// Options says what to copy, where to, and how.
type Options struct {
	// Source is a directory, Name what the run is called.
	Source, Name string
	// Include and Exclude are those of archive.WalkOptions.
	Include, Exclude []string
	Destination      s3.Options
	// Layout gives base, pattern and, if not automatic, the number of prefixes.
	Layout archive.Layout
	// Sync says whether existing objects may be kept; empty sends everything.
	Sync upload.Sync
	// Strategy divides the window over the prefixes; empty means Adaptive.
	Strategy protocol.Strategy
	// Uncoordinated fixes the windows instead of controlling them.
	Uncoordinated bool
	// Limits bound what is sent, by the time of the machine; none for no bound.
	Limits []policy.Limit
	// Memory is the directory that keeps what earlier copies have found out about their
	// destinations; empty for none.
	Memory string
	// Progress is called several times a second, never twice at a time; nil for no one.
	Progress func(Progress)
	// Logger receives warnings of problems that the copy may still overcome; nil discards them.
	Logger *slog.Logger
}

// Strategies are the values that Options.Strategy can have.
func Strategies() []protocol.Strategy {
	return []protocol.Strategy{protocol.TCPLike, protocol.FairShare, protocol.Adaptive}
}

// Config returns the coordinator's parameters for the options.
func (o Options) Config() protocol.Config {
	c := protocol.DefaultConfig()
	c.Strategy = cmp.Or(o.Strategy, protocol.Adaptive)
	c.Uncoordinated = o.Uncoordinated
	c.UpdateInterval = updateInterval
	c.MaxAttempts = maxAttempts
	return c
}

// Summary is the outcome of a copy.
type Summary struct {
	// Files and Bytes count what is stored and verified at the destination.
	Files    int64 `json:"files"`
	Archives int64 `json:"archives"`
	Bytes    int64 `json:"bytes"`
	// Kept counts those of Files that existed already and were not sent.
	Kept int64 `json:"kept"`
	// Skipped counts entries without content to send; Failed counts files.
	Skipped int64 `json:"skipped"`
	Failed  int64 `json:"failed"`
	// AttributesNotKept counts those of Files some of whose extended attributes are not archived.
	AttributesNotKept int64 `json:"attributesNotKept"`
	// Seconds from the first look at the source to the last response.
	Seconds float64 `json:"seconds"`
	// Requests counts attempts; Throttled and Retries those that were
	// throttled, and those that were repeated for whatever reason.
	Requests  int64 `json:"requests"`
	Throttled int64 `json:"throttled"`
	Retries   int64 `json:"retries"`
	// Hedged counts second attempts at requests whose answer was late, while the first went on.
	Hedged int64 `json:"hedged"`
	// P50 and P99 are quantiles, in seconds, of the time the destination takes to
	// answer once it has a request: means over report intervals, weighted by requests.
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	// Checksum is the algorithm that the destination verified.
	Checksum string `json:"checksum"`
	// Throughput in bytes per second, over all of Seconds.
	Throughput float64 `json:"throughput"`
	// PeakMemory is the largest resident set of the process so far in bytes, 0 where the
	// system does not tell. MemoryBound is what it keeps within: worker.CommandBound of
	// what the bodies of requests in flight took at most.
	PeakMemory  int64 `json:"peakMemory"`
	MemoryBound int64 `json:"memoryBound"`

	// Failures names the failed files, at least the first few thousand.
	Failures []Failure `json:"-"`
	// NotKept names some of the attributes that are not archived.
	NotKept []string `json:"-"`
}

// ErrNothingSelected means that include and exclude select no file of the source, usually
// because of a mistake in a pattern.
var ErrNothingSelected = errors.New("the patterns of include and exclude select no file")

// Run copies. It returns an error if the copy as a whole cannot be completed; single files
// that fail are in the summary, which is valid in either case. When Run returns, nothing of
// it is still running, and no upload is left open.
func Run(ctx context.Context, o Options) (Summary, error) {
	begun := time.Now()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	source, err := openSource(o.Source)
	if err != nil {
		return Summary{}, err
	}
	defer func() { _ = source.Close() }() // It was only read.
	if err := source.Restrict(o.Include, o.Exclude); err != nil {
		return Summary{}, err
	}
	gate := upload.NewGate()
	gate.Bound(&o.Destination)
	client, err := s3.NewClient(ctx, o.Destination)
	if err != nil {
		return Summary{}, err
	}
	defer client.Close()
	if o.Layout, err = source.Resolve(ctx, o.Layout, o.Include, o.Exclude); err != nil {
		return Summary{}, err
	}
	lock, release := lockSource(o.Source)
	defer release()
	plan, resumed, err := beginRun(ctx, &o, client, sourceID(o.Source), lock)
	if err != nil {
		return Summary{}, cmp.Or(probe(ctx, client), err)
	}
	s, err := newSession(o, source, client, gate, resumed)
	if err != nil {
		return Summary{}, err
	}
	err = s.runAlive(ctx, client, plan)
	if failed := s.memory.keep(time.Now(), s.coordinator.Snapshot().Known); failed != nil {
		o.Logger.Warn("what was found out about the destination is not remembered", "error", failed)
	}
	if err != nil && !s.begun {
		return Summary{}, err
	}
	if err == nil && len(o.Include)+len(o.Exclude) > 0 && s.outcomes.none() {
		// An index without files would take the place of the run before.
		err = fmt.Errorf("%w in %s: nothing was copied", ErrNothingSelected, o.Source)
	}
	if err == nil {
		err = own(ctx, client, plan)
	}
	if err == nil {
		err = s.commit(ctx)
	}
	if err == nil && resumed {
		abortOwn(ctx, client, o.Layout)
	}
	summary := s.summary(time.Since(begun))
	summary.Hedged = s.meter.Hedges()
	summary.PeakMemory, summary.MemoryBound = worker.PeakMemory(), worker.CommandBound(s.bodies.Load())
	return summary, err
}

// probe looks the bucket up, and again after a pause if the error may pass.
func probe(ctx context.Context, client *s3.Client) error {
	for attempt := 1; ; attempt++ {
		err := client.Probe(ctx)
		var known *s3.Error
		if attempt == maxAttempts || !errors.As(err, &known) || !known.Class.Retryable() {
			return err
		}
		select {
		case <-time.After(time.Duration(attempt) * time.Second):
		case <-ctx.Done():
			return err
		}
	}
}

func openSource(dir string) (*archive.Source, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("source %q does not exist: give a directory that does", dir)
	case err == nil && !info.IsDir():
		return nil, fmt.Errorf("source %q is not a directory: give the one that holds it", dir)
	}
	source, err := archive.OpenSource(dir, "")
	if err != nil {
		return nil, fmt.Errorf("%w: make it readable for this user", err)
	}
	return source, nil
}

// runAlive moves everything as long as the run is this process's own.
func (s *session) runAlive(ctx context.Context, client *s3.Client, begun archive.Plan) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	var beating sync.WaitGroup
	defer beating.Wait()
	defer giveUp(nil)
	beating.Go(func() { keepAlive(ctx, client, begun, s.options.Logger, giveUp) })
	return s.run(ctx, client)
}

// run moves everything, with the walk, the engine and the control of it side by side. The bucket
// is looked up meanwhile.
func (s *session) run(ctx context.Context, client *s3.Client) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	work.Go(func() {
		defer close(s.looked)
		if err := probe(ctx, client); err != nil {
			cancel(err)
		}
	})
	work.Go(func() { s.feed.walk(ctx, s.source, s.walkOptions()) })
	// The engine ends with the context, having aborted what was open.
	work.Go(func() { _ = s.engine.Run(ctx) })
	err := s.control(ctx)
	cancel(nil)
	work.Wait()
	return err
}

// commit writes manifests for the archives that ended without one, none of whose files
// count as copied, the index, and the report.
func (s *session) commit(ctx context.Context) error {
	layout := s.options.Layout
	for _, a := range s.lost {
		m := archive.Lost(layout, a, reasonNoManifest, "its manifest could not be written")
		if _, err := s.outcomes.keep(ctx, layout.ManifestKey(layout.Index(a.Prefix), a.Number), m); err != nil {
			return fmt.Errorf("write manifest: %w", err)
		}
	}
	index := archive.Index{Transfer: layout.UID, Name: s.options.Name, Written: time.Now().UTC(), Layout: layout}
	d := s.options.Destination
	draft := report.NewDraft(report.StoredAs(d.StorageClass, d.SSE == "aws:kms", d.Asked.BucketKey))
	draft.Sending = s.curve.Sending("cargoship copy")
	draft.Sending.Requests, draft.Sending.Failed = s.tally.requests, s.tally.retried
	return s.outcomes.commit(ctx, index, s.tally.prefixes, draft)
}

// reasonNoManifest is the reason for which the files of an archive fail whose attempts all
// ended before its manifest was written.
const reasonNoManifest = "NoManifest"

func (s *session) walkOptions() archive.WalkOptions {
	return archive.WalkOptions{Include: s.options.Include, Exclude: s.options.Exclude, Layout: s.options.Layout}
}
