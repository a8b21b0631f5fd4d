package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/minio/minio-go/v7"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/cli"
)

// members reads all archives below a prefix with programs that aren't ours, and
// returns the digest of every regular file, and the target of every link, by path.
func (d *destination) members(tb testing.TB, prefix string) map[string]string {
	tb.Helper()
	all := map[string]string{}
	for o := range d.client.ListObjects(tb.Context(), bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		plain := strings.HasSuffix(o.Key, ".tar")
		if o.Err != nil || !plain && !strings.HasSuffix(o.Key, ".tar.zst") {
			continue
		}
		object, err := d.client.GetObject(tb.Context(), bucket, o.Key, minio.GetObjectOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		var raw io.Reader = object
		if !plain {
			z, err := zstd.NewReader(object)
			if err != nil {
				tb.Fatal(err)
			}
			raw = z.IOReadCloser()
		}
		readTar(tb, raw, all)
		_ = object.Close()
	}
	return all
}

func readTar(tb testing.TB, raw io.Reader, into map[string]string) {
	tb.Helper()
	for r := tar.NewReader(raw); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			tb.Fatal(err)
		}
		if _, twice := into[h.Name]; twice {
			tb.Errorf("%q is there twice", h.Name)
		}
		switch h.Typeflag {
		case tar.TypeReg:
			into[h.Name] = digest(tb, r)
		case tar.TypeDir:
			into[h.Name] = "directory"
		default:
			into[h.Name] = h.Linkname
		}
	}
}

// manifests returns all manifests below a base prefix.
func (d *destination) manifests(tb testing.TB, base string) []archive.Manifest {
	tb.Helper()
	var all []archive.Manifest
	for o := range d.client.ListObjects(tb.Context(), bucket, minio.ListObjectsOptions{Prefix: base + "/.cargoship/", Recursive: true}) {
		if !strings.Contains(o.Key, "/manifests/") {
			continue
		}
		object, err := d.client.GetObject(tb.Context(), bucket, o.Key, minio.GetObjectOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		body, err := io.ReadAll(object)
		if err != nil {
			tb.Fatal(err)
		}
		m, err := archive.DecodeManifest(body)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// written writes a file and returns its digest.
func written(tb testing.TB, dir, name string, size int) string {
	tb.Helper()
	write(tb, dir, name, size)
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	return digest(tb, f)
}

func TestCopyPacked(t *testing.T) {
	for _, compression := range []string{"none", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			t.Parallel()
			d := newDestination(t)
			dir := t.TempDir()
			want := map[string]string{"a/": "directory", "b/": "directory", "empty/": "directory", "b/link": "../a/file-1", "b/odd": "a/odd"}
			for i := range 40 {
				name := fmt.Sprintf("a/file-%d", i)
				want[name] = written(t, dir, name, i*10_000)
			}
			want["a/odd"] = written(t, dir, "a/odd", 12_345)
			want["b/big"] = written(t, dir, "b/big", 30<<20)
			large := written(t, dir, "b/large", 40<<20)
			if err := errors.Join(
				os.Mkdir(filepath.Join(dir, "empty"), 0o755),
				os.Symlink("../a/file-1", filepath.Join(dir, "b/link")),
				os.Link(filepath.Join(dir, "a/odd"), filepath.Join(dir, "b/odd")),
			); err != nil {
				t.Fatal(err)
			}
			r := work(t, d.args(dir, "base", "--packing", "tar", "--compression", compression, "--large-file-threshold", "32Mi", "--prefixes", "2", "--json")...)
			if r.code != 0 {
				t.Fatalf("exit code %d: %s", r.code, r.stderr)
			}
			if s := r.summary(t); s.Files != int64(len(want))+1 || s.Failed != 0 || s.Skipped != 0 {
				t.Errorf("summary %+v, want %d files", s, len(want)+1)
			}
			if diff := cmp.Diff(want, d.members(t, "base/")); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
			found := false
			for key, digest := range d.digests(t, "base/") {
				found = found || strings.HasSuffix(key, "/files/b/large") && digest == large
			}
			if !found {
				t.Error("the large file is not an object of its own")
			}
			d.wantNoUploads(t)
			for _, m := range d.manifests(t, "base") {
				for _, f := range m.Members {
					if f.Outcome != archive.Done || (f.Tar == nil) == (f.Key == "") {
						t.Errorf("member %+v", f)
					}
				}
			}
		})
	}
}

func TestCopyPackedThrottled(t *testing.T) {
	d := newDestination(t)
	f := newFaults(t, d.Endpoint)
	d.Endpoint = f.url
	dir := t.TempDir()
	want := map[string]string{"a/": "directory"}
	for i := range 8 {
		name := fmt.Sprintf("a/%d", i)
		want[name] = written(t, dir, name, 5<<20)
	}
	var parts atomic.Int32
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("partNumber") == "" || parts.Add(1)%3 != 0 {
			return false
		}
		refuse(w, http.StatusServiceUnavailable, "SlowDown")
		return true
	})
	r := work(t, d.args(dir, "base", "--packing", "tar", "--prefixes", "1", "--json")...)
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	if diff := cmp.Diff(want, d.members(t, "base/")); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if s := r.summary(t); s.Retries == 0 {
		t.Error("nothing was sent again")
	}
	d.wantNoUploads(t)
}

func TestArchivesComeBack(t *testing.T) {
	d := newDestination(t)
	dir := t.TempDir()
	manyFiles(t, dir, 300)
	write(t, dir, "large", 20<<20)
	if r := work(t, d.args(dir, "base", "--packing", "tar", "--large-file-threshold", "16Mi", "--target-size", "1Mi")...); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	reach := []string{"--endpoint-url", d.Endpoint, "--region", d.Region, "--path-style", "--credentials-dir", d.creds, "--json"}
	run := func(args ...string) result {
		t.Helper()
		r := work(t, append(args, reach...)...)
		if r.code != 0 {
			t.Fatalf("%q: exit code %d: %s", args, r.code, r.stderr)
		}
		return r
	}
	target := "s3://" + bucket + "/base"
	for _, how := range [][]string{{"verify", target}, {"verify", target, "--read-back"}} {
		if r := run(how...); !strings.Contains(r.stdout, `"wrong":0,"missing":0`) || !strings.Contains(r.stdout, `"files":`) {
			t.Errorf("%q says %s", how, r.stdout)
		}
	}
	if lines := strings.Count(run("ls", target).stdout, "\n"); lines < 301 {
		t.Errorf("ls has %d lines", lines)
	}
	if r := run("ls", target, "large"); !strings.Contains(r.stdout, `"size":20971520`) {
		t.Errorf("ls says %s", r.stdout)
	}
	to := filepath.Join(t.TempDir(), "to")
	run("restore", target, to)
	if diff := cmp.Diff(fileDigests(t, dir, ""), fileDigests(t, to, "")); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if r := run("restore", target, to); !strings.Contains(r.stdout, `"present":301`) {
		t.Errorf("a second restore says %s", r.stdout)
	}
	if r := work(t, append([]string{"restore", target, to, "no/such"}, reach...)...); r.code != cli.ExitFailure || !strings.Contains(r.lastLine(), "nothing matches") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
	if r := work(t, append([]string{"ls", target + "/elsewhere"}, reach...)...); r.code != cli.ExitFailure || !strings.Contains(r.lastLine(), "no finished transfer") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
}

func TestEstimateIsWhatCopyDoes(t *testing.T) {
	for name, args := range map[string][]string{
		"objects": nil,
		"packed":  {"--packing", "tar", "--compression", "none", "--prefixes", "2", "--large-file-threshold", "18Mi", "--target-size", "20Mi"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDestination(t)
			dir := t.TempDir()
			manyFiles(t, dir, 100)
			write(t, dir, "medium", 17<<20)
			write(t, dir, "large", 20<<20)
			r := work(t, append([]string{"estimate", dir, "--json"}, args...)...)
			var e estimated
			if err := json.Unmarshal([]byte(r.stdout), &e); err != nil || r.code != 0 {
				t.Fatalf("exit code %d, %v: %s%s", r.code, err, r.stdout, r.stderr)
			}
			s := work(t, d.args(dir, "base", append(args, "--json")...)...).summary(t)
			if e.Files != s.Files || e.Archives != s.Archives {
				t.Errorf("estimate %+v, copy %+v", e, s)
			}
			var objects, bytes, bookkeeping int64
			for o := range d.client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
				objects++
				if strings.Contains(o.Key, "/.cargoship/") {
					bookkeeping++
				} else {
					bytes += o.Size
				}
			}
			if e.Objects != objects || e.Bytes < bytes || e.Bytes > bytes+bytes/10 {
				t.Errorf("%d objects of %d bytes, the estimate was %+v", objects, bytes, e)
			}
			if e.Requests != s.Requests+bookkeeping {
				t.Errorf("%d requests for data and %d for manifests, the estimate was %+v", s.Requests, bookkeeping, e)
			}
			if len(e.Costs) == 0 || e.Costs[0].Month <= 0 {
				t.Errorf("costs %+v", e.Costs)
			}
		})
	}
}

// TestTheDigestOfMembersIsChosen packs with either digest and reads it back.
func TestTheDigestOfMembersIsChosen(t *testing.T) {
	for _, tc := range []struct{ flag, field string }{{"", "crc64nvme"}, {"crc64nvme", "crc64nvme"}, {"sha256", "sha256"}} {
		d := newDestination(t)
		dir := t.TempDir()
		write(t, dir, "file", 10_000)
		args := []string{"--packing", "tar", "--prefixes", "1"}
		if tc.flag != "" {
			args = append(args, "--digest", tc.flag)
		}
		if r := work(t, d.args(dir, "base", args...)...); r.code != 0 {
			t.Fatal(r.stderr)
		}
		if r := work(t, d.reach("ls", "s3://"+bucket+"/base")...); !strings.Contains(r.stdout, `"`+tc.field+`":"`) {
			t.Errorf("--digest %q: %s %s", tc.flag, r.stdout, r.stderr)
		}
		if r := work(t, d.reach("verify", "s3://"+bucket+"/base", "--read-back")...); r.code != 0 {
			t.Errorf("--digest %q: %s", tc.flag, r.stderr)
		}
	}
}
