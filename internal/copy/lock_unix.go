//go:build unix

package copy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// lockSource locks a directory against other copies of it on this machine, and returns what
// ends that. The kernel ends it with the process, so an interrupted copy never leaves a lock.
func lockSource(dir string) (lock sourceLock, release func()) {
	d, err := os.Open(dir)
	if err != nil {
		return sourceLock{}, func() {}
	}
	if syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		lock = sourceLock{held: true, name: lockName(d)}
	}
	return lock, func() { _ = d.Close() }
}

// lockName tells the lock on a directory from those of all other machines, and of this one
// before it was started: the kernel makes up a number when it starts, which no image holds
// and all containers see. It is empty where the kernel has none.
func lockName(d *os.File) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(strings.TrimSpace(string(boot))) == 0 {
		return ""
	}
	var s syscall.Stat_t
	if syscall.Fstat(int(d.Fd()), &s) != nil {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", strings.TrimSpace(string(boot)), s.Dev, s.Ino))
	return hex.EncodeToString(sum[:])
}
