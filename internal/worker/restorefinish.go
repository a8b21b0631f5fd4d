package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

// finishAtOnce is how many archives the finishing pod looks through at a time.
const finishAtOnce = 4

// Finish closes a restore whose workers are gone: it looks at the target for every member that
// is selected, restores what is missing, gives directories their attributes, and compares what
// is there with what the workers have reported (I8). The errors are those of Site.Finish.
func (s RestoreSite) Finish(ctx context.Context, o FinishOptions, logger *slog.Logger) error {
	return patiently(ctx, logger, func(ctx context.Context) error { return s.finish(ctx, o, logger) })
}

func (s RestoreSite) finish(ctx context.Context, o FinishOptions, logger *slog.Logger) error {
	p, err := s.Open(ctx)
	if err != nil {
		return err
	}
	defer p.Close() //nolint:errcheck // What was written is synced by whoever unmounts it.
	return p.finish(ctx, o, logger)
}

func (p *RestorePlace) finish(ctx context.Context, o FinishOptions, logger *slog.Logger) error {
	sum, err := p.sum(ctx, o.Partial)
	if err != nil {
		return err
	}
	counted := o.counted(sum)
	if err := p.session.Unanswered(); err != nil && counted != nil {
		return err // The counts may be the same once the server answers.
	}
	if failure := p.session.FinishDirectories(ctx); failure != nil {
		return CountsDiffer("the attributes of directory %q could not be restored: %s", failure.Path, failure.Message)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("finish the directories: %w", err)
	}
	logger.Info("counted", "done", sum.Done.String(), "failed", sum.Failed.String(), "skipped", sum.Skipped.String())
	return counted
}

// counted compares what was counted at the target with the workers' reports.
func (o FinishOptions) counted(sum archive.Tally) error {
	if o.Expect == nil || o.Partial {
		return nil
	}
	return o.Expect.check(sum, false)
}

// sum finishes all archives and counts what is at the target. Of a restore that was stopped only
// the directories are finished.
func (p *RestorePlace) sum(ctx context.Context, partial bool) (archive.Tally, error) {
	var sum archive.Tally
	for _, x := range p.route.prefixes {
		listed, err := p.count(ctx, x)
		if err != nil {
			return sum, err
		}
		found, err := p.sumOf(ctx, x, partial)
		if err != nil {
			return sum, err
		}
		sum = sum.Plus(found)
		// What a damaged manifest lists was planned, and is not done.
		sum.Failed.Files += listed.Files - found.Total().Files
		sum.Failed.Bytes += listed.Bytes - found.Total().Bytes
	}
	return sum, nil
}

func (p *RestorePlace) sumOf(ctx context.Context, x archive.IndexedPrefix, partial bool) (archive.Tally, error) {
	var mu sync.Mutex
	var sum archive.Tally
	err := p.each(ctx, x, func(ctx context.Context, m archive.Manifest) error {
		if partial {
			m.Members = directoriesOf(m)
		}
		members, err := p.session.Finish(ctx, m)
		mu.Lock()
		defer mu.Unlock()
		sum = sum.Plus(archive.Manifest{Members: members}.Tally())
		return err
	})
	return sum, err
}

// directoriesOf are the members of an archive that are directories.
func directoriesOf(m archive.Manifest) []archive.Member {
	var found []archive.Member
	for _, f := range m.Members {
		if f.Kind == archive.Directory {
			found = append(found, f)
		}
	}
	return found
}

// each calls a function with the manifests of a prefix, several at a time. What a damaged one
// lists is not restored, and counts as failed with the workers already.
func (p *RestorePlace) each(ctx context.Context, x archive.IndexedPrefix, do func(context.Context, archive.Manifest) error) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(finishAtOnce)
	for number := range x.Archives {
		group.Go(func() error {
			m, err := p.route.manifest(working, x.Name, number)
			if errors.As(err, new(*restore.ManifestError)) {
				p.session.Incomplete()
				return nil
			}
			if err != nil {
				return err
			}
			return do(working, m)
		})
	}
	return group.Wait()
}
