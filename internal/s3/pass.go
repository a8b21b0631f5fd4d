package s3

import (
	"context"
	"io"
	"net/http"
)

// passing has the bodies of requests pass no faster than Options.Pass has it.
func (o Options) passing(t http.RoundTripper) http.RoundTripper {
	if o.Pass == nil {
		return t
	}
	return passingTransport{t, o.Pass}
}

type passingTransport struct {
	http.RoundTripper
	pass func(ctx context.Context, most int) int
}

// RoundTrip implements http.RoundTripper.
func (t passingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	pass := func(most int) int { return t.pass(ctx, most) }
	switch body := r.Body.(type) {
	case nil:
	case *bodyReader:
		body.pass = pass
	default:
		if body != http.NoBody {
			r = r.WithContext(ctx) // A shallow copy: the request is the caller's.
			r.Body = passingBody{body, pass}
		}
	}
	return t.RoundTripper.RoundTrip(r)
}

// passingBody is a body that the SDK has made.
type passingBody struct {
	io.ReadCloser
	pass func(most int) int
}

// Read implements io.Reader.
func (b passingBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := b.pass(len(p))
	if n == 0 {
		return 0, context.Canceled
	}
	return b.ReadCloser.Read(p[:n])
}
