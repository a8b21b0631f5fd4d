//go:build unix

package restore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock locks a file until the guard is closed, unless another process holds the lock. Where there are no
// locks, as in some network file systems, there is no guard either.
func lock(f *os.File) (guard *os.File, held bool) {
	// A lock is that of all descriptors of an opened file: this one outlives the writing.
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	guard = os.NewFile(uintptr(fd), f.Name())
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = guard.Close()
		return nil, errors.Is(err, unix.EWOULDBLOCK)
	}
	return guard, false
}
