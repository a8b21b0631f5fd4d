package s3

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A server that refuses a request while its body is on the way answers and cuts the
// connection. The answer must be heard.
func TestTransportHearsTheAnswerToARequestCutShort(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	transport := newTransport(nil, answerTimeout)
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return stallConn{&cutConn{cut: make(chan struct{})}}, nil
	}
	defer transport.CloseIdleConnections()
	body := bytes.NewReader(make([]byte, mebi))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://host/key", io.NopCloser(body))
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = mebi
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatalf("RoundTrip: %v, want the answer", err)
	}
	defer response.Body.Close() //nolint:errcheck // It has none.
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", response.StatusCode)
	}
}

func TestTransportCutsOffAnAnswerThatStalls(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, "some ")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(120 * time.Millisecond)
		}
		<-r.Context().Done()
	}))
	defer server.Close()
	transport := newTransport(nil, answerTimeout)
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: timedTransport{transport, 300 * time.Millisecond, new(serverClock)}}
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	body, err := io.ReadAll(response.Body)
	if string(body) != "some some some " {
		t.Errorf("body = %q, want all that came, slowly as it was", body)
	}
	wantError(t, Classify("get object", "key", err), Transient, ReasonTimeout)
	if err := response.Body.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// cutConn takes the first bytes, refuses the rest, and lets the answer be read a little later.
type cutConn struct {
	writes, reads atomic.Int64
	cut           chan struct{}
}

func (c *cutConn) Write(p []byte) (int, error) {
	switch c.writes.Add(1) {
	case 1:
		return len(p), nil
	case 2:
		close(c.cut)
	}
	return 0, syscall.ECONNRESET
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.reads.Add(1) > 1 {
		return 0, io.EOF
	}
	<-c.cut
	time.Sleep(answerGrace / 10)
	return strings.NewReader("HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").Read(p)
}

func (c *cutConn) Close() error                     { return nil }
func (c *cutConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *cutConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *cutConn) SetDeadline(time.Time) error      { return nil }
func (c *cutConn) SetReadDeadline(time.Time) error  { return nil }
func (c *cutConn) SetWriteDeadline(time.Time) error { return nil }
