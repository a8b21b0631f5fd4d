package baseline

import (
	"math/rand/v2"
	"time"
)

// Outcome is how a request ended.
type Outcome int

const (
	// Accepted requests stored their part.
	Accepted Outcome = iota
	// Throttled requests were answered 503 SlowDown.
	Throttled
	// Failed requests were answered by another error, or their connection broke.
	Failed
	// TimedOut requests were given up without an answer.
	TimedOut
)

// Result is what a client knows of one request that ended.
type Result struct {
	// Started is when the request began.
	Started time.Time
	// FirstByte is the service time: from the last byte of the request to the
	// first of its answer. 0 when there was no answer.
	FirstByte time.Duration
	// Bytes of payload that were accepted.
	Bytes   int64
	Outcome Outcome
	// InFlight counts the requests in flight when it began, itself included.
	InFlight int
}

// Limiter is the control law of one client process that knows only its own requests.
type Limiter interface {
	// Limit gives how many requests may be in flight, and how many may be started
	// per second; a rate of 0 means that only the window limits.
	Limit(now time.Time) (window int, rate float64)
	// Start is told of each request that starts; inFlight includes it.
	Start(now time.Time, inFlight int)
	// Done is told of each request that ended.
	Done(now time.Time, r Result)
}

// Env is what a client process knows before it begins.
type Env struct {
	// Workers is the number of client processes, Prefixes that of key prefixes.
	Workers, Prefixes int
	// PartSize is the payload of one request, in bytes.
	PartSize int64
	// NIC is the bandwidth of the process's host, in bytes per second.
	NIC float64
	// Rand is the process's source of randomness.
	Rand *rand.Rand
}

// Law is one published way to limit a client.
type Law struct {
	Name string
	// Attempts is how often one request is tried, as published.
	Attempts int
	// Backoff is the base of the full-jitter exponential pause between attempts;
	// 100 ms if 0.
	Backoff time.Duration
	// New gives the limiter of one client process.
	New func(Env) Limiter
}
