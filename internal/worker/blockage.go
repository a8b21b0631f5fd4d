package worker

import (
	"context"
	"math/rand/v2"
	"time"

	"cargoship.dev/operator/internal/s3"
)

const (
	probeAfter = time.Second
	probeMost  = 15 * time.Second
)

// blockage is trouble at the destination that everything waits for.
type blockage struct {
	blocked bool
	verdict verdict
	// pause is how long to wait before the next probe. It grows until a file gets
	// through: a probe may succeed where a file does not.
	pause time.Duration
}

// cleared records that a file got through.
func (b *blockage) cleared() { b.pause = 0 }

// block holds everything back until a probe of the destination succeeds.
func (e *Engine) block(err *s3.Error) {
	b := &e.blockage
	b.verdict = verdictOf(err)
	if b.blocked {
		return
	}
	b.blocked = true
	e.setLimits(false)
	e.options.Logger.Info("blocked", "reason", b.verdict.reason, "error", b.verdict.message)
	notify(e.eager)
	e.start(e.probe)
}

// probe asks the destination until it answers well, then lets everything go on.
func (e *Engine) probe(ctx context.Context) {
	for wait(ctx, e.nextPause()) {
		err := e.options.Destination.Probe(ctx)
		if ctx.Err() != nil {
			return
		}
		if e.probed(err) {
			return
		}
	}
}

// nextPause returns the pause before the next probe, and doubles the one after it.
func (e *Engine) nextPause() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := &e.blockage
	b.pause = min(max(probeAfter, 2*b.pause), probeMost)
	// Workers that were blocked together shall not all ask at once.
	return b.pause - time.Duration(rand.Int64N(int64(b.pause/4)))
}

// probed takes in the answer to a probe, and says whether it was good.
func (e *Engine) probed(err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.blockage.verdict = verdictOf(err)
		return false
	}
	e.blockage.blocked = false
	e.setLimits(false)
	e.options.Logger.Info("no longer blocked")
	notify(e.eager)
	notify(e.wake)
	return true
}

// wait returns true after d, and false as soon as ctx ends.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
