package servers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"cargoship.dev/operator/internal/s3/s3test"
	"cargoship.dev/operator/lab"
	"cargoship.dev/operator/test/kit/process"
)

const (
	mebi = 1 << 20
	// partSize is what cargoship copy cuts files above 16 MiB into.
	partSize = 8 * mebi
	// copyTime bounds one run of the worker.
	copyTime = 5 * time.Minute
)

// rig is a source, a place of its own in the bucket of a server, and a lab between.
type rig struct {
	*running
	lab         *lab.Lab
	through     string
	source      string
	base        string
	credentials string
}

func newRig(t *testing.T, s *running, base string) *rig {
	t.Helper()
	address, err := url.Parse(s.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := lab.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	r := &rig{
		running: s, base: base, source: t.TempDir(), credentials: s3test.CredentialsDir(t, s.accessKey, s.secretKey),
		lab: lab.New(lab.Options{Backend: lab.NewProxy(address, transport), Plan: lab.Plan{Seed: 1}}),
	}
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.through = "http://" + on.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- r.lab.Serve(ctx, on, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("lab: %v", err)
		}
	})
	return r
}

// write makes a file of random content in the source.
func (r *rig) write(t *testing.T, name string, size int64) {
	t.Helper()
	path := filepath.Join(r.source, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	content := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(name + fmt.Sprint(size)))).Read(content)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// run is cargoship at work.
type run struct {
	child          *process.Process
	stdout, stderr bytes.Buffer
}

// outcome is what it came to.
type outcome struct {
	code          int
	stderr        string
	took          time.Duration
	Files, Failed int64
	Kept          int64
	Wrong         int64
	Checksum      string
}

// target is where the rig copies to.
func (r *rig) target() string { return "s3://" + bucket + "/" + r.base }

func (r *rig) begin(t *testing.T, arguments ...string) *run {
	t.Helper()
	arguments = append(arguments, "--endpoint-url", r.through, "--path-style", "--region", region, "--credentials-dir", r.credentials, "--json")
	w := &run{}
	cmd := exec.Command(cargoship, arguments...)
	cmd.Stdout, cmd.Stderr = &w.stdout, &w.stderr
	cmd.Env = []string{"HOME=/nonexistent"}
	var err error
	if w.child, err = children.start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.child.Stop(0) })
	return w
}

func (w *run) end(t *testing.T) outcome {
	t.Helper()
	begun := time.Now()
	select {
	case <-w.child.Done():
	case <-time.After(copyTime):
		_ = w.child.Stop(0)
		t.Fatalf("cargoship has not ended after %v: %s", copyTime, &w.stderr)
	}
	o := outcome{stderr: strings.TrimSpace(w.stderr.String()), took: time.Since(begun)}
	o.code, _ = w.child.ExitCode()
	if lines := strings.Split(strings.TrimSpace(w.stdout.String()), "\n"); len(lines) > 0 && lines[len(lines)-1] != "" {
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &o); err != nil {
			t.Errorf("the last line is no summary: %v", err)
		}
	}
	return o
}

// work runs a command of cargoship on the target.
func (r *rig) work(t *testing.T, arguments ...string) outcome {
	t.Helper()
	return r.begin(t, arguments...).end(t)
}

func (r *rig) copy(t *testing.T, more ...string) outcome {
	t.Helper()
	return r.work(t, append([]string{"copy", r.source, r.target()}, more...)...)
}

// wantWhole fails unless a copy succeeded and the objects are the files.
func (r *rig) wantWhole(t *testing.T, o outcome) {
	t.Helper()
	if o.code != 0 || o.Failed != 0 {
		t.Errorf("exit code %d, %d files failed: %s", o.code, o.Failed, o.stderr)
	}
	r.wantSame(t)
	r.wantNoUploads(t)
}

// wantSame compares the files with the objects, read by a client that is not ours.
func (r *rig) wantSame(t *testing.T) {
	t.Helper()
	for name, want := range digests(t, r.source) {
		object, err := r.client.Client.GetObject(t.Context(), bucket, r.base+"/"+name, minio.GetObjectOptions{})
		if err != nil {
			t.Errorf("object %q: %v", name, err)
			continue
		}
		hash := sha256.New()
		_, err = io.Copy(hash, object)
		_ = object.Close()
		if err != nil || [32]byte(hash.Sum(nil)) != want {
			t.Errorf("object %q is not the file: %v", name, err)
		}
	}
}

// digests are the SHA-256 of all files below dir.
func digests(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	all := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = sha256.Sum256(content)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return all
}

// openAt asks the server itself for uploads open at the keys of all large files; listed is
// false if it tells of none whatever.
func (r *rig) openAt(t *testing.T, keys ...string) (open []string, listed bool) {
	t.Helper()
	for _, key := range keys {
		found, err := r.client.ListMultipartUploads(t.Context(), bucket, key, "", "", "", 1000)
		if err != nil {
			return nil, false
		}
		for _, u := range found.Uploads {
			open = append(open, u.Key)
		}
	}
	return open, true
}

func (r *rig) wantNoUploads(t *testing.T) (listed bool) {
	t.Helper()
	var keys []string
	for name := range digests(t, r.source) {
		keys = append(keys, r.base+"/"+name)
	}
	open, listed := r.openAt(t, keys...)
	if len(open) > 0 {
		t.Errorf("uploads are left open: %q", open)
	}
	return listed
}

// sent is how many bytes of files have reached the lab.
func (r *rig) sent() int64 { return r.lab.Stats().Total.DataBytesIn }

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited three minutes in vain for %s", what)
		}
	}
}

// stop ends a run as Ctrl-C does.
func (w *run) stop() { _ = w.child.Signal(syscall.SIGINT) }
