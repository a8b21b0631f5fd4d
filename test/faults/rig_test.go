package faults

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"cargoship.dev/operator/internal/s3/s3test"
	"cargoship.dev/operator/lab"
	"cargoship.dev/operator/test/kit/process"
)

const (
	kibi, mebi = 1 << 10, 1 << 20
	// partSize is what cargoship copy cuts files into, and wholeLimit the largest that it does
	// not cut.
	partSize, wholeLimit = 8 * mebi, 16 * mebi

	bucket      = "bucket"
	destination = "s3://" + bucket + "/base"
	// copyTime bounds one copy, the one of 80 GB as well.
	copyTime = 15 * time.Minute
)

// rig is a directory to copy, a real S3 server with an empty bucket, and a lab between.
type rig struct {
	*lab.Lab
	server      *s3test.Server
	source      string
	endpoint    string
	credentials string
	// user runs the worker; nil for the one who runs the tests.
	user *syscall.Credential
}

// newRig starts server and lab; they stop when the test ends.
func newRig(t *testing.T, c lab.Conditions) *rig {
	t.Helper()
	server := s3test.Start(t)
	server.CreateBucket(t, bucket)
	address, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := lab.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	r := newRigBefore(t, lab.NewProxy(address, transport), c)
	r.server, r.credentials = server, server.CredentialsDir(t)
	return r
}

// newRigBefore is a rig with another server, which takes all credentials.
func newRigBefore(t *testing.T, backend http.Handler, c lab.Conditions) *rig {
	t.Helper()
	r := &rig{
		Lab:         lab.New(lab.Options{Backend: backend, Plan: lab.Plan{Seed: chosen.seed, Conditions: c}}),
		source:      t.TempDir(),
		credentials: s3test.CredentialsDir(t, "anybody", "anything"),
	}
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.endpoint = "http://" + on.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- r.Serve(ctx, on, nil) }()
	t.Cleanup(func() {
		for _, n := range r.Stats().Faults {
			counted.faults.Add(n)
		}
		cancel()
		if err := <-served; err != nil {
			t.Errorf("lab: %v", err)
		}
	})
	return r
}

// write makes a file of random contents in the source.
func (r *rig) write(t *testing.T, name string, size int64) string {
	t.Helper()
	path := filepath.Join(r.source, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	writeRandom(t, path, name, size)
	return path
}

func writeRandom(t *testing.T, path, seed string, size int64) {
	t.Helper()
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(seed), chosen.seed))
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.CopyN(file, rand.NewChaCha8(sum), size)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// mixture fills the source with small files and two that are sent in parts.
func (r *rig) mixture(t *testing.T) {
	t.Helper()
	for _, name := range []string{"a/1", "a/2", "b/1", "b/ü n+c%", "c/d/e/1", "top"} {
		r.write(t, name, 30*kibi+int64(len(name)))
	}
	r.write(t, "a/big", 2*partSize+12345)
	r.write(t, "huge", 3*partSize)
}

// run is a copy under way.
type run struct {
	child  *process.Process
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer
}

// begin starts cargoship copy.
func (r *rig) begin(t *testing.T, arguments ...string) *run {
	t.Helper()
	return r.start(t, append([]string{"copy", r.source, destination}, arguments...)...)
}

// start starts cargoship with a command.
func (r *rig) start(t *testing.T, arguments ...string) *run {
	t.Helper()
	return r.startBy(t, exec.Command(cargoship, r.arguments(arguments)...))
}

// arguments adds to a command what every one needs to reach the bucket.
func (r *rig) arguments(command []string) []string {
	return append(slices.Clone(command), "--endpoint-url", r.endpoint, "--path-style", "--region", "us-east-1",
		"--credentials-dir", r.credentials, "--json")
}

// startBy starts a command line that runs the worker.
func (r *rig) startBy(t *testing.T, cmd *exec.Cmd) *run {
	t.Helper()
	c := &run{cmd: cmd}
	if cmd.Stdout == nil {
		cmd.Stdout, cmd.Stderr = &c.stdout, &c.stderr
	}
	// Nothing but the source and the server may be needed: no home, no temporary files.
	cmd.Env, cmd.Dir = []string{"TMPDIR=/nonexistent", "HOME=/nonexistent"}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: r.user}
	var err error
	if c.child, err = process.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.child.Stop(0) }) // It has ended already, unless the test failed.
	return c
}

// outcome is what a copy came to.
type outcome struct {
	code   int
	stderr string
	summary
}

// summary is the part of cargoship copy's JSON that the tests look at.
type summary struct {
	Files, Failed, Retries int64
	Checksum               string
}

// end waits for the copy.
func (c *run) end(t *testing.T) outcome {
	t.Helper()
	select {
	case <-c.child.Done():
	case <-time.After(copyTime):
		_ = c.child.Stop(0) // The test has failed anyway.
		t.Fatalf("the copy has not ended after %v: %s", copyTime, &c.stderr)
	}
	code, _ := c.child.ExitCode()
	o := outcome{code: code, stderr: c.stderr.String()}
	if lines := strings.TrimSpace(c.stdout.String()); lines != "" {
		last := lines[strings.LastIndex(lines, "\n")+1:]
		if err := json.Unmarshal([]byte(last), &o.summary); err != nil {
			t.Errorf("the last line %q is no summary: %v", last, err)
		}
	}
	return o
}

// copy runs cargoship copy to its end.
func (r *rig) copy(t *testing.T, arguments ...string) outcome {
	t.Helper()
	return r.begin(t, arguments...).end(t)
}

// wantWhole fails unless the copy succeeded and everything stands.
func (r *rig) wantWhole(t *testing.T, o outcome) {
	t.Helper()
	if o.code != 0 || o.Failed != 0 {
		t.Errorf("exit code %d, %d files failed, want 0: %s", o.code, o.Failed, o.stderr)
	}
	r.wantSame(t)
	r.wantNoUploads(t)
}

// wantSame fails unless the bucket holds exactly the files of the source, but for those
// that are excepted, which it must not hold.
func (r *rig) wantSame(t *testing.T, except ...string) {
	t.Helper()
	wantSameTree(t, r.source, r.server.Path(bucket, "base"), except...)
}

func wantSameTree(t *testing.T, source, stored string, except ...string) {
	t.Helper()
	want, got := map[string][32]byte{}, map[string][32]byte{}
	digests(t, source, want)
	digests(t, stored, got)
	for name := range got {
		if strings.HasPrefix(name, ".cargoship/") {
			delete(got, name) // What is kept of the run itself.
		}
	}
	for _, name := range except {
		delete(want, name)
	}
	for name, sum := range want {
		counted.digests.Add(1)
		if stored, there := got[name]; !there || stored != sum {
			counted.differing.Add(1)
			t.Errorf("object %q: there %v, and differs from the file", name, there)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("object %q is there, and should not be", name)
	}
}

// digests takes the SHA-256 of all files below dir.
func digests(t *testing.T, dir string, into map[string][32]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		into[name], err = digest(path)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("digests of %s: %v", dir, err)
	}
}

func digest(path string) (sum [32]byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer file.Close() //nolint:errcheck // It is only read.
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return sum, err
	}
	return [32]byte(hash.Sum(nil)), nil
}

// wantNoUploads fails if a multipart upload is open, of which it asks the server itself.
func (r *rig) wantNoUploads(t *testing.T) {
	t.Helper()
	open := r.openUploads(t)
	counted.open.Add(int64(len(open)))
	for _, key := range open {
		t.Errorf("a multipart upload of %q is left open", key)
	}
}

func (r *rig) openUploads(t *testing.T) (keys []string) {
	t.Helper()
	listed, err := r.client(t).ListMultipartUploads(t.Context(), bucket, "", "", "", "", 1000)
	if err != nil {
		t.Fatalf("list multipart uploads: %v", err)
	}
	for _, u := range listed.Uploads {
		keys = append(keys, u.Key)
	}
	return keys
}

// client speaks to the server without the lab.
func (r *rig) client(t *testing.T) *minio.Core {
	t.Helper()
	client, err := minio.New(strings.TrimPrefix(r.server.Endpoint, "http://"), &minio.Options{
		Creds:  credentials.NewStaticV4(r.server.AccessKey, r.server.SecretKey, ""),
		Region: r.server.Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &minio.Core{Client: client}
}

// wantFailed fails unless the copy ended with status 1 and says what the pattern matches.
func wantFailed(t *testing.T, o outcome, pattern string) {
	t.Helper()
	if o.code != 1 || !regexp.MustCompile(pattern).MatchString(o.stderr) {
		t.Errorf("exit code %d, said %q, want 1 and %s", o.code, o.stderr, pattern)
	}
}

// await waits until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited three minutes in vain for %s", what)
		}
	}
}

// sent is how many bytes of files have reached the lab.
func (r *rig) sent() int64 { return r.Stats().Total.DataBytesIn }
