// Package s3test starts a real S3 server, versitygw, for tests, and a proxy before it that
// makes faults.
package s3test

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/loopback"
	"cargoship.dev/operator/test/kit/process"
)

// EnvServer names the versitygw program to run. Without it, the one of the local
// control plane is found or built.
const EnvServer = "VERSITYGW"

const (
	region    = "us-east-1"
	healthURL = "/healthz"
	startTime = 30 * time.Second
)

// Server is a running versitygw on the loopback interface. Its buckets are
// directories, its objects files with extended attributes.
type Server struct {
	// Endpoint is a URL without a path, such as http://127.0.0.1:41234.
	Endpoint  string
	AccessKey string
	SecretKey string
	Region    string

	program, address, dir string
	arguments             []string
	log                   lockedBuffer
	child                 *process.Process
}

// Start starts a server without buckets that speaks plain HTTP, and stops it when the
// test ends.
func Start(tb testing.TB) *Server { return start(tb, "http") }

// StartTLS starts a server that presents the certificate and key in the given PEM files.
func StartTLS(tb testing.TB, certFile, keyFile string) *Server {
	return start(tb, "https", "--cert", certFile, "--key", keyFile)
}

func start(tb testing.TB, scheme string, arguments ...string) *Server {
	tb.Helper()
	address, release, err := loopback.Reserve()
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{
		Endpoint: scheme + "://" + address, AccessKey: "test" + rand.Text()[:12], SecretKey: rand.Text(), Region: region,
		program: program(tb), address: address, dir: tb.TempDir(), arguments: arguments,
	}
	tb.Cleanup(func() {
		s.Stop()
		release()
		if tb.Failed() {
			tb.Logf("versitygw said: %s", s.log.tail())
		}
	})
	s.Restart(tb)
	return s
}

// CreateBucket creates a bucket.
func (s *Server) CreateBucket(tb testing.TB, name string) {
	tb.Helper()
	if err := os.Mkdir(filepath.Join(s.dir, name), 0o755); err != nil {
		tb.Fatalf("create bucket: %v", err)
	}
}

// Path is where the object of a key stands as a file, if it is there.
func (s *Server) Path(bucket, key string) string { return filepath.Join(s.dir, bucket, key) }

// WantObject fails the test unless the object of a key has this content.
func (s *Server) WantObject(tb testing.TB, bucket, key string, want []byte) {
	tb.Helper()
	got, err := os.ReadFile(s.Path(bucket, key))
	switch {
	case err != nil:
		tb.Errorf("object %q: %v", key, err)
	case !bytes.Equal(got, want):
		tb.Errorf("object %q differs: %d bytes, want %d", key, len(got), len(want))
	}
}

// CredentialsDir returns a new directory with the server's credentials in files, as
// s3.Options.CredentialsDir wants them.
func (s *Server) CredentialsDir(tb testing.TB) string {
	tb.Helper()
	return CredentialsDir(tb, s.AccessKey, s.SecretKey)
}

// CredentialsDir returns a new directory with the given credentials in files.
func CredentialsDir(tb testing.TB, accessKey, secretKey string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			tb.Fatalf("write credentials: %v", err)
		}
	}
	return dir
}

// Stop kills the server, as a crash would. Its objects stay, for Restart.
func (s *Server) Stop() {
	if s.child != nil {
		_ = s.child.Stop(0)
		s.child = nil
	}
}

// Restart starts the server again after Stop, at the same address with the same
// objects and credentials, and waits until it serves.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	arguments := append([]string{
		"--port", s.address, "--region", s.Region, "--health", healthURL, "--keep-alive", "--quiet",
	}, s.arguments...)
	cmd := exec.Command(s.program, append(arguments, "posix", s.dir)...)
	cmd.Env = []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	child, err := process.Start(cmd)
	if err != nil {
		tb.Fatalf("start S3 server: %v", err)
	}
	s.child = child
	s.await(tb)
}

func (s *Server) await(tb testing.TB) {
	tb.Helper()
	deadline := time.After(startTime)
	for !s.accepts() {
		select {
		case <-s.child.Done():
			tb.Fatalf("S3 server ended: %v: %s", s.child.Err(), s.log.tail())
		case <-deadline:
			tb.Fatalf("S3 server at %s does not serve after %v: %s", s.Endpoint, startTime, s.log.tail())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// accepts reports whether the server takes connections, by asking for its health where
// that can be asked in the clear.
func (s *Server) accepts() bool {
	if len(s.arguments) > 0 {
		conn, err := net.Dial("tcp", s.address)
		return err == nil && conn.Close() == nil
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	response, err := client.Get(s.Endpoint + healthURL)
	return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

func program(tb testing.TB) string {
	tb.Helper()
	if given := os.Getenv(EnvServer); given != "" {
		return given
	}
	dir, err := assets.Ensure(context.Background(), assets.Options{Log: os.Stderr})
	if err != nil {
		tb.Fatalf("find or build versitygw, or set %s: %v", EnvServer, err)
	}
	return filepath.Join(dir, assets.S3Server)
}

// lockedBuffer collects output while it is being read.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.all.Bytes()
	return string(all[max(0, len(all)-4096):])
}
