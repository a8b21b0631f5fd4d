package restore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// PruneBucket is a bucket that objects are removed from; *s3.Client is one.
type PruneBucket interface {
	Bucket
	Put(ctx context.Context, key string, body []byte) error
	Objects(ctx context.Context, prefix string) iter.Seq2[s3.Stored, error]
	Delete(ctx context.Context, key string) error
	OpenUploads(ctx context.Context, prefix string) ([]s3.OpenUpload, error)
	AbortUpload(ctx context.Context, u s3.OpenUpload) error
}

// PruneOptions say what to remove.
type PruneOptions struct {
	Bucket PruneBucket
	Base   string
	// Before is the latest time of the last activity of an unfinished run, and of the upload of
	// an object, to be removed.
	Before time.Time
	// KeepLast, if not 0, is how many finished runs of each source are kept; see expire.
	KeepLast int
	// Remove removes; otherwise Prune only counts.
	Remove bool
}

// Pruned counts what was removed, or would be.
type Pruned struct {
	// Runs counts the unfinished runs, Objects the archives and files that no index
	// refers to, with Bytes, Bookkeeping the plans, inventories and manifests of
	// unfinished runs, Uploads their open multipart uploads.
	Runs        int64 `json:"runs"`
	Objects     int64 `json:"objects"`
	Bytes       int64 `json:"bytes"`
	Bookkeeping int64 `json:"bookkeeping"`
	Uploads     int64 `json:"uploads"`
	// Alive counts the unfinished runs that may still be resumed. Waiting counts dead ones that
	// are kept while there is any alive.
	Alive int64 `json:"alive"`
	// Expired counts finished runs with enough newer ones.
	Expired int64 `json:"expired"`
	Waiting int64 `json:"waiting"`
}

// pruneAtOnce is how many objects are removed at a time.
const pruneAtOnce = 16

// Prune removes what no index below a base references and no run is writing: archives and
// large files of packed runs, and the bookkeeping of unfinished runs unless one is alive.
// Files at their own keys are never touched. Nothing is removed unless every index and
// every manifest can be read.
func Prune(ctx context.Context, o PruneOptions) (Pruned, error) {
	if err := archive.CheckBase(o.Base); err != nil {
		return Pruned{}, err
	}
	p := &pruner{PruneOptions: o, id: uuid.NewString(), garbage: map[string]prunable{}}
	if err := p.gather(ctx); err != nil {
		return p.found, err
	}
	for _, r := range p.runs {
		if r.index == nil && !p.dead(r) {
			p.found.Alive++
		}
	}
	p.expire()
	for _, r := range p.runs {
		if err := p.refer(ctx, r); err != nil {
			return p.found, fmt.Errorf("nothing was removed: the references of run %s cannot be read: %w", r.id, err)
		}
	}
	for _, r := range p.runs {
		if err := p.prune(ctx, r); err != nil {
			return p.found, err
		}
	}
	return p.found, nil
}

type pruner struct {
	PruneOptions
	// id distinguishes this prune from others.
	id   string
	runs []*pruneRun
	// garbage holds old objects of packed runs, until a reference to them is found.
	garbage map[string]prunable
	found   Pruned
}

// prunable is an object of a run.
type prunable struct {
	run  string
	size int64
}

// pruneRun is a run.
type pruneRun struct {
	id string
	// layout is that of plan or index; nil if there is neither.
	layout *archive.Layout
	// index is set for a finished run.
	index *archive.Index
	// bookkeeping are the keys of its bookkeeping.
	bookkeeping []string
	// committed is when the index was written, series what tells which runs it is one of;
	// only where finished runs may expire. expired: it does.
	committed time.Time
	series    string
	expired   bool
	// last is the time of its last activity.
	last time.Time
	// owned are the keys of its own that there are objects at.
	owned []string
}

// gather finds all runs and the objects that each has stored under keys of its own.
func (p *pruner) gather(ctx context.Context) error {
	ids, err := RunIDs(ctx, p.Bucket, p.Base)
	if err != nil {
		return err
	}
	for _, id := range ids {
		r, err := p.run(ctx, id)
		if err == nil {
			err = p.objects(ctx, r)
		}
		if err != nil {
			return fmt.Errorf("nothing was removed: read run %s: %w", id, err)
		}
		p.runs = append(p.runs, r)
	}
	return nil
}

// run reads index or plan of a run.
func (p *pruner) run(ctx context.Context, id string) (*pruneRun, error) {
	r := &pruneRun{id: id}
	l := archive.Layout{Base: p.Base, UID: id}
	var paths []s3.Stored
	// The bookkeeping comes first: a run that ends meanwhile has an index by then.
	for object, err := range p.Bucket.Objects(ctx, l.BookkeepingPrefix()) {
		if err != nil {
			return nil, err
		}
		r.bookkeeping = append(r.bookkeeping, object.Key)
		if l.IsPathsKey(object.Key) {
			paths = append(paths, object)
		}
		if object.Key == l.IndexKey() {
			r.committed = object.Modified
		}
		if isMark(l, object.Key) {
			continue
		}
		if err := r.alive(object); err != nil {
			return nil, err
		}
	}
	data, err := p.Bucket.Get(ctx, l.IndexKey())
	if err == nil {
		index, err := archive.DecodeIndex(data)
		if err == nil {
			err = index.Check(p.Base, id)
		}
		r.index, r.layout = &index, &index.Layout
		if err == nil {
			p.unread(r, paths)
		}
		if p.KeepLast == 0 {
			r.bookkeeping = nil
		} else if err == nil {
			err = p.sort(ctx, r)
		}
		return r, err
	}
	if !errors.Is(err, s3.ErrNotFound) {
		return nil, err
	}
	plan, err := p.Bucket.Get(ctx, l.PlanKey())
	switch {
	case errors.Is(err, s3.ErrNotFound):
		return r, nil
	case err != nil:
		return nil, err
	}
	known, err := archive.DecodePlan(plan)
	if err == nil && (known.Layout.UID != id || known.Layout.Base != p.Base) {
		err = fmt.Errorf("its plan belongs to run %s below %q", known.Layout.UID, known.Layout.Base)
	}
	r.layout = &known.Layout
	return r, err
}

// unread finds what is left of a path index of a finished run that was not completed.
func (p *pruner) unread(r *pruneRun, paths []s3.Stored) {
	for _, object := range paths {
		// An object of unknown age is young.
		if r.index.ReadsPaths(object.Key) || object.Modified.IsZero() || !object.Modified.Before(p.Before) {
			continue
		}
		p.garbage[object.Key] = prunable{r.id, object.Size}
		r.bookkeeping = slices.DeleteFunc(r.bookkeeping, func(key string) bool { return key == object.Key })
	}
}

// alive records when an object was stored. Without that time all runs would look dead.
func (r *pruneRun) alive(object s3.Stored) error {
	if object.Modified.IsZero() {
		return fmt.Errorf("the server gives no time for %s", object.Key)
	}
	if object.Modified.After(r.last) {
		r.last = object.Modified
	}
	return nil
}

// objects finds the objects that a packed run has stored, and its open uploads.
func (p *pruner) objects(ctx context.Context, r *pruneRun) error {
	if r.layout == nil || r.layout.Run == "" {
		return nil
	}
	for _, prefix := range r.layout.RunPrefixes() {
		for object, err := range p.Bucket.Objects(ctx, prefix) {
			if err != nil {
				return err
			}
			if err := r.alive(object); err != nil {
				return err
			}
			if !r.layout.Owns(object.Key) {
				continue
			}
			r.owned = append(r.owned, object.Key)
			if object.Modified.Before(p.Before) {
				p.garbage[object.Key] = prunable{r.id, object.Size}
			}
		}
		if r.index != nil {
			continue
		}
		uploads, err := p.Bucket.OpenUploads(ctx, prefix)
		if err != nil {
			return err
		}
		for _, u := range uploads {
			// An object of unknown age is young.
			if u.Initiated.IsZero() {
				u.Initiated = p.Before
			}
			if u.Initiated.After(r.last) {
				r.last = u.Initiated
			}
		}
	}
	return nil
}

// dead says that the run is unfinished and will not be resumed.
func (p *pruner) dead(r *pruneRun) bool { return r.index == nil && r.last.Before(p.Before) }

// prune removes the remains of a run.
func (p *pruner) prune(ctx context.Context, r *pruneRun) error {
	if r.index == nil && p.found.Alive > 0 {
		if p.dead(r) {
			p.found.Waiting++
		}
		return nil
	}
	remains := p.referredTo(r)
	if r.index == nil && remains && p.isHusk(r) {
		return nil
	}
	switch {
	case !p.Remove:
	case r.expired:
		if err := p.retire(ctx, r); err != nil {
			return err
		}
	case r.index == nil:
		if claimed, err := p.claim(ctx, r); err != nil || !claimed {
			return err
		}
	}
	var keys []string
	for key, object := range p.garbage {
		if object.run == r.id {
			keys = append(keys, key)
			p.found.Bytes += object.size
		}
	}
	p.found.Objects += int64(len(keys))
	if err := p.remove(ctx, keys); err != nil || r.index != nil && !r.expired {
		return err
	}
	if r.expired {
		p.found.Expired++
	} else {
		p.found.Runs++
	}
	p.found.Bookkeeping += int64(len(r.bookkeeping))
	return p.bury(ctx, r, remains)
}

// referredTo says that other runs reference objects of the run.
func (p *pruner) referredTo(r *pruneRun) bool {
	return slices.ContainsFunc(r.owned, func(key string) bool {
		_, garbage := p.garbage[key]
		return !garbage
	})
}

// isHusk says that of an unfinished run only objects that other runs reference are left, with
// the plan to find them by.
func (p *pruner) isHusk(r *pruneRun) bool {
	l := archive.Layout{Base: p.Base, UID: r.id}
	marked := false
	for _, key := range r.bookkeeping {
		marked = marked || isMark(l, key)
		if !isMark(l, key) && key != l.PlanKey() {
			return false
		}
	}
	garbage := slices.ContainsFunc(r.owned, func(key string) bool { _, is := p.garbage[key]; return is })
	return marked && !garbage
}

// bury removes the bookkeeping of an unfinished run and aborts its uploads. The marks go
// last, so that nobody resumes the run. While other runs reference its objects, plan and mark
// remain: the plan to find these objects later, the mark to prevent resuming.
func (p *pruner) bury(ctx context.Context, r *pruneRun, remains bool) error {
	if r.layout != nil && r.layout.Run != "" {
		for _, prefix := range r.layout.RunPrefixes() {
			uploads, err := p.Bucket.OpenUploads(ctx, prefix)
			if err != nil {
				return err
			}
			for _, u := range uploads {
				p.found.Uploads++
				if !p.Remove {
					continue
				}
				if err := p.Bucket.AbortUpload(ctx, u); err != nil {
					return err
				}
			}
		}
	}
	l := archive.Layout{Base: p.Base, UID: r.id}
	var rest, marks []string
	for _, key := range r.bookkeeping {
		switch {
		case isMark(l, key):
			marks = append(marks, key)
		case key != l.PlanKey() || !remains:
			rest = append(rest, key)
		}
	}
	if err := p.remove(ctx, rest); err != nil {
		return err
	}
	if !remains {
		marks = append(marks, p.mark(l))
	}
	return p.remove(ctx, marks)
}

func (p *pruner) remove(ctx context.Context, keys []string) error {
	if !p.Remove {
		return nil
	}
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(pruneAtOnce)
	for _, key := range keys {
		group.Go(func() error { return p.Bucket.Delete(working, key) })
	}
	return group.Wait()
}
