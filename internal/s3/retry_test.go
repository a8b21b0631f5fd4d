package s3

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	smithyhttp "github.com/aws/smithy-go/transport/http"
)

func TestRetrierRepeatsWhatMayHelp(t *testing.T) {
	for _, c := range []struct {
		class Class
		want  int
	}{
		{Throttled, MaxAttempts}, {Transient, MaxAttempts}, {Integrity, MaxAttempts},
		{Credentials, 1}, {Permission, 1}, {Missing, 1}, {Source, 1}, {Configuration, 1},
	} {
		t.Run(string(c.class), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				err := NewRetrier().Do(t.Context(), func(context.Context) *Error {
					attempts++
					return &Error{Class: c.class}
				})
				if err == nil || attempts != c.want {
					t.Errorf("%d attempts, error %v, want %d and an error", attempts, err, c.want)
				}
			})
		})
	}
}

func TestRetrierReturnsNilAfterSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		err := NewRetrier().Do(t.Context(), func(context.Context) *Error {
			if attempts++; attempts < 4 {
				return &Error{Class: Transient}
			}
			return nil
		})
		if err != nil || attempts != 4 {
			t.Errorf("%d attempts, error %v, want 4 and none", attempts, err)
		}
	})
}

func TestRetrierEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		begun := time.Now()
		cause := errors.New("down")
		err := NewRetrier().Do(ctx, func(context.Context) *Error {
			return &Error{Class: Throttled, Err: errors.Join(cause, afterSeconds("30"))}
		})
		if !errors.Is(err, cause) || time.Since(begun) != 50*time.Millisecond {
			t.Errorf("do = %v after %v, want the last error after 50 ms", err, time.Since(begun))
		}
	})
}

func afterSeconds(value string) error {
	return &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{Header: http.Header{"Retry-After": {value}}}},
		Err:      errors.New("refused"),
	}
}

func TestRetrierHonoursRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-3": 0, "3600": time.Minute, "Fri, 31 Dec 1999 23:59:59 GMT": 0,
	} {
		if got := retryAfter(afterSeconds(value)); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", value, got, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		begun, attempts := time.Now(), 0
		_ = NewRetrier().Do(t.Context(), func(context.Context) *Error {
			if attempts++; attempts > 1 {
				return nil
			}
			return &Error{Class: Throttled, Err: afterSeconds("7")}
		})
		if waited := time.Since(begun); waited != 7*time.Second {
			t.Errorf("waited %v, want 7 s", waited)
		}
	})
}

// While everything fails, retries add at most a tenth, ten, and one per second.
func TestRetrierNeverMultipliesTheLoad(t *testing.T) {
	for _, requests := range []int{1, 20, 1000} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r := NewRetrier()
			var attempts atomic.Int64
			var all sync.WaitGroup
			for range requests {
				all.Go(func() {
					_ = r.Do(ctx, func(context.Context) *Error { attempts.Add(1); return &Error{Class: Throttled} })
				})
			}
			all.Wait()
			most := int64(float64(requests)*(1+retryTokensPerStart) + retryTokens + 60*retryTokensPerSecond)
			if got := attempts.Load(); got > most || got < int64(requests) {
				t.Errorf("%d attempts of %d requests, want at most %d", got, requests, most)
			}
		})
	}
}

// Once the destination is back, all get through, soon.
func TestRetrierRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRetrier()
		begun := time.Now()
		var all sync.WaitGroup
		for range 300 {
			all.Go(func() {
				err := r.Do(t.Context(), func(context.Context) *Error {
					if time.Since(begun) < 20*time.Second {
						return &Error{Class: Throttled}
					}
					return nil
				})
				if err != nil {
					t.Errorf("do: %v", err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begun); took > 60*time.Second {
			t.Errorf("300 requests took %v over an outage of 20 s, want at most a minute", took)
		}
	})
}

func TestBackoffIsBoundedAndJittered(t *testing.T) {
	for _, c := range []struct {
		class Class
		most  time.Duration
	}{{Throttled, 5 * time.Second}, {Transient, 20 * time.Second}} {
		seen := map[time.Duration]bool{}
		for n := 1; n < MaxAttempts; n++ {
			for range 20 {
				d := backoff(c.class, n)
				seen[d] = true
				if d <= 0 || d > c.most+time.Millisecond {
					t.Errorf("backoff(%s, %d) = %v, want at most %v", c.class, n, d, c.most)
				}
			}
		}
		if len(seen) < 100 {
			t.Errorf("backoff(%s) gave %d different waits of 180, want jitter", c.class, len(seen))
		}
	}
}
