package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// thawAtOnce is how many archives are looked at, or asked for, at a time.
const thawAtOnce = 8

const (
	// pollFirst is the first pause between looks at an object that is being thawed. It doubles
	// up to one that suits the tier: Expedited takes 1 to 5 minutes, the others take hours.
	pollFirst     = time.Second
	pollExpedited = 15 * time.Second
	pollOther     = 5 * time.Minute
	expedited     = "Expedited"
)

// ThawBucket is a bucket whose objects may be in archive storage classes; *s3.Client is one.
type ThawBucket interface {
	Stat(ctx context.Context, key string) (s3.ObjectInfo, error)
	Thaw(ctx context.Context, key string, storage s3.Storage, r s3.ThawRequest) error
}

// Thawer makes the objects readable that a restore needs: those that hold what is selected
// and not at the target yet. It is safe for concurrent use.
type Thawer struct {
	bucket  ThawBucket
	request s3.ThawRequest
	poll    time.Duration
	needs   func(archive.Manifest) []string
	root    io.Closer
	clock   *clock
}

// NewThawer returns a thawer for what Run would restore. A poll of 0 is the pause that suits
// the tier. It must be closed.
func NewThawer(o Options, r s3.ThawRequest, poll time.Duration) (*Thawer, error) {
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory to restore into: %w", err)
	}
	into := &restorer{options: o, root: root, directories: newDirectories(root, o), clock: &clock{root: root}}
	t, err := newThawer(into, r, poll)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	t.root, t.clock = root, into.clock
	return t, nil
}

// Thawer returns a thawer for what the session restores.
func (s *Session) Thawer(r s3.ThawRequest, poll time.Duration) (*Thawer, error) {
	return newThawer(s.restorer(), r, poll)
}

func newThawer(into *restorer, r s3.ThawRequest, poll time.Duration) (*Thawer, error) {
	b, ok := into.options.Catalog.bucket.(ThawBucket)
	if !ok {
		return nil, errors.New("thaw objects: this bucket has none that are frozen")
	}
	switch {
	case poll > 0:
	case r.Tier == expedited:
		poll = pollExpedited
	default:
		poll = pollOther
	}
	return &Thawer{bucket: b, request: r, poll: poll, needs: into.needs}, nil
}

// Close releases what NewThawer has taken.
func (t *Thawer) Close() error {
	if t.root == nil {
		return nil
	}
	t.clock.close()
	return t.root.Close()
}

// needs are the keys of the objects that hold what is selected of an archive and not there yet.
func (r *restorer) needs(m archive.Manifest) (keys []string) {
	packed := false
	for _, f := range m.Members {
		if f.Outcome != archive.Done || !r.options.takes(f.Path) {
			continue
		}
		f, archived := r.options.standIn(m, f)
		switch {
		case !archived || !located(m, f):
		case f.Kind == archive.File && (r.inTheWay(f) || r.existing(f) != nil && !inHeader(f)):
		case f.Kind == archive.File && f.Tar == nil:
			keys = append(keys, f.Key)
		case f.Kind == archive.File, inHeader(f):
			packed = true
		}
	}
	if packed {
		keys = append(keys, m.Object.Key)
	}
	return keys
}

// Amount is a number of objects and their sizes in bytes.
type Amount struct{ Objects, Bytes int64 }

func (a Amount) plus(bytes int64) Amount { return Amount{a.Objects + 1, a.Bytes + bytes} }

// Frozen is what a restore needs and can't read yet.
type Frozen struct {
	// Classes is what has to be thawed, by storage class.
	Classes map[string]Amount
	// Thawing is what is being thawed already.
	Thawing Amount
}

// None says that everything can be read.
func (f Frozen) None() bool { return len(f.Classes) == 0 && f.Thawing.Objects == 0 }

// Total is what has to be thawed, and what is being.
func (f Frozen) Total() Amount {
	sum := f.Thawing
	for _, a := range f.Classes {
		sum.Objects, sum.Bytes = sum.Objects+a.Objects, sum.Bytes+a.Bytes
	}
	return sum
}

// Survey looks up which objects that archives need can't be read. Nothing is asked for.
func (t *Thawer) Survey(ctx context.Context, manifests iter.Seq2[archive.Manifest, error]) (Frozen, error) {
	var mu sync.Mutex
	found := Frozen{Classes: map[string]Amount{}}
	err := t.each(ctx, manifests, func(_ context.Context, _ string, info s3.ObjectInfo) error {
		mu.Lock()
		defer mu.Unlock()
		if class := info.Storage.Class; info.Storage.Frozen {
			found.Classes[class] = found.Classes[class].plus(info.Size)
		} else {
			found.Thawing = found.Thawing.plus(info.Size)
		}
		return nil
	})
	return found, err
}

// Ask has everything thawed that archives need and that can't be read.
func (t *Thawer) Ask(ctx context.Context, manifests iter.Seq2[archive.Manifest, error]) error {
	return t.each(ctx, manifests, func(ctx context.Context, key string, info s3.ObjectInfo) error {
		if !info.Storage.Frozen {
			return nil
		}
		return t.bucket.Thaw(ctx, key, info.Storage, t.request)
	})
}

// each calls a function with the objects that archives need and that can't be read. A
// manifest that is damaged is passed over: its restore says so.
func (t *Thawer) each(ctx context.Context, manifests iter.Seq2[archive.Manifest, error], do func(ctx context.Context, key string, info s3.ObjectInfo) error) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(thawAtOnce)
	for m, err := range manifests {
		if errors.As(err, new(*ManifestError)) {
			continue
		}
		if err != nil || working.Err() != nil {
			group.Go(func() error { return err })
			break
		}
		group.Go(func() error {
			for _, key := range t.needs(m) {
				info, readable, err := t.look(working, key)
				if err == nil && !readable {
					err = do(working, key, info)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// look asks for an object, and says whether it can be read, as far as that is to be thawed. What
// else is wrong with it is for its restore to tell.
func (t *Thawer) look(ctx context.Context, key string) (info s3.ObjectInfo, readable bool, err error) {
	info, err = t.bucket.Stat(ctx, key)
	if err != nil && scopeOf(ctx, err) != ofRun {
		return info, true, nil
	}
	return info, !info.Storage.Frozen && !info.Storage.Thawing, err
}

// Ready says that all that an archive needs can be read.
func (t *Thawer) Ready(ctx context.Context, m archive.Manifest) (bool, error) {
	for _, key := range t.needs(m) {
		if _, readable, err := t.look(ctx, key); err != nil || !readable {
			return false, err
		}
	}
	return true, nil
}

// Await waits until all that an archive needs can be read, for which it must have been asked. What is frozen
// again is not waited for: its files fail, since to ask for it once more is to pay for it once more.
func (t *Thawer) Await(ctx context.Context, m archive.Manifest) error {
	for _, key := range t.needs(m) {
		for pause := min(pollFirst, t.poll); ; pause = min(2*pause, t.poll) {
			info, readable, err := t.look(ctx, key)
			if err != nil {
				return err
			}
			if readable || info.Storage.Frozen {
				break
			}
			if err := s3.Sleep(ctx, pause); err != nil {
				return err
			}
		}
	}
	return nil
}

// thawed says that an archive can be read; one that can't is counted, unless it is waited for.
func (r *restorer) thawed(ctx context.Context, m archive.Manifest) (bool, error) {
	switch o := r.options; {
	case o.Thaw == nil:
		return true, nil
	case o.Wait:
		return true, o.Thaw.Await(ctx, m)
	}
	ready, err := r.options.Thaw.Ready(ctx, m)
	if err == nil && !ready {
		r.count(func(s *Summary) { s.Thawing += r.awaited(m) })
	}
	return ready, err
}

// awaited counts the files of an archive that are selected and not there yet.
func (r *restorer) awaited(m archive.Manifest) (files int64) {
	for _, f := range m.Members {
		if f.Outcome != archive.Done || f.Kind == archive.Directory || !r.options.takes(f.Path) {
			continue
		}
		if f, archived := r.options.standIn(m, f); archived && r.existing(f) == nil && !r.inTheWay(f) {
			files++
		}
	}
	return files
}
