package worker

import (
	"context"
	"math"
	"time"

	"cargoship.dev/operator/internal/s3"
	"k8s.io/apimachinery/pkg/util/wait"
)

// retryPauses are those between attempts at what everything waits for. Workers that were
// blocked together shall not all ask at once.
func retryPauses() wait.Backoff {
	return wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.25, Steps: math.MaxInt32, Cap: 15 * time.Second}
}

// blockage is trouble at the destination that everything waits for.
type blockage struct {
	blocked bool
	verdict verdict
	// pauses before probes grow until a file gets through: a probe may succeed where a
	// file does not.
	pauses wait.Backoff
}

// cleared records that a file got through.
func (b *blockage) cleared() { b.pauses = retryPauses() }

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
	for s3.Sleep(ctx, e.nextPause()) == nil {
		err := e.options.Destination.Probe(ctx)
		if ctx.Err() != nil {
			return
		}
		if e.probed(err) {
			return
		}
	}
}

// nextPause returns the pause before the next probe.
func (e *Engine) nextPause() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.blockage.pauses.Step()
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
