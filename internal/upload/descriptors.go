package upload

import (
	"context"

	"golang.org/x/sync/semaphore"

	"cargoship.dev/operator/internal/s3"
)

const (
	// descriptorsReserved are left for all but what is sent: the standard streams, the
	// walk, name servers, and what the runtime opens itself.
	descriptorsReserved = 22
	// descriptorsPerRequest are a file, a connection, and an idle one in the pool for
	// requests that the server takes long to answer.
	descriptorsPerRequest = 3
	// descriptorsAmple is how many of them bound nothing else.
	descriptorsAmple = 4096
)

// descriptors bound how many files are open at once, so that their requests have
// descriptors left for connections.
type descriptors struct {
	most  int
	files *semaphore.Weighted
}

func newDescriptors(limit int) descriptors {
	if limit == 0 || limit > descriptorsAmple {
		limit = descriptorsAmple
	}
	most := max(1, (limit-descriptorsReserved)/descriptorsPerRequest)
	return descriptors{most, semaphore.NewWeighted(int64(most))}
}

// BoundByFiles returns the limit of open files, and whether it lets fewer requests be in
// flight than memory does.
func (u *Uploader) BoundByFiles() (limit int, bounds bool) {
	return s3.DescriptorLimit(), int64(u.descriptors.most) < u.memory.limit/requestMemory
}

// open waits until one more file may be open, and opens it as often as it takes. release
// must be called once the file is closed.
func (u *Uploader) open(ctx context.Context, key string, open func() error) (release func(), err error) {
	if err := u.descriptors.files.Acquire(ctx, 1); err != nil {
		return nil, s3.Classify("open", key, err)
	}
	err = u.retrier.Do(ctx, func() *s3.Error {
		if err := open(); err != nil {
			return s3.SourceError("open", key, err)
		}
		return nil
	})
	if err != nil {
		u.descriptors.files.Release(1)
		return nil, err
	}
	return func() { u.descriptors.files.Release(1) }, nil
}
