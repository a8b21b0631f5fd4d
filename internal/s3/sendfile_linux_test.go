package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// lentFile is a file that only the kernel can read.
type lentFile struct {
	*os.File
	lent atomic.Int64
}

var errReadAt = errors.New("read by the process")

func (f *lentFile) ReadAt([]byte, int64) (int, error) { return 0, errReadAt }

func (f *lentFile) Lend() (*os.File, func()) {
	f.lent.Add(1)
	return f.File, func() { f.lent.Add(-1) }
}

// lend makes a file of so many random bytes.
func lend(t *testing.T, size int) (f *lentFile, content []byte) {
	t.Helper()
	content = make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return &lentFile{File: file}, content
}

// send puts part of a file, of which pass lets so much pass at a time, and returns its error.
func send(t *testing.T, url string, f *lentFile, offset, length int64, pass func(int) int) (*http.Response, error) {
	t.Helper()
	transport := newTransport(nil, answerTimeout)
	defer transport.CloseIdleConnections()
	body := newBody(Section{Source: f, Offset: offset, Length: length, Key: "key", Buffers: new(Buffers)})
	defer body.Free()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	reader := body.open()
	reader.pass = pass
	request.Body, request.ContentLength = reader, length
	t.Cleanup(func() {
		// An answer may come while the body is still being sent.
		for end := time.Now().Add(10 * time.Second); f.lent.Load() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the file was not given back")
			}
		}
	})
	return transport.RoundTrip(request)
}

func TestTheKernelSendsFiles(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	f, content := lend(t, 5<<20+123)
	var got atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		digest := sha256.New()
		_, _ = io.Copy(digest, r.Body)
		got.Store(digest.Sum(nil))
	}))
	defer server.Close()
	passes := 0
	for name, pass := range map[string]func(int) int{
		"unbounded": nil,
		"bounded": func(most int) int {
			n := min(most, 70_001)
			passes += n
			return n
		},
	} {
		const offset, length = 4097, 4<<20 + 999
		response, err := send(t, server.URL, f, offset, length, pass)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = response.Body.Close()
		want := sha256.Sum256(content[offset : offset+length])
		if !bytes.Equal(got.Load().([]byte), want[:]) {
			t.Errorf("%s: the server has got something else", name)
		}
		if pass != nil && passes != length {
			t.Errorf("%s: %d bytes were let pass, want %d", name, passes, length)
		}
	}
}

// What the kernel cannot send is read, which tells why.
func TestAFileThatHasShrunkIsReadToItsEnd(t *testing.T) {
	f, _ := lend(t, 1<<20)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer server.Close()
	response, err := send(t, server.URL, f, 0, 2<<20, nil)
	if err == nil {
		_ = response.Body.Close()
	}
	if !errors.Is(err, errReadAt) {
		t.Errorf("err = %v, want that of ReadAt", err)
	}
}

// A server that rejects a body while the kernel sends it is heard.
func TestTheKernelHearsARejection(t *testing.T) {
	f, _ := lend(t, 64<<20)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // Nothing is written.
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, conn, 1<<20)
		_, _ = io.WriteString(conn, "HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		time.Sleep(answerGrace / 2)
		_ = conn.Close()
	}()
	response, err := send(t, "http://"+listener.Addr().String(), f, 0, 64<<20, nil)
	if err != nil {
		t.Fatalf("RoundTrip: %v, want the answer", err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", response.StatusCode)
	}
}

// A request that may send no more ends at once.
func TestTheKernelStopsWhenNothingMayPass(t *testing.T) {
	f, _ := lend(t, 1<<20)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer server.Close()
	response, err := send(t, server.URL, f, 0, 1<<20, func(int) int { return 0 })
	if err == nil {
		_ = response.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want that the request was canceled", err)
	}
}
