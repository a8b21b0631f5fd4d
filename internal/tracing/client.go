package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// maxAttempts is how often one batch is sent.
	maxAttempts = 4
	// firstPause follows the first attempt if the collector names no time; it doubles.
	firstPause = 500 * time.Millisecond
	// complaintInterval is the least time between complaints in the log.
	complaintInterval = time.Minute
	// maxAnswer is how much of an answer is read, in bytes.
	maxAnswer = 64 << 10
)

// client posts batches of spans to a collector, as OTLP over HTTP. It implements
// otlptrace.Client.
type client struct {
	settings
	http   *http.Client
	logger *slog.Logger
	// ended ends with the program's wish to wait.
	ended context.Context
	end   context.CancelFunc

	mu         sync.Mutex
	complained time.Time
}

func newClient(s settings, logger *slog.Logger) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	c := &client{settings: s, logger: logger, http: &http.Client{
		Transport: transport,
		// A redirect would take the headers elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.ended, c.end = context.WithCancel(context.Background())
	context.AfterFunc(c.ended, transport.CloseIdleConnections)
	return c
}

// Start implements otlptrace.Client.
func (*client) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *client) Stop(context.Context) error {
	c.end()
	return nil
}

// UploadTraces implements otlptrace.Client. What the collector does not take is lost, and
// the log says so once in a while.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// On the wire it is the same as a request to export.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		defer context.AfterFunc(c.ended, cancel)()
		err = c.send(ctx, body)
	}
	if err != nil {
		c.complain(err)
	}
	return nil
}

// send posts a batch, and again if the collector asks for it.
func (c *client) send(ctx context.Context, body []byte) error {
	for n := 1; ; n++ {
		pause, err := c.post(ctx, body)
		if err == nil || pause < 0 || n == maxAttempts {
			return err
		}
		timer := time.NewTimer(max(pause, firstPause<<(n-1)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// post makes one attempt. pause is how long the collector wants it to be before the next, -1
// if another would not help.
func (c *client) post(ctx context.Context, body []byte) (pause time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return -1, err
	}
	request.Header = c.header.Clone()
	request.Header.Set("Content-Type", "application/x-protobuf")
	answer, err := c.http.Do(request)
	if err != nil {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err // without the URL, which may hold a token
		}
		return 0, err
	}
	defer answer.Body.Close() //nolint:errcheck // All that matters has been read by then.
	// A connection is used again only if its answer was read.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	switch answer.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return 0, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return retryAfter(answer.Header.Get("Retry-After")), fmt.Errorf("the collector answers %s", answer.Status)
	default:
		return -1, fmt.Errorf("the collector answers %s", answer.Status)
	}
}

// retryAfter reads a number of seconds or a date.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// complain logs that spans are lost, unless it did a moment ago.
func (c *client) complain(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.complained) >= complaintInterval {
		c.complained = now
		c.logger.Warn("traces not sent", "error", err.Error())
	}
}
