package s3

import (
	"io"
	"net/http"
	"testing"
	"time"
)

// serverAhead answers as a server whose clock is ahead, and that tells its time only if it may.
func serverAhead(ahead time.Duration, tells bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(ahead)
		w.Header()["Date"] = nil
		if tells {
			w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		}
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err == nil && now.Sub(signed).Abs() < 15*time.Minute {
			takeIn(w, r)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>RequestTimeTooSkewed</Code></Error>")
	}
}

func TestRequestsAreSignedByTheServersClock(t *testing.T) {
	for _, ahead := range []time.Duration{20 * time.Minute, -3 * time.Hour} {
		client := clientOf(t, testBucket, serverAhead(ahead, true))
		client.retrier.Sleep = noSleep
		if err := client.Put(t.Context(), "key", []byte("content")); err != nil {
			t.Errorf("Put where the clock is %v ahead: %v", ahead, err)
		}
		if err := client.Probe(t.Context()); err != nil {
			t.Errorf("Probe where the clock is %v ahead: %v", ahead, err)
		}
	}
	client := clientOf(t, testBucket, serverAhead(time.Hour, false))
	client.retrier.Sleep = noSleep
	wantError(t, client.Put(t.Context(), "key", nil), Configuration, ReasonClockSkewed)
}
