package transfer

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cargoship.dev/operator/internal/transfer/s3test"
)

const mebi = 1 << 20

// testBucket exists on the server of every rig.
const testBucket = "bucket"

// rig is an uploader before a real S3 server, with a proxy between that makes faults.
type rig struct {
	*Uploader
	server *s3test.Server
	proxy  *proxy
}

// newRig returns a rig with a window of 8 on the prefix "lane". Its retries do not wait.
func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	server := s3test.Start(t)
	server.CreateBucket(t, testBucket)
	p := newProxy(t, server.Endpoint)
	o := Options{
		Bucket: testBucket, Region: server.Region, Endpoint: p.server.URL, PathStyle: true,
		CredentialsDir: server.CredentialsDir(t),
	}
	if change != nil {
		change(&o)
	}
	return &rig{Uploader: newUploader(t, o, 0), server: server, proxy: p}
}

func newUploader(t *testing.T, o Options, memoryLimit int64) *Uploader {
	t.Helper()
	client, err := NewClient(t.Context(), o)
	if err != nil {
		t.Fatalf("NewClient: %v", err)
	}
	t.Cleanup(client.Close)
	gate := NewGate()
	gate.Set([]Limit{{Prefix: "lane", Window: 8}})
	u := NewUploader(UploaderOptions{Client: client, Gate: gate, Meter: NewMeter(gate), MemoryLimit: memoryLimit})
	u.retrier.sleep, client.retrier.sleep = noSleep, noSleep
	return u
}

func noSleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// wantStored fails unless the object stands with this content.
func (r *rig) wantStored(t *testing.T, key string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(r.server.Path(testBucket, key))
	if err != nil {
		t.Errorf("object %q: %v", key, err)
	} else if string(got) != string(want) {
		t.Errorf("object %q differs from the file: %d bytes, want %d", key, len(got), len(want))
	}
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
	r.proxy.fault.Store(nil)
	uploads, err := r.client.OpenUploads(t.Context(), "")
	if err != nil || len(uploads) > 0 {
		t.Errorf("open uploads: %v, %v, want none", uploads, err)
	}
}

// wantError fails unless err is an *Error of this class and reason.
func wantError(t *testing.T, err error, class Class, reason string) {
	t.Helper()
	_ = asError(t, err, class, reason)
}

// asError returns err, which must be an *Error of this class and reason.
func asError(t *testing.T, err error, class Class, reason string) *Error {
	t.Helper()
	var e *Error
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

// fault answers a request itself and returns true, or leaves it to the server.
type fault func(w http.ResponseWriter, r *http.Request) bool

// proxy passes requests on, but for those that a fault answers.
type proxy struct {
	server  *httptest.Server
	backend *httputil.ReverseProxy
	fault   atomic.Pointer[fault]

	mu       sync.Mutex
	seen     []*http.Request
	inFlight int
	most     int
}

func newProxy(t *testing.T, backend string) *proxy {
	t.Helper()
	target, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	p := &proxy{backend: &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			// The signature covers the name that the client knows.
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
	p.server = httptest.NewServer(p)
	t.Cleanup(func() { p.server.CloseClientConnections(); p.server.Close(); transport.CloseIdleConnections() })
	return p
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r.Clone(context.Background()))
	p.inFlight++
	p.most = max(p.most, p.inFlight)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.inFlight--
	}()
	if f := p.fault.Load(); f != nil && (*f)(w, r) {
		return
	}
	p.backend.ServeHTTP(w, r)
}

// requests counts those seen that are of a kind.
func (p *proxy) requests(kind func(*http.Request) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.seen {
		if kind(r) {
			n++
		}
	}
	return n
}

// times makes a fault of the first n requests of a kind.
func (p *proxy) times(n int64, kind func(*http.Request) bool, f fault) {
	var done atomic.Int64
	limited := fault(func(w http.ResponseWriter, r *http.Request) bool {
		return kind(r) && done.Add(1) <= n && f(w, r)
	})
	p.fault.Store(&limited)
}

const always = 1 << 40

func isPut(r *http.Request) bool {
	return r.Method == http.MethodPut && !r.URL.Query().Has("partNumber")
}
func isPart(r *http.Request) bool {
	return r.Method == http.MethodPut && r.URL.Query().Has("partNumber")
}
func isCreate(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploads")
}
func isComplete(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}
func isAbort(r *http.Request) bool { return r.Method == http.MethodDelete }
func isGet(r *http.Request) bool   { return r.Method == http.MethodGet }

// refuse answers with an S3 error.
func refuse(status int, code string) fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>made up\nfor the test</Message></Error>")
		return true
	}
}

// reset cuts the connection without an answer.
func reset(w http.ResponseWriter, _ *http.Request) bool {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	return true
}

// hang waits until the client has gone, which a server only notices while it reads or
// once it has read all.
func hang(r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
	return true
}

// lose lets the server do the request and cuts the connection instead of answering.
func (p *proxy) lose(w http.ResponseWriter, r *http.Request) bool {
	p.backend.ServeHTTP(httptest.NewRecorder(), r)
	return reset(w, r)
}

// damage flips a bit of the request's body on its way.
func damage(_ http.ResponseWriter, r *http.Request) bool {
	r.Body = &damaged{ReadCloser: r.Body}
	return false
}

type damaged struct {
	io.ReadCloser
	done bool
}

func (d *damaged) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if n > 0 && !d.done {
		p[0] ^= 1
		d.done = true
	}
	return n, err
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
		Prefix: "lane", Key: key, Size: int64(len(f.content)),
		Open: func() (SourceFile, error) { return f, nil },
	}
}

// newFile returns a file of pseudo-random bytes.
func newFile(size int) *memoryFile {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)}).Read(content)
	return &memoryFile{content: content}
}
