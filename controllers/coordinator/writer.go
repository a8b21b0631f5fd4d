package coordinator

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// writesAtOnce bounds how many objects of a domain are written at once: so many that the
	// requests per second that the client is allowed are made where each takes a quarter of a
	// second. Where a thousand workers ask at the same time, eight got 3 a second.
	writesAtOnce = 64
	// A write that failed is tried again after a pause that doubles between these.
	firstRewrite   = 250 * time.Millisecond
	longestRewrite = 10 * time.Second
)

// object names what is written: the lease of a worker; without a worker, the status of the
// transfer; without either, the profile of the destination.
type object struct {
	transfer protocol.TransferID
	worker   protocol.WorkerID
}

// writer writes beside the ticks, so that none waits for the API server. Of each object only
// the newest write that was handed over is made, one at a time; one that failed is tried again
// unless a newer one has taken its place. How many requests that takes per second is bounded by
// the client.
type writer struct {
	queue workqueue.TypedRateLimitingInterface[object]
	clock clock.PassiveClock
	work  sync.WaitGroup
	stop  context.CancelFunc
	// took is told how long after it was handed over a write was made.
	took func(time.Duration)

	mu sync.Mutex
	// newest are the writes to be made, busy the objects that are being written, and pausing
	// those that wait after a failure.
	newest        map[object]handed
	busy, pausing map[object]bool
	// failed counts what failed since it was asked last, lastError being one of the causes.
	failed    int
	lastError error
}

type write func(context.Context) error

// handed is a write and when it was handed over.
type handed struct {
	do write
	at time.Time
}

// newWriter returns a writer that ends with ctx, and tells how long each write took since it
// was handed over.
func newWriter(ctx context.Context, c clock.WithTicker, took func(time.Duration)) *writer {
	ctx, stop := context.WithCancel(ctx)
	w := &writer{
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[object](firstRewrite, longestRewrite),
			workqueue.TypedRateLimitingQueueConfig[object]{Clock: c}),
		clock: c, stop: stop, took: took,
		newest: map[object]handed{}, busy: map[object]bool{}, pausing: map[object]bool{},
	}
	context.AfterFunc(ctx, w.queue.ShutDown)
	for range writesAtOnce {
		w.work.Go(func() {
			for w.next(ctx) {
			}
		})
	}
	return w
}

// end ends the writer: once it returns, nothing is written any more.
func (w *writer) end() {
	w.stop()
	w.work.Wait()
}

// put hands over a write, which takes the place of an earlier one of that object that has
// not begun.
func (w *writer) put(o object, do write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.newest[o] = handed{do, w.clock.Now()}
	if !w.pausing[o] {
		w.queue.Add(o)
	}
}

// drop gives up what is to be written of a transfer. What is being written is not tried again.
func (w *writer) drop(transfer protocol.TransferID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.newest, func(o object, _ handed) bool { return o.transfer == transfer })
	maps.DeleteFunc(w.busy, func(o object, _ bool) bool { return o.transfer == transfer })
}

// holds tells that a write of an object is still to be made, or being made.
func (w *writer) holds(o object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newest[o].do != nil || w.busy[o]
}

// waiting counts the objects that are still to be written, or being written.
func (w *writer) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.newest)
	for o := range w.busy {
		if w.newest[o].do == nil {
			n++
		}
	}
	return n
}

// failures tells what has failed since it was asked last, nil for nothing.
func (w *writer) failures() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.failed, w.lastError
	w.failed, w.lastError = 0, nil
	if n > 1 {
		return fmt.Errorf("%d writes failed, the last one: %w", n, err)
	}
	return err
}

// next makes one write. It tells whether there may be more.
func (w *writer) next(ctx context.Context) bool {
	o, ended := w.queue.Get()
	if ended {
		return false
	}
	defer w.queue.Done(o)
	h := w.begin(o)
	if h.do == nil || ctx.Err() != nil {
		return true
	}
	err := safely(func() error { return h.do(ctx) })
	w.made(ctx, o, h, err)
	return true
}

func (w *writer) begin(o object) handed {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.newest[o]
	delete(w.newest, o)
	delete(w.pausing, o)
	if h.do != nil {
		w.busy[o] = true
	}
	return h
}

// made takes in the outcome of a write.
func (w *writer) made(ctx context.Context, o object, h handed, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted := w.busy[o]
	delete(w.busy, o)
	switch {
	case err == nil:
		w.took(w.clock.Since(h.at))
		w.queue.Forget(o)
	case !wanted:
		w.queue.Forget(o)
	case ctx.Err() != nil: // it was cut off
	default:
		w.failed, w.lastError = w.failed+1, err
		if w.newest[o].do == nil {
			w.newest[o], w.pausing[o] = h, true
			w.queue.AddRateLimited(o)
		}
	}
}
