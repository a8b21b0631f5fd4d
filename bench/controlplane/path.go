package main

import (
	"sync/atomic"
	"time"
)

const (
	// workerSpeed is what the path carries for each worker, in requests per second.
	workerSpeed = 20
	// baseLatency is that of a request on the idle path.
	baseLatency = 100 * time.Millisecond
)

// path is what all puppets send through: a link with one queue. It works in numbers, no
// request is made.
type path struct {
	capacity float64 // requests per second
	inFlight atomic.Int64
}

func newPath(workers int) *path { return &path{capacity: workerSpeed * float64(workers)} }

// latency is that of a request that starts now.
func (p *path) latency() time.Duration {
	queued := float64(p.inFlight.Load()) / p.capacity
	return max(baseLatency, time.Duration(queued*float64(time.Second)))
}
