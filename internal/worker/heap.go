package worker

import (
	"math"
	"os"
	"runtime/debug"
)

const (
	// allowance is what a worker may take of memory, in bytes, beside the bodies of
	// requests: 64 MiB, of which codeShare is for the program itself, which the
	// collector doesn't count, and slack for what is allocated while it works.
	allowance = 64 << 20
	codeShare = 18 << 20
	slack     = 8 << 20 // a part of a tar
	// workerHeap is what the heap of a worker may take beside the bodies; commandHeap is that of a command,
	// which nothing holds to a limit of a pod.
	workerHeap  = allowance - codeShare - slack
	commandHeap = 52 << 20
	// limitShare is the part of a memory limit, in percent, that the heap may fill.
	limitShare = 90
)

// BoundWorker has the collector keep this process within the allowance and what bodies
// have taken at most, and within a limit in bytes, 0 for none; the function that it
// returns is to be told what they take. GOMEMLIMIT in the environment is left alone.
func BoundWorker(limit int64) func(bodies int64) {
	most := int64(math.MaxInt64)
	if limit > 0 {
		most = limit / 100 * limitShare
	}
	return boundHeap(workerHeap, most)
}

// BoundCommand does the same for a command: CommandBound says within what.
func BoundCommand() func(bodies int64) { return boundHeap(commandHeap, math.MaxInt64) }

// CommandBound is what a command keeps within, in bytes, with bodies of requests that took so
// much at most, the program itself included.
func CommandBound(bodies int64) int64 { return commandHeap + slack + programMemory() + bodies }

func boundHeap(heap, most int64) func(bodies int64) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return func(int64) {}
	}
	bound := func(bodies int64) { debug.SetMemoryLimit(min(heap+bodies, most)) }
	bound(0)
	return bound
}
