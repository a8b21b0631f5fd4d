package s3

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// MaxAttempts is how often one request is tried.
const MaxAttempts = 10

// Retrier repeats requests whose class says that it may help, within a budget: of
// the retries, those that fail again may be a tenth of the first attempts, plus
// ten, plus one per second. So retries never multiply the load on a destination
// that is down, and always find out when it is up.
type Retrier struct {
	// Sleep waits for a while or until ctx ends.
	Sleep func(context.Context, time.Duration) error
	// Gated says that a gate slows down after throttled requests, so that these need no
	// budget.
	Gated bool

	mu     sync.Mutex
	tokens float64
	filled time.Time
}

const (
	retryTokens          = 10.0
	retryTokensPerStart  = 0.1
	retryTokensPerSecond = 1.0
)

// NewRetrier returns a Retrier with all of its budget.
func NewRetrier() *Retrier {
	return &Retrier{Sleep: Sleep, tokens: retryTokens, filled: time.Now()}
}

// Do runs attempt until it succeeds, must not or need not be repeated, or ctx ends;
// the error is that of the last attempt. Each attempt gets a context that tells the spans of
// its requests how often they were sent before.
func (r *Retrier) Do(ctx context.Context, attempt func(context.Context) *Error) error {
	r.deposit(retryTokensPerStart)
	for n := 1; ; n++ {
		err := attempt(resent(ctx, n-1))
		if err == nil {
			if n > 1 {
				r.deposit(1)
			}
			return nil
		}
		if n == MaxAttempts || !err.retryable() || ctx.Err() != nil {
			return err
		}
		if r.Sleep(ctx, max(backoff(err.Class, n), retryAfter(err))) != nil {
			return err
		}
		if gated := r.Gated && err.Class == Throttled; !gated && r.await(ctx) != nil {
			return err
		}
	}
}

func (r *Retrier) deposit(tokens float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens = min(r.tokens+tokens, retryTokens)
}

// await waits for a token and takes it.
func (r *Retrier) await(ctx context.Context) error {
	for !r.take() {
		if err := r.Sleep(ctx, 500*time.Millisecond+rand.N(500*time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Retrier) take() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.tokens = min(r.tokens+now.Sub(r.filled).Seconds()*retryTokensPerSecond, retryTokens)
	r.filled = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}

// backoff draws the wait after the nth attempt with full jitter. After a throttled
// attempt it is short, since the gate slows down as well. See "Exponential Backoff
// And Jitter", AWS Architecture Blog, 2015.
func backoff(class Class, n int) time.Duration {
	first, most := 200*time.Millisecond, 20*time.Second
	if class == Throttled {
		first, most = 100*time.Millisecond, 5*time.Second
	}
	return rand.N(min(first<<(n-1), most)) + time.Millisecond
}

// Sleep waits for a while or until ctx ends.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
