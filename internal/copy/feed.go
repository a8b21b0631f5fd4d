package copy

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"cargoship.dev/operator/internal/archive"
)

// maxFilesAhead bounds the files that are found and not yet sent, and with them
// the memory that their names take: three archives of small files, which is more than
// a machine packs while one is sent.
const maxFilesAhead = 32 << 10

type archiveID struct {
	prefix string
	number int64
}

// feed walks the source just ahead of the transfer and keeps the archives it has found until
// they are done.
type feed struct {
	found chan archive.Archive
	room  *semaphore.Weighted

	// err is why the walk ended, set before found is closed.
	err error

	mu       sync.Mutex
	archives map[archiveID]archive.Archive
}

func newFeed() *feed {
	return &feed{
		found:    make(chan archive.Archive),
		room:     semaphore.NewWeighted(maxFilesAhead),
		archives: map[archiveID]archive.Archive{},
	}
}

// walk sends every archive of the source to found, and closes it.
func (f *feed) walk(ctx context.Context, source *archive.Source, o archive.WalkOptions) {
	defer close(f.found)
	_, f.err = source.Walk(ctx, o, func(a archive.Archive) error {
		if err := f.room.Acquire(ctx, a.Files()); err != nil {
			return context.Cause(ctx)
		}
		f.mu.Lock()
		f.archives[archiveID{a.Prefix, a.Number}] = a
		f.mu.Unlock()
		select {
		case f.found <- a:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// fetch returns an archive that was found and isn't done.
func (f *feed) fetch(_ context.Context, prefix string, number int64) (archive.Archive, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, ok := f.archives[archiveID{prefix, number}]
	if !ok {
		return a, fmt.Errorf("archive %d of prefix %q: %w", number, prefix, archive.ErrNotListed)
	}
	return a, nil
}

// done removes an archive and returns it; it is false for an unknown one.
func (f *feed) done(id archiveID) (archive.Archive, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, ok := f.archives[id]
	if ok {
		delete(f.archives, id)
		f.room.Release(a.Files())
	}
	return a, ok
}

// empty tells whether no archive is left.
func (f *feed) empty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.archives) == 0
}
