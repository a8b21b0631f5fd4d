package restore

import (
	"context"
	"sync"

	"cargoship.dev/operator/internal/archive"
)

// readAhead reads the manifests of a run side by side, and gives them in order.
type readAhead struct {
	queue   chan chan manifestRead
	working sync.WaitGroup
}

type manifestRead struct {
	manifest archive.Manifest
	err      error
}

// newReadAhead begins to read. Whoever calls it ends ctx, then calls wait.
func newReadAhead(ctx context.Context, c *Catalog) *readAhead {
	// Beside those in the queue there are the one that is waited for and the one in use.
	a := &readAhead{queue: make(chan chan manifestRead, manifestsAhead-2)}
	a.working.Go(func() {
		for _, p := range c.Index.Prefixes {
			for number := range p.Archives {
				place := make(chan manifestRead, 1)
				select {
				case a.queue <- place:
				case <-ctx.Done():
					return
				}
				a.working.Go(func() {
					m, err := c.Manifest(ctx, p.Name, number)
					place <- manifestRead{m, err}
				})
			}
		}
	})
	return a
}

// next returns the next manifest of those that there are.
func (a *readAhead) next(ctx context.Context) (archive.Manifest, error) {
	select {
	case place := <-a.queue:
		read := <-place
		return read.manifest, read.err
	case <-ctx.Done():
		return archive.Manifest{}, ctx.Err()
	}
}

// wait returns once nothing is being read.
func (a *readAhead) wait() { a.working.Wait() }
