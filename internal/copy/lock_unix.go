//go:build unix

package copy

import (
	"os"
	"syscall"
)

// lockSource returns whether no other copy of the directory runs on this machine, and what
// ends that claim. The kernel ends it with the process, so an interrupted copy never
// leaves one.
func lockSource(dir string) (alone bool, release func()) {
	d, err := os.Open(dir)
	if err != nil {
		return false, func() {}
	}
	err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return err == nil, func() { _ = d.Close() }
}
