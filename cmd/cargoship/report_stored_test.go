package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/report"
)

// storedReport is the file that holds the report of the one run below base.
func (d *destination) storedReport(t *testing.T) string {
	t.Helper()
	return d.Path(bucket, archive.Layout{Base: "base", UID: d.runID(t, "base")}.ReportKey())
}

// The report that a run leaves in the bucket is the one that its manifests give, by the schema, and
// is priced anew by the terms of the day.
func TestARunLeavesItsReport(t *testing.T) {
	for name, args := range map[string][]string{
		"objects": {"--prefixes", "3"},
		"tar":     {"--packing", "tar", "--prefixes", "3", "--large-file-threshold", "100Ki", "--sse", "AES256"},
	} {
		t.Run(name, func(t *testing.T) {
			d, dir := newDestination(t), t.TempDir()
			manyFiles(t, dir, 60)
			write(t, dir, "large", 200_000)
			write(t, dir, "<i>bad\xff", 10)
			write(t, dir, "a/.cargoship/b", 10)
			if r := work(t, d.args(dir, "base", args...)...); name == "objects" && r.code != 1 || name == "tar" && r.code != 0 {
				t.Fatalf("exit code %d: %s", r.code, r.stderr)
			}
			raw, err := os.ReadFile(d.storedReport(t))
			if err != nil {
				t.Fatal(err)
			}
			keepsToSchema(t, string(raw))
			for _, terms := range [][]string{nil, {"--months", "3", "--storage-class", "GLACIER_IR", "--sse", "aws:kms"}} {
				command := append([]string{"report", "s3://" + bucket + "/base", "-o", "json"}, terms...)
				stored, made := work(t, d.reported(command...)...), work(t, d.reported(append(command, "--from-manifests")...)...)
				if stored.code != 0 || !strings.Contains(stored.stderr, "written when the run ended") || !strings.Contains(made.stderr, "all manifests") {
					t.Errorf("exit code %d: %s%s", stored.code, stored.stderr, made.stderr)
				}
				keepsToSchema(t, stored.stdout)
				want, got := parsed(t, made.stdout), parsed(t, stored.stdout)
				if s := got.Sending; s == nil || s.By != "cargoship copy" || s.Requests == 0 || s.Throttled != 0 || s.Bytes < 200_000 || s.Seconds <= 0 {
					t.Errorf("sending is %+v", s)
				}
				want.Billed.Class, want.Billed.KMS, want.Sending = got.Billed.Class, got.Billed.KMS, got.Sending
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("made from the manifests and stored, with %q:\n%s", terms, diff)
				}
			}
			for _, command := range []string{"verify", "ls"} {
				if r := work(t, d.reach(command, "s3://"+bucket+"/base")...); r.code != 0 && name == "tar" {
					t.Errorf("%s: exit code %d: %s", command, r.code, r.stderr)
				}
			}
		})
	}
}

func parsed(t *testing.T, text string) (r report.Report) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// What was sent, and when it was throttled, is as the copy counts it.
func TestAReportHasTheThrottling(t *testing.T) {
	d, dir := newDestination(t), t.TempDir()
	manyFiles(t, dir, 200)
	f := newFaults(t, d.Endpoint)
	var n atomic.Int64
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		slow := r.Method == http.MethodPut && !strings.Contains(r.URL.Path, "/.cargoship/") && n.Add(1)%50 == 0
		if slow {
			_, _ = io.Copy(io.Discard, r.Body)
			refuse(w, http.StatusServiceUnavailable, "SlowDown")
		}
		return slow
	})
	d.Endpoint = f.url
	r := work(t, d.args(dir, "base", "--json")...)
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	counted := r.summary(t)
	raw, err := os.ReadFile(d.storedReport(t))
	if err != nil {
		t.Fatal(err)
	}
	keepsToSchema(t, string(raw))
	s := parsed(t, string(raw)).Sending
	if s == nil || counted.Throttled < 4 || s.Throttled != counted.Throttled || s.Requests != counted.Requests || s.Bytes != counted.Bytes {
		t.Fatalf("the copy counts %+v, the report has %+v", counted, s)
	}
	var bytes, throttled int64
	for i := range s.Curve.Bytes {
		bytes, throttled = bytes+s.Curve.Bytes[i], throttled+s.Curve.Throttled[i]
	}
	if bytes != s.Bytes || throttled != s.Throttled {
		t.Errorf("the curve %+v is not of %d bytes and %d throttled", s.Curve, s.Bytes, s.Throttled)
	}
	text := work(t, d.reported("report", "s3://"+bucket+"/base")...)
	if !strings.Contains(text.stdout, fmt.Sprintf("of which %d throttled", s.Throttled)) || !strings.Contains(text.stdout, "by cargoship copy") {
		t.Error(text.stdout)
	}
	page := work(t, d.reported("report", "s3://"+bucket+"/base", "-o", "html")...)
	if !strings.Contains(page.stdout, "<polyline points=\"0.0,") || strings.Contains(page.stdout, "ZgotmplZ") {
		t.Error(page.stdout)
	}
}

// A report that is not that of the run, or not whole, is not used, which is said.
func TestAReportThatCannotBeUsedIsMadeAnew(t *testing.T) {
	d, dir := newDestination(t), t.TempDir()
	manyFiles(t, dir, 20)
	if r := work(t, d.args(dir, "base", "--prefixes", "1")...); r.code != 0 {
		t.Fatal(r.stderr)
	}
	file := d.storedReport(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := work(t, d.reported("report", "s3://"+bucket+"/base", "-o", "json", "--from-manifests")...).stdout
	for name, change := range map[string]func([]byte) []byte{
		"no JSON":          func([]byte) []byte { return []byte("{") },
		"another version":  func(b []byte) []byte { return bytes.Replace(b, []byte(`"version": 1`), []byte(`"version": 2`), 1) },
		"another run":      func(b []byte) []byte { return bytes.Replace(b, []byte(`"run": "`), []byte(`"run": "x`), 1) },
		"other counts":     func(b []byte) []byte { return bytes.Replace(b, []byte(`"files": 20`), []byte(`"files": 21`), 1) },
		"nothing billed":   func(b []byte) []byte { return bytes.Replace(b, []byte(`"billed"`), []byte(`"build"`), 1) },
		"negative":         func(b []byte) []byte { return bytes.Replace(b, []byte(`"requests": 20`), []byte(`"requests": -1`), 1) },
		"failures omitted": func(b []byte) []byte { return bytes.Replace(b, []byte("{"), []byte(`{"failuresOmitted": 3,`), 1) },
		"no such curve": func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"secondsEach": 0.5`), []byte(`"secondsEach": -1`), 1)
		},
		"none": func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			changed := change(whole)
			if bytes.Equal(changed, whole) {
				t.Fatal("nothing was changed")
			}
			// With the file goes the checksum that the server keeps, which would be another reason.
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if changed != nil {
				if err := os.WriteFile(file, changed, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r := work(t, d.reported("report", "s3://"+bucket+"/base", "-o", "json")...)
			if r.code != 0 || r.stdout != want || !strings.Contains(r.stderr, "all manifests") {
				t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			if warned := strings.Contains(r.stderr, "warning:"); warned != (changed != nil) {
				t.Error(r.stderr)
			}
		})
	}
}

// The report is one request beside the index, and a run whose report is rejected is whole.
func TestAReportThatCannotBeWrittenFailsNothing(t *testing.T) {
	d, dir := newDestination(t), t.TempDir()
	manyFiles(t, dir, 20)
	f := newFaults(t, d.Endpoint)
	var mu sync.Mutex
	var puts []string
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		puts = append(puts, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		if !strings.HasSuffix(r.URL.Path, "/report.json") {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		refuse(w, http.StatusForbidden, "AccessDenied")
		return true
	})
	straight := d.Endpoint
	d.Endpoint = f.url
	r := work(t, d.args(dir, "base")...)
	if r.code != 0 || !strings.Contains(r.stderr, "no report") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if last := puts[len(puts)-2:]; !slices.Contains(last, "index.json") || !slices.Contains(last, "report.json") {
		t.Errorf("the last requests are %q", last)
	}
	d.Endpoint = straight
	if _, err := os.Stat(d.storedReport(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a report: %v", err)
	}
	if r := work(t, d.reported("report", "s3://"+bucket+"/base")...); r.code != 0 || !strings.Contains(r.stdout, "all manifests") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
}
