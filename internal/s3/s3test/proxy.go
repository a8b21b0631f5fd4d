package s3test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// Fault answers a request itself and returns true, or leaves it to the server.
type Fault func(w http.ResponseWriter, r *http.Request) bool

// Proxy passes requests on, but for those that a fault answers.
type Proxy struct {
	*httptest.Server
	// Backend passes requests on.
	Backend *httputil.ReverseProxy
	fault   atomic.Pointer[Fault]

	mu       sync.Mutex
	seen     []*http.Request
	inFlight int
	most     int
}

// NewProxy returns a proxy before a server at a URL, which ends with the test.
func NewProxy(t *testing.T, backend string) *Proxy {
	t.Helper()
	target, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	p := &Proxy{Backend: &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			// The signature covers the name that the client knows.
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(func() { p.Server.CloseClientConnections(); p.Server.Close(); transport.CloseIdleConnections() })
	return p
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	p.Backend.ServeHTTP(w, r)
}

// Requests counts those seen that are of a kind.
func (p *Proxy) Requests(kind func(*http.Request) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.seen {
		if kind(r) {
			n++
		}
	}
	return n
}

// Seen is how many requests there were.
func (p *Proxy) Seen() int { return p.Requests(Every) }

// Most is how many requests were in flight at once.
func (p *Proxy) Most() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

// Do has a fault asked before every request; nil for none.
func (p *Proxy) Do(f Fault) {
	if f == nil {
		p.fault.Store(nil)
		return
	}
	p.fault.Store(&f)
}

// Times makes a fault of the first n requests of a kind.
func (p *Proxy) Times(n int64, kind func(*http.Request) bool, f Fault) {
	var done atomic.Int64
	p.Do(func(w http.ResponseWriter, r *http.Request) bool {
		return kind(r) && done.Add(1) <= n && f(w, r)
	})
}

// Always is more often than any request is sent.
const Always = 1 << 40

// IsPut reports whether a request puts an object, whole.
func IsPut(r *http.Request) bool {
	return r.Method == http.MethodPut && !r.URL.Query().Has("partNumber")
}

// IsPart reports whether a request puts a part of an object.
func IsPart(r *http.Request) bool {
	return r.Method == http.MethodPut && r.URL.Query().Has("partNumber")
}

// IsCreate reports whether a request opens an upload.
func IsCreate(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploads")
}

// IsComplete reports whether a request makes an object of an upload.
func IsComplete(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

// IsAbort reports whether a request aborts an upload.
func IsAbort(r *http.Request) bool { return r.Method == http.MethodDelete }

// IsGet reports whether a request reads.
func IsGet(r *http.Request) bool { return r.Method == http.MethodGet }

// Every chooses all requests.
func Every(*http.Request) bool { return true }

// PartsSince returns the numbers of the parts that were sent after the first n requests.
func (p *Proxy) PartsSince(n int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var numbers []string
	for _, r := range p.seen[n:] {
		if IsPart(r) {
			numbers = append(numbers, r.URL.Query().Get("partNumber"))
		}
	}
	slices.Sort(numbers)
	return numbers
}
