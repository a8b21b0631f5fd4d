//go:build unix

package worker

import (
	"runtime"
	"syscall"
	"time"
)

// PeakMemory is the largest resident set of this process so far in bytes; 0 where the
// system does not tell.
func PeakMemory() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	if runtime.GOOS == "linux" {
		return usage.Maxrss << 10 // Linux counts in KiB.
	}
	return usage.Maxrss
}

// processorTime is what this process has used so far, for itself and within the system.
func processorTime() (time.Duration, bool) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, false
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), true
}
