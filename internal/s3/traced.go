package s3

import (
	"context"
	"errors"
	"io"
	"net/http"

	"cargoship.dev/operator/internal/tracing"
)

// tracedTransport has a span for each request, until its answer is read. A span holds neither
// key nor query, in which there may be a signature.
type tracedTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t tracedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, span := tracing.BeginRequest(r.Context(), "request")
	if !span.Recording() {
		span.End()
		return t.RoundTripper.RoundTrip(r)
	}
	span.Text("http.request.method", r.Method)
	span.Text("server.address", r.URL.Hostname())
	span.Number("http.request.body.size", max(0, r.ContentLength))
	if n := resends(ctx); n > 0 {
		span.Number("http.request.resend_count", n)
	}
	response, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		// The error's own text may hold the URL.
		span.Fail(failure(ctx, err))
		span.End()
		return nil, err
	}
	span.Number("http.response.status_code", int64(response.StatusCode))
	if response.StatusCode >= http.StatusBadRequest {
		span.Fail("")
	}
	response.Body = &tracedBody{ReadCloser: response.Body, span: span}
	return response, nil
}

// resendsKey is the key of a context's value: how often its request was sent before.
type resendsKey struct{}

// resent returns the context of a request that was sent some times before.
func resent(ctx context.Context, times int) context.Context {
	if times == 0 {
		return ctx
	}
	return context.WithValue(ctx, resendsKey{}, int64(times))
}

func resends(ctx context.Context) int64 {
	times, _ := ctx.Value(resendsKey{}).(int64)
	return times
}

// failure is one word on why a request got no answer.
func failure(ctx context.Context, err error) string {
	var timed interface{ Timeout() bool }
	switch {
	case ctx.Err() != nil, errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &timed) && timed.Timeout():
		return "timeout"
	default:
		return "connection"
	}
}

// tracedBody is an answer that is being read; its span ends when it is closed.
type tracedBody struct {
	io.ReadCloser
	span  tracing.Span
	bytes int64
}

// Read implements io.Reader.
func (b *tracedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	return n, err
}

// Close implements io.Closer.
func (b *tracedBody) Close() error {
	err := b.ReadCloser.Close()
	b.span.Number("http.response.body.size", b.bytes)
	b.span.End()
	return err
}
