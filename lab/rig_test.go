package lab

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// rig is a lab that serves until the test ends, and a client without retries.
type rig struct {
	*Lab
	url    string
	client *http.Client
}

func start(tb testing.TB, backend http.Handler, plan Plan) *rig {
	tb.Helper()
	tb.Cleanup(func() { goleak.VerifyNone(tb, goleak.IgnoreCurrent()) })
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64, ExpectContinueTimeout: 5 * time.Second}
	r := &rig{Lab: New(Options{Backend: backend, Plan: plan}), url: "http://" + on.Addr().String(), client: &http.Client{Transport: transport}}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- r.Serve(ctx, on, nil) }()
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-served; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	return r
}

// do sends a request and returns status and body of the answer.
func (r *rig) do(method, path string, body []byte, headers ...string) (int, http.Header, string, error) {
	request, err := http.NewRequest(method, r.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := r.client.Do(request)
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close() //nolint:errcheck // It was read.
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(text), err
}

func (r *rig) put(key string, size int, headers ...string) (int, error) {
	status, _, _, err := r.do(http.MethodPut, "/bucket/"+key, make([]byte, size), headers...)
	return status, err
}

func (r *rig) wantPut(t *testing.T, key string, want int, headers ...string) {
	t.Helper()
	if status, err := r.put(key, 10, headers...); err != nil || status != want {
		t.Errorf("PUT %s: status %d, error %v, want %d", key, status, err, want)
	}
}

func mustProxy(tb testing.TB, endpoint string) http.Handler {
	tb.Helper()
	request, err := http.NewRequest(http.MethodGet, endpoint, nil)
	if err != nil {
		tb.Fatal(err)
	}
	transport := NewTransport()
	tb.Cleanup(transport.CloseIdleConnections)
	return NewProxy(request.URL, transport)
}
