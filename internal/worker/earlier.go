package worker

import (
	"context"
	"errors"
	"sync"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

// Earlier finds what is in the bucket already and may be referred to instead of being sent.
type Earlier interface {
	// Archive returns the manifest of an archive that holds just what another would pack;
	// nil if there is none.
	Archive(ctx context.Context, a archive.Archive) (*archive.Manifest, error)
	// Key returns the key of an object of its own that a file had; "" if there is none.
	Key(ctx context.Context, prefix string, e archive.Entry) (string, error)
}

// EarlierRuns is the Earlier of a packed run. It is safe for concurrent use.
type EarlierRuns struct {
	Bucket restore.Bucket
	// Layout returns the resolved layout of the run.
	Layout func(ctx context.Context) (archive.Layout, error)
	// Resumed: what this run itself has finished before it was interrupted is kept.
	Resumed bool
	// Synced: what the last finished run below the same base has archived is kept if it
	// has not changed.
	Synced bool
	// Warn is told of runs that cannot be used; nil for no one.
	Warn func(text string)

	mu     sync.Mutex
	opened bool
	last   *restore.Earlier // nil if there is none
}

// Archive implements Earlier.
func (e *EarlierRuns) Archive(ctx context.Context, a archive.Archive) (*archive.Manifest, error) {
	if e.Resumed {
		layout, err := e.Layout(ctx)
		if err != nil {
			return nil, err
		}
		if m, err := restore.Unfinished(ctx, e.Bucket, layout, a); m != nil || err != nil {
			return m, err
		}
	}
	last, err := e.open(ctx)
	if last == nil || err != nil {
		return nil, err
	}
	m, err := last.Archive(ctx, a)
	return m, e.usable(err)
}

// Key implements Earlier.
func (e *EarlierRuns) Key(ctx context.Context, prefix string, entry archive.Entry) (string, error) {
	last, err := e.open(ctx)
	if last == nil || err != nil {
		return "", err
	}
	key, err := last.Key(ctx, prefix, entry)
	return key, e.usable(err)
}

// usable drops the error of a manifest that is not as its run has written it: nothing is
// referred to then, and all is sent.
func (e *EarlierRuns) usable(err error) error {
	if _, damaged := errors.AsType[*restore.ManifestError](err); damaged {
		e.warn("nothing of an earlier run is reused: " + err.Error())
		return nil
	}
	return err
}

func (e *EarlierRuns) warn(text string) {
	if e.Warn != nil {
		e.Warn(text)
	}
}

// open finds the last finished run once.
func (e *EarlierRuns) open(ctx context.Context) (*restore.Earlier, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.opened || !e.Synced {
		return e.last, nil
	}
	layout, err := e.Layout(ctx)
	if err != nil {
		return nil, err
	}
	catalog, err := restore.Open(ctx, e.Bucket, layout.Base, "")
	if err != nil && !errors.Is(err, restore.ErrNoIndex) {
		return nil, err
	}
	e.opened = true
	if err != nil {
		return nil, nil
	}
	for _, w := range catalog.Warnings {
		e.warn(w)
	}
	e.last = restore.NewEarlier(catalog, layout)
	return e.last, nil
}
