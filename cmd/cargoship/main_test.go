package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/copy"
)

// envBeProgram makes the test binary behave as the program.
const envBeProgram = "CARGOSHIP_TEST_BE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(envBeProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// result is what a run of the program left.
type result struct {
	code           int
	stdout, stderr string
}

// lastLine returns the last line of standard error.
func (r result) lastLine() string {
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	return lines[len(lines)-1]
}

// summary reads the object on the last line of standard output.
func (r result) summary(tb testing.TB) copy.Summary {
	tb.Helper()
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	var s copy.Summary
	d := json.NewDecoder(strings.NewReader(lines[len(lines)-1]))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		tb.Fatalf("last line of %q: %v\n%s", r.stdout, err, r.stderr)
	}
	return s
}

// process is the program under way.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

// launch starts the program. The environment holds no credentials and no way to find any.
func launch(ctx context.Context, tb testing.TB, args ...string) *process {
	tb.Helper()
	return launchIn(ctx, tb, nil, args...)
}

// launchIn is launch with more in the environment.
func launchIn(ctx context.Context, tb testing.TB, env []string, args ...string) *process {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	p := &process{cmd: exec.CommandContext(ctx, self, args...)}
	p.cmd.Env = append([]string{
		envBeProgram + "=1", "HOME=" + tb.TempDir(), "AWS_EC2_METADATA_DISABLED=true",
		"GOCOVERDIR=" + os.Getenv("GOCOVERDIR"), "PATH=" + os.Getenv("PATH"),
	}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return p
}

func (p *process) wait(tb testing.TB) result {
	tb.Helper()
	err := p.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || !exit.Exited()) {
		tb.Fatalf("cargoship: %v\n%s", err, p.stderr.String())
	}
	return result{p.cmd.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()}
}

// work runs the program to its end.
func work(tb testing.TB, args ...string) result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 5*time.Minute)
	defer cancel()
	return launch(ctx, tb, args...).wait(tb)
}

func TestUsageErrors(t *testing.T) {
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"unknown command":    {[]string{"coyp"}, `cargoship: unknown command "coyp"`},
		"unknown flag":       {[]string{"copy", "--frobnicate"}, "cargoship copy: unknown flag: --frobnicate"},
		"no arguments":       {[]string{"copy"}, "cargoship copy: accepts 2 arg(s), received 0"},
		"no scheme":          {[]string{"copy", dir, "bucket/prefix"}, `destination "bucket/prefix": must be s3://BUCKET`},
		"other scheme":       {[]string{"copy", dir, "gs://bucket"}, `destination "gs://bucket": must be s3://BUCKET`},
		"no bucket":          {[]string{"copy", dir, "s3:///prefix"}, "is no bucket name"},
		"climbing prefix":    {[]string{"copy", dir, "s3://bucket/a/../b"}, `base prefix "a/../b"`},
		"absolute prefix":    {[]string{"copy", dir, "s3://bucket//a"}, `base prefix "/a"`},
		"endpoint not a URL": {[]string{"copy", dir, "s3://b", "--endpoint-url", "localhost:9000"}, `endpoint URL: must be like`},
		"endpoint with keys": {[]string{"copy", dir, "s3://b", "--endpoint-url", "https://key:hunter2@h"}, `credentials belong in`},
		"unknown pattern":    {[]string{"copy", dir, "s3://b", "--pattern", "spiral"}, "must be Mirror, Hash"},
		"unknown strategy":   {[]string{"copy", dir, "s3://b", "--strategy", "greedy"}, "must be TCPLike, FairShare, Adaptive"},
		"unknown packing":    {[]string{"copy", dir, "s3://b", "--packing", "zip"}, "must be objects"},
		"too many prefixes":  {[]string{"copy", dir, "s3://b", "--prefixes", "65"}, "65 prefixes"},
		"prefixes no number": {[]string{"copy", dir, "s3://b", "--prefixes", "x"}, "--prefixes"},
		"include no pattern": {[]string{"copy", dir, "s3://b", "--include", "a["}, `include: "a["`},
		"version, argument":  {[]string{"version", "x"}, "cargoship version: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := work(t, tc.args...)
			if r.code != cli.ExitUsage {
				t.Errorf("exit code %d, want %d", r.code, cli.ExitUsage)
			}
			if lines := strings.Count(r.stderr, "\n"); lines != 1 || r.stdout != "" {
				t.Errorf("%d lines of errors and %q, want one line", lines, r.stdout)
			}
			if !strings.Contains(r.stderr, tc.want) || !strings.Contains(r.stderr, "--help") {
				t.Errorf("error %q, want one with %q and the way to help", r.stderr, tc.want)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	if r := work(t, "version"); r.code != 0 || !strings.HasPrefix(r.stdout, "cargoship ") || !strings.Contains(r.stdout, "go1.") {
		t.Errorf("exit code %d, %q", r.code, r.stdout)
	}
}

func TestHelpIsForThoseWhoAsk(t *testing.T) {
	if r := work(t, "copy", "--help"); r.code != 0 || !strings.Contains(r.stdout, "--endpoint-url") || r.stderr != "" {
		t.Errorf("exit code %d, %q, %q", r.code, r.stdout, r.stderr)
	}
}

func TestChoice(t *testing.T) {
	for text, want := range map[string]string{
		"TCPLike": "TCPLike", "tcp_like": "TCPLike", "tcp-like": "TCPLike", "FAIRSHARE": "FairShare", "fair_share": "FairShare",
	} {
		var got string
		if err := choice(&got, "TCPLike", "FairShare").Set(text); err != nil || got != want {
			t.Errorf("Set(%q) gives %q, %v; want %q", text, got, err, want)
		}
	}
}
