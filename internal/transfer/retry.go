package transfer

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// maxAttempts is how often one request is tried.
const maxAttempts = 10

// retrier repeats requests whose class says that it may help, within a budget: of
// the retries, those that fail again may be a tenth of the first attempts, plus
// ten, plus one per second. So retries never multiply the load on a destination
// that is down, and always find out when it is up.
type retrier struct {
	// sleep waits for a while or until ctx ends.
	sleep func(context.Context, time.Duration) error
	// gated says that a gate holds back what is refused for its rate, which then needs no
	// budget.
	gated bool

	mu     sync.Mutex
	tokens float64
	filled time.Time
}

const (
	retryTokens          = 10.0
	retryTokensPerStart  = 0.1
	retryTokensPerSecond = 1.0
)

func newRetrier() *retrier {
	return &retrier{sleep: sleep, tokens: retryTokens, filled: time.Now()}
}

// do runs attempt until it succeeds, must not or need not be repeated, or ctx ends;
// the error is that of the last attempt.
func (r *retrier) do(ctx context.Context, attempt func() *Error) error {
	r.deposit(retryTokensPerStart)
	for n := 1; ; n++ {
		err := attempt()
		if err == nil {
			if n > 1 {
				r.deposit(1)
			}
			return nil
		}
		if n == maxAttempts || !err.retryable() || ctx.Err() != nil {
			return err
		}
		if r.sleep(ctx, max(backoff(err.Class, n), retryAfter(err))) != nil {
			return err
		}
		if gated := r.gated && err.Class == Throttled; !gated && r.await(ctx) != nil {
			return err
		}
	}
}

func (r *retrier) deposit(tokens float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens = min(r.tokens+tokens, retryTokens)
}

// await waits for a token and takes it.
func (r *retrier) await(ctx context.Context) error {
	for !r.take() {
		if err := r.sleep(ctx, 500*time.Millisecond+rand.N(500*time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

func (r *retrier) take() bool {
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

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
