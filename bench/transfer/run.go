package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"cargoship.dev/operator/bench/figures"
)

// measure is what one copy took.
type measure struct {
	figures.Usage
	Requests  int64 `json:"requests"`
	Throttled int64 `json:"throttled"`
	// SentBytes counts the bodies that the server has got, of parts and objects.
	SentBytes int64 `json:"sentBytes"`
	// Problem is what went wrong, "" if nothing did.
	Problem string `json:"problem,omitempty"`
}

// server is a lab with a server that only counts.
type server struct {
	*figures.Lab
	certificate string
}

// startServer starts a lab for one copy.
func startServer(program, scratch string, c condition, schemePort bool) (*server, error) {
	s := &server{}
	// A packed run reads its plan again before it is committed.
	arguments := []string{"--backend", "discard", "--keep", "data/.cargoship/"}
	if schemePort {
		arguments = append(arguments, "--listen", figures.CRTAddress(c.tls))
	}
	if c.text != "" {
		file := filepath.Join(scratch, "conditions.yaml")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			return nil, fmt.Errorf("write conditions: %w", err)
		}
		arguments = append(arguments, "--conditions", file)
	}
	if c.tls {
		s.certificate = filepath.Join(scratch, "ca.pem")
		arguments = append(arguments, "--tls", "--certificate", s.certificate)
	}
	var err error
	s.Lab, err = figures.StartLab(program, arguments...)
	return s, err
}

// copyOnce has one tool do one scenario, for at most limit.
func (b *bench) copyOnce(ctx context.Context, t tool, s scenario) (measure, error) {
	server, err := startServer(filepath.Join(b.bin, "s3lab"), b.scratch, s.condition, t.schemePort)
	if err != nil {
		return measure{}, err
	}
	m := b.client(ctx, t, job{filepath.Join(b.scratch, s.data.name), server.Endpoint, server.certificate})
	stats, err := server.Stop()
	if err != nil {
		return measure{}, err
	}
	m.Requests, m.Throttled, m.SentBytes = stats.Total.Requests, stats.Total.Throttled, stats.Total.DataBytesIn
	if m.Problem == "" && !t.packs && stats.Objects != s.data.files {
		m.Problem = fmt.Sprintf("%d of %d objects stand", stats.Objects, s.data.files)
	}
	if m.Problem == "" && stats.ObjectBytes < s.data.bytes() {
		m.Problem = fmt.Sprintf("%d of %d bytes stand", stats.ObjectBytes, s.data.bytes())
	}
	return m, ctx.Err()
}

// client runs a tool and measures it.
func (b *bench) client(ctx context.Context, t tool, j job) measure {
	cmd := exec.Command(t.path, t.arguments(j)...)
	cmd.Env = []string{
		"HOME=" + b.scratch, "PATH=" + os.Getenv("PATH"), "AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey,
		"AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region, "AWS_EC2_METADATA_DISABLED=true",
	}
	if t.environment != nil {
		cmd.Env = append(cmd.Env, t.environment(j)...)
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	usage, err := figures.Measure(ctx, b.limit, cmd)
	m := measure{Usage: usage}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		m.Problem = fmt.Sprintf("over %.0f s", b.limit.Seconds())
	case err != nil:
		_, _ = fmt.Fprintf(os.Stderr, "benchtransfer: %s: %v: %s\n", t.name, err, tail(said.Bytes()))
		m.Problem = err.Error()
	}
	return m
}

// tail is the end of what a failed tool said.
func tail(said []byte) []byte {
	const most = 1000
	return bytes.TrimSpace(said[max(0, len(said)-most):])
}
