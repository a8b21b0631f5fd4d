package worker

import (
	"math"
	"os"
	"runtime/debug"
)

const (
	// Allowance is what a worker may take of memory, in bytes, beside the bodies of
	// requests: 64 MiB, of which codeShare is for the program itself, which the
	// collector doesn't count.
	Allowance = 64 << 20
	codeShare = 12 << 20
	// limitShare is the part of a memory limit, in percent, that the heap may fill.
	limitShare = 90
)

// BoundHeap has the collector keep this process within the allowance and what bodies
// have taken at most, and within a limit in bytes, 0 for none; the function that it
// returns is to be told what they take. GOMEMLIMIT in the environment is left alone.
func BoundHeap(limit int64) func(bodies int64) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return func(int64) {}
	}
	most := int64(math.MaxInt64)
	if limit > 0 {
		most = limit / 100 * limitShare
	}
	bound := func(bodies int64) { debug.SetMemoryLimit(min(Allowance-codeShare+bodies, most)) }
	bound(0)
	return bound
}
