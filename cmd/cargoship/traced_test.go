package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/internal/tracing"
	"cargoship.dev/operator/internal/tracing/tracingtest"
)

// workTraced runs the program to its end, with a collector in its environment.
func workTraced(tb testing.TB, c *tracingtest.Collector, args ...string) result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	return launchIn(ctx, tb, []string{tracing.EndpointEnv + "=" + c.URL}, args...).wait(tb)
}

// wantNested fails unless requests are below archives, and those below one run.
func wantNested(t *testing.T, c *tracingtest.Collector, command, method string, status int64) {
	t.Helper()
	runs, archives := c.Spans("run"), map[string]int{}
	if len(runs) != 1 || runs[0].Parent != "" || runs[0].Attributes["cargoship.command"] != command || runs[0].Failed {
		t.Fatalf("runs %+v, want one root of %s", runs, command)
	}
	for _, a := range c.Spans("archive") {
		archives[a.ID] = 0
		if a.Parent != runs[0].ID || a.Trace != runs[0].Trace || a.Attributes["cargoship.outcome"] != "Finished" || a.Attributes["cargoship.prefix"] == nil {
			t.Errorf("archive %+v is not below %+v, or not finished", a, runs[0])
		}
	}
	for _, r := range c.Spans("request") {
		if _, ok := archives[r.Parent]; ok && r.Attributes["http.request.method"] == method && r.Attributes["http.response.status_code"] == status {
			archives[r.Parent]++
		}
		if r.Trace != runs[0].Trace {
			t.Errorf("request %+v is not of %+v", r, runs[0])
		}
	}
	if len(archives) == 0 {
		t.Error("no archive was traced")
	}
	for id, n := range archives {
		if n == 0 {
			t.Errorf("archive %s has no request %s", id, method)
		}
	}
}

func TestCopyAndRestoreAreTraced(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	dir := t.TempDir()
	manyFiles(t, dir, 20)
	c := tracingtest.Start(t)
	if r := workTraced(t, c, d.args(dir, "base", "--packing", "tar")...); r.code != 0 || r.stderr != "" {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	wantNested(t, c, "copy", http.MethodPut, http.StatusOK)
	files := int64(0)
	for _, a := range c.Spans("archive") {
		n, _ := a.Attributes["cargoship.files"].(int64)
		files += n
	}
	if files < 20 {
		t.Errorf("archives of %d files are traced, want 20 at least", files)
	}
	c = tracingtest.Start(t)
	if r := workTraced(t, c, d.reach("restore", "s3://"+bucket+"/base", t.TempDir())...); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	wantNested(t, c, "restore", http.MethodGet, http.StatusPartialContent)
}

func TestACollectorInTroubleFailsNoCopy(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	dir := t.TempDir()
	manyFiles(t, dir, 20)
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"hangs": func(_ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		},
		"is down": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
	} {
		begun := time.Now()
		if r := work(t, d.args(dir, name)...); r.code != 0 {
			t.Fatalf("exit code %d: %s", r.code, r.stderr)
		}
		alone := time.Since(begun)
		c := tracingtest.StartAnswering(t, answer)
		begun = time.Now()
		r := workTraced(t, c, d.args(dir, name)...)
		if took := time.Since(begun); r.code != 0 || took > alone+30*time.Second {
			t.Errorf("%s: exit code %d after %v, %v without a collector: %s", name, r.code, took, alone, r.stderr)
		}
	}
}

func TestAWrongEndpointIsNamed(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	dir := t.TempDir()
	write(t, dir, "file", 10)
	r := workTraced(t, &tracingtest.Collector{URL: "localhost:4318"}, d.args(dir, "")...)
	if r.code != 0 || !strings.Contains(r.stderr, "nothing is traced") || !strings.Contains(r.stderr, tracing.EndpointEnv) {
		t.Errorf("exit code %d, %q; want a warning that names the variable", r.code, r.stderr)
	}
}
