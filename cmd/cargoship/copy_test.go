package main

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/s3/s3test"
	"cargoship.dev/operator/test/kit/loopback"
)

func TestCopyMirrorsADirectory(t *testing.T) {
	d := newDestination(t)
	dir := t.TempDir()
	manyFiles(t, dir, 1200)
	for name, size := range map[string]int{
		"root": 10, "empty": 0, "d1/boundary": 16 << 20, "d2/large": 16<<20 + 1, "big/33MiB": 33 << 20,
		"a name/with spaces & signs+=?#%é": 100,
	} {
		write(t, dir, name, size)
	}
	r := work(t, d.args(dir, "base/sub", "--json")...)
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	want := fileDigests(t, dir, "base/sub/")
	if diff := cmp.Diff(want, d.digests(t, "")); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	d.wantNoUploads(t)
	s := r.summary(t)
	t.Logf("%+v", s)
	wantBytes := int64(10 + 16<<20 + 16<<20 + 1 + 33<<20 + 100)
	for i := range 1200 {
		wantBytes += int64(i * 37 % 9000)
	}
	if s.Files != int64(len(want)) || s.Bytes != wantBytes || s.Failed != 0 || s.Skipped != 0 {
		t.Errorf("%d files, %d bytes, %d failed, %d skipped; want %d, %d, 0, 0", s.Files, s.Bytes, s.Failed, s.Skipped, len(want), wantBytes)
	}
	if s.Requests < s.Files || s.Archives < 7 || s.Throughput <= 0 || s.P50 <= 0 || s.P99 < s.P50 || s.PeakMemory == 0 || s.MemoryBound <= 60<<20 { // the heap alone, and what bodies and the program take
		t.Errorf("summary %+v", s)
	}
	if s.Checksum != "CRC64NVME" && s.Checksum != "CRC32C" {
		t.Errorf("checksum %q", s.Checksum)
	}
}

func TestCopyOddEntries(t *testing.T) {
	d := newDestination(t)
	dir := t.TempDir()
	write(t, dir, "plain", 10)
	write(t, dir, "empty", 0)
	write(t, dir, "bad\xffname", 5)
	write(t, dir, "d/inner", 7)
	if err := os.MkdirAll(filepath.Join(dir, "hollow", "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"dangling": "absent", "alias": "d/inner", "out": "/etc/passwd"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	long := writeLongPath(t, dir)
	stop := keepGrowing(t, filepath.Join(dir, "growing"))
	r := work(t, d.args(dir, "", "--json")...)
	stop()

	if r.code != cli.ExitFailure || !strings.Contains(r.lastLine(), "cargoship copy: 3 files were not copied") {
		t.Errorf("exit code %d, last line %q", r.code, r.lastLine())
	}
	for _, want := range []string{
		"failed: " + archive.ReasonKeyTooLong, long[:100], "failed: " + archive.ReasonNameNotUTF8, `bad\xffname`,
		"failed: " + archive.ReasonChanged, "growing",
	} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("%q is not in:\n%.3000s", want, r.stderr)
		}
	}
	want := fileDigests(t, dir, "")
	maps.DeleteFunc(want, func(key, _ string) bool { return key == "growing" || key == long || key == "bad\xffname" })
	want["alias"] = want["d/inner"]
	if diff := cmp.Diff(want, d.digests(t, "")); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	d.wantNoUploads(t)
	if s := r.summary(t); s.Files != 4 || s.Bytes != 24 || s.Failed != 3 || s.Skipped != 3 {
		t.Errorf("summary %+v", s)
	}
}

// writeLongPath makes a file whose path has 4,000 bytes, longer than one system
// call takes, and returns the path.
func writeLongPath(tb testing.TB, dir string) string {
	tb.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	parent := strings.TrimSuffix(strings.Repeat(strings.Repeat("p", 199)+"/", 19), "/")
	long := parent + "/" + strings.Repeat("f", 4000-len(parent)-1-50) + "/" + strings.Repeat("g", 49)
	if err := root.MkdirAll(filepath.Dir(long), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := root.WriteFile(long, []byte("x"), 0o644); err != nil {
		tb.Fatal(err)
	}
	return long
}

// keepGrowing appends to a file until stopped.
func keepGrowing(tb testing.TB, name string) (stop func()) {
	tb.Helper()
	f, err := os.Create(name)
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		defer func() { _ = f.Close() }()
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				_, _ = f.WriteString("more")
			}
		}
	})
	return func() {
		close(done)
		work.Wait()
	}
}

func TestCopyOptions(t *testing.T) {
	d := newDestination(t)
	dir := t.TempDir()
	manyFiles(t, dir, 100)
	write(t, dir, "large", 17<<20)
	plain := func(key string) string { return key }
	hashed := func(count int) func(string) string {
		l := archive.Layout{Pattern: archive.Hash, Count: count}
		return func(key string) string { return l.Key(l.Prefix(key), key) }
	}
	for name, tc := range map[string]struct {
		args []string
		key  func(path string) string
		keep func(path string) bool
	}{
		"hash":          {args: []string{"--pattern", "hash", "--prefixes", "8"}, key: hashed(8)},
		"hash alone":    {args: []string{"--pattern", "hash"}, key: hashed(4)},
		"tcp_like":      {args: []string{"--strategy", "tcp_like", "--packing", "objects"}, key: plain},
		"fair_share":    {args: []string{"--strategy", "fair_share"}, key: plain},
		"uncoordinated": {args: []string{"--uncoordinated"}, key: plain},
		"one prefix":    {args: []string{"--prefixes", "1"}, key: plain},
		"filters": {
			args: []string{"--include", "d1", "--include", "d2/**", "--exclude", "**/s02"}, key: plain,
			keep: func(p string) bool {
				return (strings.HasPrefix(p, "d1/") || strings.HasPrefix(p, "d2/")) && !strings.Contains(p, "/s02/")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			base := strings.ReplaceAll(name, " ", "-")
			r := work(t, d.args(dir, base, append(tc.args, "--json")...)...)
			if r.code != 0 {
				t.Fatalf("exit code %d: %s", r.code, r.stderr)
			}
			want := map[string]string{}
			for p, sum := range fileDigests(t, dir, "") {
				if tc.keep == nil || tc.keep(p) {
					want[base+"/"+tc.key(p)] = sum
				}
			}
			if diff := cmp.Diff(want, d.digests(t, base+"/")); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			t.Logf("%+v", r.summary(t))
			if s := r.summary(t); s.Files != int64(len(want)) {
				t.Errorf("%d files, want %d", s.Files, len(want))
			}
		})
	}
	d.wantNoUploads(t)
}

func TestCopyNothing(t *testing.T) {
	d := newDestination(t)
	r := work(t, d.args(t.TempDir(), "", "--json")...)
	if s := r.summary(t); r.code != 0 || s.Files != 0 || s.Archives != 0 {
		t.Errorf("exit code %d, %+v: %s", r.code, s, r.stderr)
	}
}

func TestCopyOfPatternsThatSelectNothing(t *testing.T) {
	d := newDestination(t)
	dir := t.TempDir()
	write(t, dir, "album/photo.jpg", 100)
	for name, more := range map[string][]string{
		"include":         {"--include", "*.jpgg"},
		"exclude":         {"--exclude", "**"},
		"include, packed": {"--include", "*.jpgg", "--packing", "tar"},
	} {
		t.Run(name, func(t *testing.T) {
			r := work(t, d.args(dir, "nothing", more...)...)
			if r.code != cli.ExitFailure || !strings.Contains(r.stderr, "select no file in "+dir) {
				t.Errorf("exit code %d, %q; want a failure that says so", r.code, r.stderr)
			}
			for o := range d.client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Prefix: "nothing", Recursive: true}) {
				if strings.HasSuffix(o.Key, "index.json") {
					t.Errorf("an index was written, %s: the run counts as complete", o.Key)
				}
			}
		})
	}
}

func TestCopyFailures(t *testing.T) {
	d := newDestination(t)
	dir := t.TempDir()
	write(t, dir, "file", 1)
	change := func(args []string, flag, value string) []string {
		for i, a := range args {
			if a == flag {
				args[i+1] = value
			}
		}
		return args
	}
	address, release, err := loopback.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	nobody := "http://" + address
	for name, tc := range map[string]struct {
		args []string
		want []string
	}{
		"missing source":    {d.args(filepath.Join(dir, "absent"), ""), []string{"absent", "does not exist"}},
		"source is a file":  {d.args(filepath.Join(dir, "file"), ""), []string{"is not a directory"}},
		"missing bucket":    {change(d.args(dir, ""), dir, "s3://nobucket"), []string{"nobucket"}},
		"nowhere to pack":   {change(d.args(dir, "", "--packing", "tar"), dir, "s3://nobucket"), []string{"look up bucket", "nobucket"}},
		"wrong credentials": {change(d.args(dir, ""), "--credentials-dir", s3test.CredentialsDir(t, d.AccessKey, "wrong")), []string{"credentials"}},
		"no credentials":    {change(d.args(dir, ""), "--credentials-dir", ""), []string{"credentials"}},
		"empty credentials": {change(d.args(dir, ""), "--credentials-dir", t.TempDir()), []string{"AWS_ACCESS_KEY_ID"}},
		"nobody listens":    {change(d.args(dir, ""), "--endpoint-url", nobody), []string{"endpoint"}},
		"missing CA":        {d.args(dir, "", "--ca-file", filepath.Join(dir, "absent.pem")), []string{"absent.pem"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			r := work(t, tc.args...)
			// The first file may have met the same before, of which a warning tells.
			said := slices.DeleteFunc(strings.SplitAfter(r.stderr, "\n"), func(line string) bool { return line == "" || strings.HasPrefix(line, "time=") })
			if r.code != cli.ExitFailure || len(said) != 1 || r.stdout != "" {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d and one line", r.code, r.stdout, r.stderr, cli.ExitFailure)
			}
			for _, want := range append(tc.want, "cargoship copy: ") {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("error %q lacks %q", r.stderr, want)
				}
			}
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("it took %v to say so", took)
			}
			t.Log(r.stderr)
		})
	}
}
