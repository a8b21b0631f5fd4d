package upload

import (
	"context"
	"os"
	"sync"

	"golang.org/x/sync/semaphore"

	"cargoship.dev/operator/internal/s3"
)

const (
	// descriptorsReserved are left for all but what is sent: the standard streams, the
	// walk, name servers, and what the runtime opens itself.
	descriptorsReserved = 20
	// descriptorsPerRequest are a file that stays open, one that is being read, a
	// connection, and an idle one in the pool for requests that the server takes long to
	// answer.
	descriptorsPerRequest = 4
	// descriptorsAmple is how many of them bound nothing else.
	descriptorsAmple = 4096
)

// descriptors bound how many files are open at once, so that their requests have
// descriptors left for connections. As with memory, there are some for files that stay
// open while their requests wait for the gate, and only for those that find one at once;
// the others are open while they are read, and never while they wait. So requests that
// wait at a closed gate cannot starve the others.
type descriptors struct {
	most          int
	ahead, behind *semaphore.Weighted
}

func newDescriptors(limit int) descriptors {
	if limit == 0 || limit > descriptorsAmple {
		limit = descriptorsAmple
	}
	most := max(1, (limit-descriptorsReserved)/descriptorsPerRequest)
	return descriptors{most, semaphore.NewWeighted(int64(most)), semaphore.NewWeighted(int64(most))}
}

// BoundByFiles returns the limit of open files, and whether it lets fewer requests be in
// flight than memory does.
func (u *Uploader) BoundByFiles() (limit int, bounds bool) {
	return s3.DescriptorLimit(), int64(u.descriptors.most) < u.memory.limit/requestMemory
}

// lending is what an upload has of the descriptors.
type lending struct {
	*descriptors
	// stays: the upload has a descriptor until it ends, else one while it reads.
	stays bool
}

func (u *Uploader) lend() lending {
	return lending{&u.descriptors, u.descriptors.ahead.TryAcquire(1)}
}

// end gives back what the upload has had until then.
func (l lending) end() {
	if l.stays {
		l.ahead.Release(1)
	}
}

// begin waits for a descriptor to read with. finish must be called when that is done, before
// the upload waits for the gate.
func (l lending) begin(ctx context.Context) error {
	if l.stays {
		return nil
	}
	return l.behind.Acquire(ctx, 1)
}

func (l lending) finish() {
	if !l.stays {
		l.behind.Release(1)
	}
}

// lentFile is a file that is open while somebody uses it. It is safe for concurrent use.
type lentFile struct {
	lending
	// ctx is that of the upload.
	ctx     context.Context
	retrier *s3.Retrier
	key     string
	open    func() (SourceFile, error)

	mu   sync.Mutex
	uses int
	// file is open if there are uses.
	file SourceFile
}

// use opens the file, as often as it takes, unless it is open. done must be called when it is
// no longer used. The error is an *s3.Error.
func (f *lentFile) use() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.uses == 0 {
		if err := f.begin(f.ctx); err != nil {
			return s3.Classify("open", f.key, err)
		}
		err := f.retrier.Do(f.ctx, func(context.Context) *s3.Error {
			var err error
			if f.file, err = f.open(); err != nil {
				return s3.SourceError("open", f.key, err)
			}
			return nil
		})
		if err != nil {
			f.finish()
			return err
		}
	}
	f.uses++
	return nil
}

func (f *lentFile) done() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.uses--; f.uses == 0 {
		_ = f.file.Close() // Nothing was written to it.
		f.file = nil
		f.finish()
	}
}

// ReadAt implements io.ReaderAt.
func (f *lentFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.use(); err != nil {
		return 0, err
	}
	defer f.done()
	return f.file.ReadAt(p, off)
}

// Lend implements s3.Lender.
func (f *lentFile) Lend() (file *os.File, giveBack func()) {
	if f.use() != nil {
		return nil, nil
	}
	if open, ok := f.file.(interface{ File() *os.File }); ok {
		return open.File(), f.done
	}
	f.done()
	return nil, nil
}

// unchanged is SourceFile's.
func (f *lentFile) unchanged() error {
	if err := f.use(); err != nil {
		return err
	}
	defer f.done()
	return f.file.Unchanged()
}
