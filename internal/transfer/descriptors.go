package transfer

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sync/semaphore"
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

// DescriptorLimit returns how many files and connections this process may have open, 0 if
// nobody knows. The runtime has raised the limit as far as the process may.
func DescriptorLimit() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<30 {
		return 0
	}
	return int(limit.Cur)
}

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
	return DescriptorLimit(), int64(u.descriptors.most) < u.memory.limit/requestMemory
}

// scarce says that there are no descriptors left, for now.
func scarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// open waits until one more file may be open, and opens it as often as it takes. release
// must be called once the file is closed.
func (u *Uploader) open(ctx context.Context, key string, open func() error) (release func(), err error) {
	if err := u.descriptors.files.Acquire(ctx, 1); err != nil {
		return nil, Classify("open", key, err)
	}
	err = u.retrier.do(ctx, func() *Error {
		if err := open(); err != nil {
			return sourceError("open", key, err)
		}
		return nil
	})
	if err != nil {
		u.descriptors.files.Release(1)
		return nil, err
	}
	return func() { u.descriptors.files.Release(1) }, nil
}

// scarceAdvice names the limit.
func scarceAdvice(err error) string {
	if limit := DescriptorLimit(); limit > 0 && errors.Is(err, syscall.EMFILE) {
		return fmt.Sprintf("raise this machine's limit of %d open files for a process, as ulimit -n does", limit)
	}
	return "raise this machine's limits of open files"
}
