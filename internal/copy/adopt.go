package copy

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

const (
	// plansAtOnce is how many plans are read at a time.
	plansAtOnce = 16
	// quietTime is how long, by the server's clock, a run must have shown no sign of life
	// to be resumed where no lock proves that its process has ended: ten beats.
	quietTime = 10 * beatInterval
	// claimTime is how long a claim keeps others from the run: longer than it takes from a
	// claim to the plan.
	claimTime = time.Minute
)

// sourceLock is what is known of the lock on the source.
type sourceLock struct {
	// held: no other copy of the directory runs on this machine.
	held bool
	// name tells the lock from all others of all machines; empty if it cannot be told.
	name string
}

// adoption looks for an unfinished run to resume.
type adoption struct {
	bucket restore.PruneBucket
	// plan is that of a run to be begun; of the one found, once there is one.
	plan   archive.Plan
	logger *slog.Logger
}

// adopt resumes an unfinished run whose process is dead, proven by the lock or by long
// inactivity, and returns whether there is one.
func (a *adoption) adopt(ctx context.Context) (bool, error) {
	for _, found := range a.unfinished(ctx) {
		taken, err := a.claim(ctx, found)
		if err != nil {
			return false, err
		}
		if !taken {
			a.logger.Warn("an unfinished run of this source may still be running and is left alone; it can be resumed once it has been inactive for long enough",
				"run", found.Layout.UID, "quiet", quietTime)
			continue
		}
		plan := a.plan
		plan.Layout = found.Layout
		if err := plan.Write(ctx, a.bucket); err != nil {
			return false, err
		}
		// Whoever removes the run looks for signs of life once more after it has said so.
		kept, err := restore.Kept(ctx, a.bucket, plan.Layout)
		if err != nil {
			return false, err
		}
		if kept {
			a.plan = plan
			return true, nil
		}
	}
	return false, nil
}

// claim returns whether the run may be resumed. It first leaves an object of its own
// and then looks, so that of two that do so at a time one at least sees the other. The time
// of that object is also what the server's clock says.
func (a *adoption) claim(ctx context.Context, found archive.Plan) (taken bool, err error) {
	claims, digests := found.Layout.BookkeepingPrefix()+"claims/", found.Layout.BookkeepingPrefix()+"digests/"
	own, former := claims+uuid.NewString(), ""
	if a.plan.Lock != "" {
		// Whoever held the lock before this process has ended, and its claims with it.
		former = claims + a.plan.Lock + "/"
		own = former + uuid.NewString()
	}
	if err := a.bucket.Put(ctx, own, []byte("this run is about to be resumed\n")); err != nil {
		return false, err
	}
	defer func() {
		if !taken {
			_ = a.bucket.Delete(ctx, own) // Without the right to delete it stays, which does no harm.
		}
	}()
	dead := found.Lock != "" && found.Lock == a.plan.Lock
	look := found.Layout
	if dead {
		look = archive.Layout{Base: look.Base, UID: look.UID} // The claims are all that matters.
	}
	var now, claimed, last time.Time
	for sign, err := range restore.Signs(ctx, a.bucket, look) {
		switch {
		case err != nil:
			return false, nil //nolint:nilerr // Without the right to list there is nothing to resume.
		case sign.Modified.IsZero():
			return false, nil
		case strings.HasPrefix(sign.Key, digests):
			// It may have had an index that was lost, and others may refer to what it holds.
			return false, nil
		case sign.Key == own:
			now = sign.Modified
		case former != "" && strings.HasPrefix(sign.Key, former):
		case strings.HasPrefix(sign.Key, claims):
			claimed = later(claimed, sign.Modified)
		default:
			last = later(last, sign.Modified)
		}
	}
	if now.IsZero() || claimed.After(now.Add(-claimTime)) {
		return false, nil
	}
	// The plan may have become that of another process since it was read.
	if samePlan(ctx, a.bucket, found) != nil {
		return false, nil
	}
	return dead || last.Before(now.Add(-quietTime)), nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// unfinished returns the plans of the runs that have no index and copy the same source to
// the same place in the same way, newest first. Without the right to list or read there is
// nothing to resume.
func (a *adoption) unfinished(ctx context.Context) []archive.Plan {
	ids, err := restore.RunIDs(ctx, a.bucket, a.plan.Layout.Base)
	if err != nil {
		return nil
	}
	var mu sync.Mutex
	var all []archive.Plan
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(plansAtOnce)
	for _, id := range ids {
		group.Go(func() error {
			l := archive.Layout{Base: a.plan.Layout.Base, UID: id}
			data, err := a.bucket.Get(working, l.PlanKey())
			if err != nil {
				return nil
			}
			plan, err := archive.DecodePlan(data)
			if err != nil || plan.Layout.UID != id || !sameWork(plan, a.plan) {
				return nil
			}
			if _, err := a.bucket.Stat(working, l.IndexKey()); !errors.Is(err, s3.ErrNotFound) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, plan)
			return nil
		})
	}
	_ = group.Wait() // Nothing returns an error.
	slices.SortFunc(all, func(x, y archive.Plan) int { return y.Begun.Compare(x.Begun) })
	return all
}

// sameWork says that two plans are of the same source and make the same archives.
func sameWork(a, b archive.Plan) bool {
	a.Layout.UID, a.Layout.Run = b.Layout.UID, b.Layout.Run
	return a.Source != "" && a.Source == b.Source && reflect.DeepEqual(a.Layout, b.Layout)
}
