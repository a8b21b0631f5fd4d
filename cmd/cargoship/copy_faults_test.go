package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/copy"
)

func TestCopyGetsOverThrottlingAndErrors(t *testing.T) {
	d := newDestination(t)
	f := newFaults(t, d.Endpoint)
	var n atomic.Int64
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		switch n.Add(1) % 60 {
		case 3:
			_, _ = io.Copy(io.Discard, r.Body)
			refuse(w, http.StatusServiceUnavailable, "SlowDown")
		case 11:
			_, _ = io.Copy(io.Discard, r.Body)
			refuse(w, http.StatusInternalServerError, "InternalError")
		default:
			return false
		}
		return true
	})
	d.Endpoint = f.url
	dir := t.TempDir()
	manyFiles(t, dir, 300)
	write(t, dir, "large", 20<<20)
	r := work(t, d.args(dir, "", "--json")...)
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	if diff := cmp.Diff(fileDigests(t, dir, ""), d.digests(t, "")); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	d.wantNoUploads(t)
	s := r.summary(t)
	t.Logf("%+v", s)
	if s.Throttled == 0 || s.Retries <= s.Throttled || s.Requests < 301+s.Retries {
		t.Errorf("summary %+v", s)
	}
}

func TestCopyGivesUpWhereWritingIsDenied(t *testing.T) {
	d := newDestination(t)
	f := newFaults(t, d.Endpoint)
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, r.Body)
			refuse(w, http.StatusForbidden, "AccessDenied")
		}
		return r.Method == http.MethodPut
	})
	d.Endpoint = f.url
	dir := t.TempDir()
	manyFiles(t, dir, 20)
	r := work(t, d.args(dir, "")...)
	if r.code != cli.ExitFailure || !strings.HasPrefix(r.lastLine(), "cargoship copy: put object") {
		t.Errorf("exit code %d, %q", r.code, r.stderr)
	}
	t.Log(r.stderr)
}

func TestCopyGoesOnAfterTheServerWasAway(t *testing.T) {
	d := newDestination(t)
	f := newFaults(t, d.Endpoint)
	var n atomic.Int64
	away := make(chan struct{})
	f.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && n.Add(1) == 150 {
			close(away)
		}
		return false
	})
	endpoint := d.Endpoint
	d.Endpoint = f.url
	dir := t.TempDir()
	manyFiles(t, dir, 700)
	p := launch(t.Context(), t, d.args(dir, "", "--json")...)
	<-away
	d.Stop()
	time.Sleep(2 * time.Second)
	d.Endpoint = endpoint
	d.Restart(t)
	r := p.wait(t)
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	if diff := cmp.Diff(fileDigests(t, dir, ""), d.digests(t, "")); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if s := r.summary(t); s.Files != 700 || s.Retries == 0 {
		t.Errorf("summary %+v", s)
	}
}

func TestCopyInterrupted(t *testing.T) {
	d := newDestination(t)
	f := newFaults(t, d.Endpoint)
	begun := make(chan struct{})
	var once sync.Once
	f.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("partNumber") != "" {
			once.Do(func() { close(begun) })
			time.Sleep(200 * time.Millisecond)
		}
		return false
	})
	d.Endpoint = f.url
	dir := t.TempDir()
	write(t, dir, "a/large", 60<<20)
	write(t, dir, "b/large", 60<<20)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	p := launch(ctx, t, d.args(dir, "")...)
	<-begun
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	r := p.wait(t)
	if r.code != cli.ExitFailure || !strings.Contains(r.lastLine(), "cargoship copy: stopped: interrupt signal") {
		t.Errorf("exit code %d, %q", r.code, r.stderr)
	}
	d.wantNoUploads(t)
	if got := d.digests(t, ""); len(got) != 0 {
		t.Errorf("objects %v", got)
	}
}

func TestFailuresAreListedUpToABound(t *testing.T) {
	s := copy.Summary{Failed: 50}
	for i := range 50 {
		s.Failures = append(s.Failures, copy.Failure{Path: fmt.Sprint(i), Reason: archive.ReasonUnreadable})
	}
	var out bytes.Buffer
	listFailures(&out, s)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != maxListed+1 || lines[maxListed] != "failed: 30 more" {
		t.Errorf("%q", lines)
	}
}
