package upload

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cargoship.dev/operator/internal/s3/s3test"

	"cargoship.dev/operator/internal/s3"
)

const mebi = 1 << 20

// testBucket exists on the server of every rig.
const testBucket = "bucket"

// rig is an uploader before a real S3 server, with a proxy between that makes faults.
type rig struct {
	*Uploader
	options s3.Options
	server  *s3test.Server
	proxy   *s3test.Proxy
}

// newRig returns a rig with a window of 8 on the prefix "prefix". Its retries do not wait.
func newRig(t *testing.T, change func(*s3.Options)) *rig {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	server := s3test.Start(t)
	server.CreateBucket(t, testBucket)
	p := s3test.NewProxy(t, server.Endpoint)
	o := s3.Options{
		Bucket: testBucket, Region: server.Region, Endpoint: p.URL, PathStyle: true,
		CredentialsDir: server.CredentialsDir(t),
	}
	if change != nil {
		change(&o)
	}
	return &rig{Uploader: newUploader(t, o, 0), options: o, server: server, proxy: p}
}

func newUploader(t *testing.T, o s3.Options, memoryLimit int64) *Uploader {
	t.Helper()
	client := newClient(t, o)
	gate := NewGate()
	gate.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 8}})
	u := NewUploader(UploaderOptions{Client: client, Gate: gate, Meter: NewMeter(gate), MemoryLimit: memoryLimit})
	u.retrier.Sleep = noSleep
	return u
}

// newClient returns a client whose retries do not wait.
func newClient(t *testing.T, o s3.Options) *s3.Client {
	t.Helper()
	o.Retrier = s3.NewRetrier()
	o.Retrier.Sleep = noSleep
	client, err := s3.NewClient(t.Context(), o)
	if err != nil {
		t.Fatalf("NewClient: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

// checksumOf is the CRC64NVME of some bytes as a receipt has it.
func checksumOf(content []byte) string {
	return s3.ContentBody(s3.ChecksumCRC64NVME, content, s3.Section{}).Sum().Encode(s3.ChecksumCRC64NVME)
}

func noSleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// wantStored fails unless the object has this content.
func (r *rig) wantStored(t *testing.T, key string, want []byte) {
	t.Helper()
	r.server.WantObject(t, testBucket, key, want)
}

// wantNothing fails if the object or an open upload of it is there.
func (r *rig) wantNothing(t *testing.T, key string) {
	t.Helper()
	if _, err := os.Stat(r.server.Path(testBucket, key)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("object %q is there (stat: %v)", key, err)
	}
	r.wantNoUploads(t)
}

func (r *rig) wantNoUploads(t *testing.T) {
	t.Helper()
	r.proxy.Do(nil)
	uploads, err := r.client.OpenUploads(t.Context(), "")
	if err != nil || len(uploads) > 0 {
		t.Errorf("open uploads: %v, %v, want none", uploads, err)
	}
}

// wantError fails unless err is an *Error of this class and reason.
func wantError(t *testing.T, err error, class s3.Class, reason string) {
	t.Helper()
	_ = asError(t, err, class, reason)
}

// asError returns err, which must be an *Error of this class and reason.
func asError(t *testing.T, err error, class s3.Class, reason string) *s3.Error {
	t.Helper()
	var e *s3.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want an *Error", err)
	}
	if e.Class != class || e.Reason != reason {
		t.Errorf("error = %s %s (%v), want %s %s", e.Class, e.Reason, e, class, reason)
	}
	if text := e.Error(); strings.ContainsAny(text, "\n\r") || strings.Contains(text, "Signature=") {
		t.Errorf("error text is not one line without a signature: %q", text)
	}
	return e
}

// memoryFile is a source in memory.
type memoryFile struct {
	content []byte
	// change, if set, is asked by Unchanged, with the number of calls before.
	change func(call int) error

	calls  atomic.Int64
	closed atomic.Int64
}

func (f *memoryFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset >= int64(len(f.content)) {
		return 0, io.EOF
	}
	n := copy(p, f.content[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) Close() error { f.closed.Add(1); return nil }

func (f *memoryFile) Unchanged() error {
	if call := f.calls.Add(1) - 1; f.change != nil {
		return f.change(int(call))
	}
	return nil
}

func (f *memoryFile) file(key string) File {
	return File{
		Prefix: "prefix", Key: key, Size: int64(len(f.content)),
		Open: func() (SourceFile, error) { return f, nil },
	}
}

// newFile returns a file of pseudo-random bytes.
func newFile(size int) *memoryFile {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)}).Read(content)
	return &memoryFile{content: content}
}
