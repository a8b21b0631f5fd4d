package upload

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"cargoship.dev/operator/internal/s3"
)

// Reading returns what s3.Options.Around asks for: requests under a context of OnPrefix pass
// the gate, hold their place in the window until their answer is read, and are counted by the
// meter, each attempt by itself. Other requests pass as they are.
func Reading(gate *Gate, meter *Meter) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper { return &readingTransport{next, gate, meter} }
}

type prefixKey struct{}

// OnPrefix returns a context under which requests are charged to a prefix.
func OnPrefix(ctx context.Context, prefix string) context.Context {
	return context.WithValue(ctx, prefixKey{}, prefix)
}

type readingTransport struct {
	next  http.RoundTripper
	gate  *Gate
	meter *Meter
}

// RoundTrip implements http.RoundTripper.
func (t *readingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	prefix, charged := request.Context().Value(prefixKey{}).(string)
	if !charged {
		return t.next.RoundTrip(request)
	}
	release, grant, err := t.gate.Acquire(request.Context(), prefix)
	if err != nil {
		return nil, err
	}
	m := t.meter.begin(prefix, grant)
	response, err := t.next.RoundTrip(request)
	switch {
	case err != nil:
		m.refused(s3.Transient)
		release()
		return nil, err
	case response.StatusCode == http.StatusServiceUnavailable, response.StatusCode == http.StatusTooManyRequests:
		t.gate.Throttled(prefix)
		m.refused(s3.Throttled)
		release()
	case response.StatusCode >= http.StatusInternalServerError:
		m.refused(s3.Transient)
		release()
	default:
		t.gate.Accepted(prefix)
		response.Body = &readingBody{ReadCloser: response.Body, end: sync.OnceFunc(release), m: m.answered()}
	}
	return response, nil
}

// readingBody is an answer that is being read.
type readingBody struct {
	io.ReadCloser
	m     answer
	bytes int64
	ended sync.Once
	end   func()
}

// Read implements io.Reader.
func (b *readingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	if err != nil {
		b.done(errors.Is(err, io.EOF))
	}
	return n, err
}

// Close implements io.Closer.
func (b *readingBody) Close() error {
	err := b.ReadCloser.Close()
	b.done(true)
	return err
}

func (b *readingBody) done(whole bool) {
	b.ended.Do(func() {
		if whole {
			b.m.read(b.bytes)
		} else {
			b.m.refused(s3.Transient)
		}
		b.end()
	})
}
