package worker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/estimate"
	"cargoship.dev/operator/internal/report"
	"cargoship.dev/operator/internal/s3"
)

// NoPathIndex says what a run lacks whose path index could not be written. It is whole.
const NoPathIndex = "the run has no path index: ls and restore of single files will read all manifests"

// NoReport says what a run lacks whose report could not be written. It is whole.
const NoReport = "the run has no report in the bucket: cargoship report will read all manifests"

// finishPatience is how long Finish waits for a destination that does not answer.
const finishPatience = 5 * time.Minute

// FinishOptions say how a transfer ends.
type FinishOptions struct {
	// AbortOnly: the transfer is being deleted, and only what is open is aborted.
	AbortOnly bool
	// Partial: the transfer was stopped before its end, so that the plan may be
	// incomplete and archives may have no manifest.
	Partial bool
	// Expect is what the manager has counted; nil compares the manifests with the
	// inventory only.
	Expect *Expected
}

// Finish closes a transfer whose workers are gone: it aborts the multipart uploads that
// workers have left open, counts the manifests against plan and inventory, and writes the
// index. It waits for a destination that does not answer, and returns an error that
// waiting does not help with at once; a *CountsDifferError if the counts differ.
func (s Site) Finish(ctx context.Context, o FinishOptions, logger *slog.Logger) error {
	client, err := s.client(ctx, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	f := finisher{site: s, options: o, client: client, logger: logger}
	return patiently(ctx, logger, f.run)
}

// patiently retries what fails for a reason that may pass, for finishPatience.
func patiently(ctx context.Context, logger *slog.Logger, do func(context.Context) error) error {
	deadline := time.Now().Add(finishPatience)
	for pauses := retryPauses(); ; {
		err, pause := do(ctx), pauses.Step()
		if err == nil || !mayPass(err) || time.Now().Add(pause).After(deadline) {
			return err
		}
		logger.Warn("trying again", "error", err.Error())
		if s3.Sleep(ctx, pause) != nil {
			return err
		}
	}
}

// mayPass says that the error may pass by itself.
func mayPass(err error) bool {
	te, ok := errors.AsType[*s3.Error](err)
	return ok && (te.Class.Retryable() || te.Reason == s3.ReasonEndpointUnreachable)
}

type finisher struct {
	site    Site
	options FinishOptions
	client  *s3.Client
	logger  *slog.Logger
}

func (f finisher) run(ctx context.Context) error {
	abortOnly := f.options.AbortOnly
	plan, found, err := archive.ReadPlan(ctx, f.client, f.site.layout())
	switch {
	case abortOnly && isBucketMissing(err):
		// Nothing can be open in a bucket that is not there.
		return nil
	case err != nil:
		return err
	case !found && abortOnly:
		// Without a plan nothing was ever sent.
		return nil
	case !found:
		return errNoPlan
	}
	if err := f.abortUploads(ctx, plan); err != nil || abortOnly {
		return err
	}
	if !plan.Complete && !f.options.Partial {
		return CountsDiffer("the plan is not complete: the workers ended before the source was listed to its end")
	}
	return f.commit(ctx, plan)
}

func isBucketMissing(err error) bool {
	te, ok := errors.AsType[*s3.Error](err)
	return ok && te.Reason == s3.ReasonBucketNotFound
}

// isPlanned says that the object of a key is one of the transfer's.
func isPlanned(ctx context.Context, inventory *archive.Inventory, layout archive.Layout, key string) (bool, error) {
	var err error
	if prefix, number, ok := layout.LocateArchive(key); ok {
		_, err = inventory.Archive(ctx, prefix, number)
	} else if prefix, path, ok := layout.Locate(key); ok {
		_, _, err = inventory.Find(ctx, prefix, path)
	} else {
		return false, nil
	}
	if errors.Is(err, archive.ErrNotListed) {
		return false, nil
	}
	return err == nil, err
}

// commit counts the manifests and writes the index and the report. Nothing is written if the counts
// differ, since the index says that the transfer is whole.
func (f finisher) commit(ctx context.Context, plan archive.Plan) error {
	c := counter{f.client, plan.Layout, archive.NewInventory(f.client, plan.Layout)}
	all := map[string]*counted{}
	var sum archive.Tally
	for _, prefix := range plan.Layout.Prefixes() {
		found, err := c.count(ctx, prefix)
		if err != nil {
			return err
		}
		all[prefix] = found
		sum = sum.Plus(found.tally)
		// What has no manifest was planned, and is not done.
		without := archive.Count{Files: found.listed.Files - found.tally.Total().Files, Bytes: found.listed.Bytes - found.tally.Total().Bytes}
		sum.Failed = sum.Failed.Plus(without)
	}
	if err := f.check(plan, all, sum); err != nil {
		return err
	}
	reason, message := reasonAttemptsExhausted, "no attempt at the archive finished"
	if f.options.Partial {
		reason, message = reasonNotArchived, "the transfer was stopped before the archive was sent"
	}
	index := archive.Index{
		Transfer: string(f.site.Transfer.UID), Namespace: f.site.Transfer.Namespace, Name: f.site.Transfer.Name,
		Layout: plan.Layout, Written: time.Now().UTC(), Partial: f.options.Partial,
	}
	var finished []archive.FinishedPrefix
	for _, prefix := range plan.Layout.Prefixes() {
		found := all[prefix]
		if err := c.fill(ctx, prefix, found, reason, message); err != nil {
			return err
		}
		if len(found.digests) > 0 {
			finished = append(finished, archive.FinishedPrefix{Name: prefix, Planned: found.listed, Outcomes: found.tally, Digests: found.digests})
		}
	}
	f.logger.Info("counted", "done", sum.Done.String(), "failed", sum.Failed.String(), "skipped", sum.Skipped.String())
	return f.write(ctx, index, finished, sum.Done)
}

// write writes the index, and beside it the report, which the index does not wait for.
func (f finisher) write(ctx context.Context, index archive.Index, finished []archive.FinishedPrefix, done archive.Count) error {
	terms := estimate.Terms(f.site.Transfer.Spec.Destination, 0)
	draft := report.NewDraft(report.StoredAs(f.site.Transfer.Spec.Destination.StorageClass, terms.KMS, terms.BucketKey))
	draft.Sending = report.ByWorkers(f.site.Transfer.Status.Sending)
	draft.Fleet = fleetAt(f.site.Transfer.Status, index.Written, done)
	without := func(err error) { f.logger.Warn(NoPathIndex, "error", err.Error()) }
	store := func(ctx context.Context, whole archive.Index) {
		if err := draft.Store(ctx, f.client, whole); err != nil && ctx.Err() == nil {
			f.logger.Warn(NoReport, "error", err.Error())
		}
	}
	return index.Commit(ctx, f.client, finished, archive.CommitHooks{Without: without, Each: draft.Add, Beside: store})
}

// fleetAt is what the manager knew of the workers when it had the run finished; nil if it did not
// tell.
func fleetAt(s v1alpha1.ArchiveTransferStatus, now time.Time, done archive.Count) *report.Fleet {
	if s.StartTime == nil || s.Workers == nil {
		return nil
	}
	seconds := max(1, int64(now.Sub(s.StartTime.Time).Seconds()))
	return &report.Fleet{
		Started: s.StartTime.UTC(), Ended: now, Seconds: seconds, BytesPerSecond: done.Bytes / seconds,
		Workers: int64(ptr.Deref(s.Workers.Desired, 0)), WorkersFailed: int64(ptr.Deref(s.Workers.Failed, 0)),
	}
}

// check compares inventory, plan and manifests with each other and with the reports.
func (f finisher) check(plan archive.Plan, all map[string]*counted, sum archive.Tally) error {
	if plan.Complete {
		for _, p := range plan.Prefixes {
			planned, found := archive.Count{Files: p.Files, Bytes: p.Bytes}, all[p.Name]
			if found == nil || found.listed != planned || int64(len(found.digests)) != p.Archives {
				return CountsDiffer("the plan has %d archives with %v files/bytes of prefix %q, the inventory lists others", p.Archives, planned, p.Name)
			}
		}
	}
	if f.options.Expect == nil {
		return nil
	}
	return f.options.Expect.check(sum, f.options.Partial)
}
