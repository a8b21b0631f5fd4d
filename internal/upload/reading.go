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
		t.gate.owe()
		return t.next.RoundTrip(request)
	}
	a, err := t.gate.admit(request.Context(), prefix)
	if err != nil {
		return nil, err
	}
	release := a.release
	m := t.meter.begin(prefix, a.from)
	response, err := t.next.RoundTrip(request)
	switch {
	case err != nil:
		m.failed(s3.Transient)
		release()
		return nil, err
	case response.StatusCode == http.StatusServiceUnavailable, response.StatusCode == http.StatusTooManyRequests:
		t.gate.Throttled(prefix)
		m.failed(s3.Throttled)
		release()
	case response.StatusCode >= http.StatusInternalServerError:
		m.failed(s3.Transient)
		release()
	default:
		t.gate.Accepted(prefix)
		a.charge(max(0, response.ContentLength))
		response.Body = &readingBody{ReadCloser: response.Body, end: sync.OnceFunc(release), m: m.answered(), pass: func(most int) int {
			return t.gate.Pass(request.Context(), most)
		}}
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
	// pass waits until some of the next bytes may pass, and returns how many, 0 for never.
	pass func(most int) int
}

// Read implements io.Reader.
func (b *readingBody) Read(p []byte) (int, error) {
	if len(p) > 0 {
		// At 0 the request has ended, as the reader then tells.
		p = p[:max(1, b.pass(len(p)))]
	}
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
			b.m.failed(s3.Transient)
		}
		b.end()
	})
}
