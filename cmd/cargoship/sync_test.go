package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// counted puts a proxy before the server that counts the objects and parts sent,
// apart from bookkeeping.
func counted(tb testing.TB, d *destination) *atomic.Int64 {
	tb.Helper()
	f := newFaults(tb, d.Endpoint)
	d.Endpoint = f.url
	var puts atomic.Int64
	f.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && !strings.Contains(r.URL.Path, "/.cargoship/") {
			puts.Add(1)
		}
		return false
	})
	return &puts
}

func TestCopyAgainSendsOnlyWhatChanged(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		// wantSent are the requests with data of a second run after nothing has
		// changed, after a touch, after one file of 40 has changed, and one is new.
		wantSent [4]int64
	}{
		"size and time": {[]string{"--sync", "size-and-time"}, [4]int64{0, 1, 1, 1}},
		"checksum":      {[]string{"--sync", "checksum"}, [4]int64{0, 0, 1, 1}},
		"none":          {nil, [4]int64{40, 40, 40, 41}},
		// Two archives, one for each prefix; and the one large file.
		"packed": {[]string{"--sync", "size-and-time", "--packing", "tar", "--prefixes", "2", "--large-file-threshold", "400Ki"}, [4]int64{0, 1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDestination(t)
			dir := t.TempDir()
			manyFiles(t, dir, 39)
			write(t, dir, "large", 500_000)
			puts := counted(t, d)
			one := "d1/s01/f00001"
			changes := []func() error{
				func() error { return nil },
				func() error { return os.Chtimes(filepath.Join(dir, one), time.Time{}, time.Unix(1_500_000_000, 5)) },
				func() error {
					return errors.Join(os.WriteFile(filepath.Join(dir, one), []byte("others"), 0o644),
						os.Chtimes(filepath.Join(dir, one), time.Time{}, time.Unix(1_500_000_000, 6)))
				},
				func() error { return os.WriteFile(filepath.Join(dir, "d1/s01/new"), []byte("new"), 0o644) },
			}
			args := d.args(dir, "base", append(tc.args, "--json")...)
			if r := work(t, args...); r.code != 0 || r.summary(t).Kept != 0 {
				t.Fatalf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			for i, change := range changes {
				if err := change(); err != nil {
					t.Fatal(err)
				}
				puts.Store(0)
				r := work(t, args...)
				if s := r.summary(t); r.code != 0 || s.Failed != 0 || (s.Kept == 0) != (name == "none") {
					t.Errorf("run %d: exit code %d, %+v, %s", i, r.code, s, r.stderr)
				}
				if got := puts.Load(); got != tc.wantSent[i] {
					t.Errorf("run %d: %d requests with data, want %d", i, got, tc.wantSent[i])
				}
			}
			if name != "packed" {
				return
			}
			target := []string{"s3://" + bucket + "/base", "--endpoint-url", d.Endpoint, "--region", d.Region, "--path-style", "--credentials-dir", d.creds, "--json"}
			if r := work(t, append([]string{"verify", "--read-back"}, target...)...); r.code != 0 || !strings.Contains(r.stdout, `"wrong":0,"missing":0`) {
				t.Errorf("verify: exit code %d, %s%s", r.code, r.stdout, r.stderr)
			}
		})
	}
}
