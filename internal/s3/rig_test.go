package s3

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cargoship.dev/operator/internal/s3/s3test"
)

const mebi = 1 << 20

// testBucket exists on the server of every rig.
const testBucket = "bucket"

// rig is a client before a real S3 server, with a proxy between that makes faults.
type rig struct {
	*Client
	server *s3test.Server
	proxy  *s3test.Proxy
}

// newRig returns a rig whose retries do not wait.
func newRig(t *testing.T) *rig {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	server := s3test.Start(t)
	server.CreateBucket(t, testBucket)
	p := s3test.NewProxy(t, server.Endpoint)
	return &rig{server: server, proxy: p, Client: newClient(t, Options{
		Bucket: testBucket, Region: server.Region, Endpoint: p.URL, PathStyle: true, CredentialsDir: server.CredentialsDir(t),
	})}
}

// newClient returns a client whose retries do not wait.
func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	o.Retrier = NewRetrier()
	o.Retrier.Sleep = noSleep
	client, err := NewClient(t.Context(), o)
	if err != nil {
		t.Fatalf("NewClient: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

func noSleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// wantStored fails unless the object has this content.
func (r *rig) wantStored(t *testing.T, key string, want []byte) {
	t.Helper()
	r.server.WantObject(t, testBucket, key, want)
}

// wantError fails unless err is an *Error of this class and reason.
func wantError(t *testing.T, err error, class Class, reason string) {
	t.Helper()
	_ = asError(t, err, class, reason)
}

// asAny returns err, which must be an *Error.
func asAny(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want an *Error", err)
	}
	return e
}

// asError returns err, which must be an *Error of this class and reason.
func asError(t *testing.T, err error, class Class, reason string) *Error {
	t.Helper()
	e := asAny(t, err)
	if e.Class != class || e.Reason != reason {
		t.Errorf("error = %s %s (%v), want %s %s", e.Class, e.Reason, e, class, reason)
	}
	if text := e.Error(); strings.ContainsAny(text, "\n\r") || strings.Contains(text, "Signature=") {
		t.Errorf("error text is not one line without a signature: %q", text)
	}
	return e
}
