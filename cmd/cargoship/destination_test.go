package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"cargoship.dev/operator/internal/s3/s3test"
)

const bucket = "bucket"

// destination is an S3 server with one bucket, seen through a client that isn't ours.
type destination struct {
	*s3test.Server
	client *minio.Client
	creds  string
}

func newDestination(tb testing.TB) *destination {
	tb.Helper()
	s := s3test.Start(tb)
	s.CreateBucket(tb, bucket)
	client, err := minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: s.Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return &destination{s, client, s.CredentialsDir(tb)}
}

// args are those of a copy of dir to this destination.
func (d *destination) args(dir, base string, more ...string) []string {
	args := []string{
		"copy", dir, "s3://" + bucket + "/" + base,
		"--endpoint-url", d.Endpoint, "--region", d.Region, "--path-style", "--credentials-dir", d.creds,
	}
	return append(args, more...)
}

// digests returns the SHA-256 of every object whose key begins with prefix, by key; those
// of bookkeeping are left out.
func (d *destination) digests(tb testing.TB, prefix string) map[string]string {
	tb.Helper()
	all := map[string]string{}
	for o := range d.client.ListObjects(tb.Context(), bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			tb.Fatal(o.Err)
		}
		if strings.Contains("/"+o.Key, "/.cargoship/") {
			continue
		}
		object, err := d.client.GetObject(tb.Context(), bucket, o.Key, minio.GetObjectOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		all[o.Key] = digest(tb, object)
		_ = object.Close()
	}
	return all
}

// wantNoUploads fails the test when a multipart upload is open.
func (d *destination) wantNoUploads(tb testing.TB) {
	tb.Helper()
	for u := range d.client.ListIncompleteUploads(tb.Context(), bucket, "", true) {
		tb.Errorf("upload %s of %q is open, %v", u.UploadID, u.Key, u.Err)
	}
}

func digest(tb testing.TB, r io.Reader) string {
	tb.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// fileDigests returns the SHA-256 of every regular file below dir, by base/path.
func fileDigests(tb testing.TB, dir, base string) map[string]string {
	tb.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		rel, err := filepath.Rel(dir, p)
		all[base+rel] = digest(tb, f)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// write makes a file of pseudo-random content.
func write(tb testing.TB, dir, name string, size int) {
	tb.Helper()
	content := make([]byte, size)
	r := rand.NewChaCha8(sha256.Sum256([]byte(name)))
	_, _ = r.Read(content)
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(p, content, 0o644); err != nil {
		tb.Fatal(err)
	}
}

// manyFiles fills dir with n small files in a few directories.
func manyFiles(tb testing.TB, dir string, n int) {
	tb.Helper()
	for i := range n {
		write(tb, dir, fmt.Sprintf("d%d/s%02d/f%05d", i%5, i%40, i), i*37%9000)
	}
}

// faults is a proxy in front of a server that may answer in its place.
type faults struct {
	url    string
	answer atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

func newFaults(tb testing.TB, target string) *faults {
	tb.Helper()
	u, err := url.Parse(target)
	if err != nil {
		tb.Fatal(err)
	}
	f := &faults{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.Host = r.In.Host // which the signature covers
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := f.answer.Load(); answer == nil || !(*answer)(w, r) {
			proxy.ServeHTTP(w, r)
		}
	})}
	var work sync.WaitGroup
	work.Go(func() { _ = server.Serve(listener) })
	tb.Cleanup(func() {
		_ = server.Close()
		work.Wait()
	})
	f.url = "http://" + listener.Addr().String()
	return f
}

func (f *faults) set(answer func(http.ResponseWriter, *http.Request) bool) { f.answer.Store(&answer) }

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>so it is</Message></Error>", code)
}
