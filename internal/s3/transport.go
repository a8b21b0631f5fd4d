package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync/atomic"
	"time"
)

const (
	// dialTimeout covers the loss of a datagram or two: the resolver asks again after 5 s, and TCP after 1, 3 and 7 s.
	dialTimeout      = 15 * time.Second
	handshakeTimeout = 10 * time.Second
	// answerTimeout runs from the last byte of a request to the headers of the answer.
	answerTimeout = 60 * time.Second
	// completeTimeout is its place for the completion of a multipart upload, which
	// copies the object on some servers.
	completeTimeout = 15 * time.Minute
	// stallTimeout bounds each write to a connection, and each wait for more of an answer.
	stallTimeout = 60 * time.Second
	// maxIdle is how many idle connections are kept: as many as a large window needs.
	maxIdle = 1024
	// socketBuffer is how much of a request, in bytes, is gathered before it is handed to
	// the kernel: a small file with its headers.
	socketBuffer = 32 << 10
)

// newTransport returns a transport for HTTP/1.1, in which every request in flight
// has a connection of its own, as windows are counted. It takes a proxy from the
// environment and nothing else.
func newTransport(roots *x509.CertPool, answer time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	proxies := newProxies()
	return &http.Transport{
		Proxy:                  proxies.of,
		OnProxyConnectResponse: proxies.connected,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, proxies.dialed(address, err)
			}
			return stallConn{conn}, nil
		},
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   handshakeTimeout,
		ResponseHeaderTimeout: answer,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConns:          maxIdle,
		MaxIdleConnsPerHost:   maxIdle,
		WriteBufferSize:       socketBuffer,
		DisableCompression:    true,
		Protocols:             protocols,
	}
}

// trustedRoots returns the certificates of the PEM bundle, or nil, which stands for the
// system's, without a bundle.
func trustedRoots(caFile string) (*x509.CertPool, error) {
	if caFile == "" {
		return nil, nil
	}
	bundle, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	return parseRoots(caFile, bundle)
}

// parseRoots reads a bundle of certificates, whose name is for errors.
func parseRoots(name string, bundle []byte) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", name)
	}
	return roots, nil
}

// stallConn is a connection whose writes fail when the peer takes nothing for
// stallTimeout, and that tells of a failed write only after answerGrace.
type stallConn struct{ net.Conn }

// answerGrace is how long the answer to a request may take to be read once a write of
// the request has failed. A server that rejects a request answers, and closes the
// connection while the body is still on its way. The HTTP client returns whichever it
// learns first, and a 503 must not be mistaken for a lost connection.
const answerGrace = 50 * time.Millisecond

// Write implements net.Conn.
func (c stallConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	c.awaitAnswer(err)
	return n, err
}

// awaitAnswer gives the answer to a request time to be read once a write of it has failed.
func (stallConn) awaitAnswer(err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		time.Sleep(answerGrace)
	}
}

// ReadFrom implements io.ReaderFrom, which the transport uses for what follows the first
// bytes of a body. The kernel sends what it can, and the rest is written in pieces as large as
// they come.
func (c stallConn) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	body, ok := limited.R.(*bodyReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	sent, err := c.sendFile(body)
	if err == nil {
		var n int64
		n, err = body.WriteTo(c)
		sent += n
	}
	limited.N -= sent
	return sent, err
}

// Timing measures how long the server took to answer one request.
type Timing struct {
	// wrote and answered are nanoseconds since begun; 0 until it happened. They are
	// set by goroutines of the transport.
	begun           time.Time
	wrote, answered atomic.Int64
}

type timingKey struct{}

// WithTiming returns a context under which one request is measured.
func WithTiming(ctx context.Context) (context.Context, *Timing) {
	t := &Timing{begun: time.Now()}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				t.wrote.Store(int64(time.Since(t.begun)))
			}
		},
	})
	return context.WithValue(ctx, timingKey{}, t), t
}

// Service is the time from the last byte of the request to the headers of the
// answer, or 0 when it was not seen.
func (t *Timing) Service() time.Duration {
	wrote, answered := t.wrote.Load(), t.answered.Load()
	if wrote == 0 || answered < wrote {
		return 0
	}
	return time.Duration(answered - wrote)
}

// timedTransport notes when the answer came, and cuts off an answer that stalls. The
// trace's GotFirstResponseByte would fire at "100 Continue" already, before the body is sent.
type timedTransport struct {
	http.RoundTripper
	// stall bounds each wait for more of an answer whose headers have come.
	stall time.Duration
	clock *serverClock
}

// RoundTrip implements http.RoundTripper.
func (t timedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	r = r.WithContext(ctx)
	// The SDK asks for "100 Continue" above 2 MiB but names no protocol version, and
	// without one the transport does not wait for it. A request that is throttled
	// shall not cost the bandwidth of its body.
	r.ProtoMajor, r.ProtoMinor = 1, 1
	response, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	t.clock.compare(response)
	if measured, ok := ctx.Value(timingKey{}).(*Timing); ok {
		measured.answered.Store(int64(time.Since(measured.begun)))
	}
	if response.ContentLength == 0 {
		response.Body = &answerBody{ReadCloser: response.Body, cancel: cancel}
		return response, nil
	}
	timer := time.AfterFunc(t.stall, func() { cancel(os.ErrDeadlineExceeded) })
	response.Body = &answerBody{ReadCloser: response.Body, timer: timer, stall: t.stall, cancel: cancel}
	return response, nil
}

// answerBody is the body of an answer, which is canceled when it stalls.
type answerBody struct {
	io.ReadCloser
	// timer is nil for an empty body.
	timer  *time.Timer
	stall  time.Duration
	cancel context.CancelCauseFunc
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	if b.timer != nil {
		b.timer.Reset(b.stall)
	}
	return b.ReadCloser.Read(p)
}

// Close implements io.Closer.
func (b *answerBody) Close() error {
	if b.timer != nil {
		b.timer.Stop()
	}
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}
