package figures

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"time"
)

// Usage is what one run of a program took.
type Usage struct {
	// Seconds of wall clock; CPU seconds, user and system, of the process and its children.
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpuSeconds"`
	// PeakBytes is the largest resident set.
	PeakBytes int64 `json:"peakBytes"`
}

// Measure runs a program, for at most limit, and returns what it took, also when it fails.
func Measure(ctx context.Context, limit time.Duration, cmd *exec.Cmd) (Usage, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	forgetPeak()
	begun := time.Now()
	err := cmd.Start()
	if err == nil {
		stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // Wait tells of it.
		err = cmd.Wait()
		stop()
	}
	u := Usage{Seconds: time.Since(begun).Seconds()}
	if state := cmd.ProcessState; state != nil {
		u.CPU = (state.UserTime() + state.SystemTime()).Seconds()
		if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
			u.PeakBytes = usage.Maxrss << 10 // Linux counts it in KiB.
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return u, fmt.Errorf("run %s: %w", cmd.Path, ctx.Err())
	case err != nil:
		return u, fmt.Errorf("run %s: %w", cmd.Path, err)
	}
	return u, nil
}

// forgetPeak has the largest resident set of this process begin anew, since Linux counts it as that of
// the programs that it starts.
func forgetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // Other systems have no such file.
}
