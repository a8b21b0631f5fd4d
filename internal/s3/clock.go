package s3

import (
	"net/http"
	"sync/atomic"
	"time"
)

// serverClock is this machine's clock as long as the server takes its signatures, and
// the server's from when it does not. It is safe for concurrent use; the zero value is ready.
type serverClock struct {
	// ahead is by how much the server's clock is ahead of this machine's.
	ahead atomic.Int64
}

// ClockTolerance is how far clocks may differ without being corrected. Servers take
// signatures of a quarter of an hour.
const ClockTolerance = time.Minute

func (c *serverClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// corrected reports whether the server's clock has been taken over.
func (c *serverClock) corrected() bool { return c.ahead.Load() != 0 }

// compare takes over the server's clock from an answer that rejects a request for its
// signature, if that may be for the time in it.
func (c *serverClock) compare(answer *http.Response) {
	if answer.StatusCode != http.StatusForbidden {
		return
	}
	told, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return
	}
	if told.Sub(c.now()).Abs() > ClockTolerance {
		c.ahead.Store(int64(time.Until(told)))
	}
}
