package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/minio/minio-go/v7"

	"cargoship.dev/operator/bench/figures"
	"cargoship.dev/operator/test/kit"
)

// measure is what one restore took.
type measure struct {
	figures.Usage
	Requests int64 `json:"requests"`
	// ReadBytes counts the bodies of answers.
	ReadBytes int64 `json:"readBytes"`
}

// stage is a column made ready: a server that has the archives, and the files as objects.
type stage struct {
	options
	column
	scratch string
	server  *kit.S3
}

func newStage(ctx context.Context, o options, c column) (s *stage, err error) {
	s = &stage{options: o, column: c}
	if s.scratch, err = os.MkdirTemp(o.dir, "benchrestore-"); err != nil {
		return nil, fmt.Errorf("make a scratch directory: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) source() string { return filepath.Join(s.scratch, "source") }
func (s *stage) target() string { return filepath.Join(s.scratch, "target") }

// archive is a tar of the files on this machine.
func (s *stage) archive() string { return filepath.Join(s.scratch, "local.tar") }

// prepare makes the data, starts the server and archives.
func (s *stage) prepare(ctx context.Context) error {
	if err := s.data.write(s.source()); err != nil {
		return err
	}
	var err error
	if s.server, err = figures.StartS3(ctx, s.scratch, bucket); err != nil {
		return err
	}
	store, err := s.server.Client()
	if err != nil {
		return err
	}
	steps := []*exec.Cmd{s.copyTo(s.packedAt(), s.copy...)}
	if !s.one {
		steps = append(steps, s.copyTo(s.plainAt()))
	}
	if s.tar != "" {
		create := strings.Fields(strings.Replace(s.tar, "-xf", "-cf", 1))
		steps = append(steps, exec.CommandContext(ctx, "tar", append(create, s.archive(), "--directory", s.source(), ".")...))
	}
	for _, cmd := range steps {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("archive with %q: %w: %s", cmd.Args, err, bytes.TrimSpace(out))
		}
	}
	// The other clients are to fetch the files and nothing else.
	for o := range store.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: s.plainAt() + "/.cargoship/", Recursive: true}) {
		if err := errors.Join(o.Err, store.RemoveObject(ctx, bucket, o.Key, minio.RemoveObjectOptions{})); err != nil {
			return err
		}
	}
	return nil
}

// copyTo has cargoship copy the files to a prefix.
func (s *stage) copyTo(prefix string, arguments ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, "cargoship"), append([]string{
		"copy", s.source(), "s3://" + bucket + "/" + prefix, "--endpoint-url", s.server.Endpoint, "--path-style", "--region", s.server.Region,
	}, arguments...)...)
	cmd.Env = s.environment()
	return cmd
}

func (s *stage) environment() []string {
	return []string{
		"HOME=" + s.scratch, "PATH=" + os.Getenv("PATH"), "AWS_ACCESS_KEY_ID=" + s.server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.server.SecretKey,
		"AWS_REGION=" + s.server.Region, "AWS_EC2_METADATA_DISABLED=true",
	}
}

// restore has a program restore once, through a lab, into an empty directory, and compares what it
// has restored. It is false if the program has no part in the column.
func (s *stage) restore(ctx context.Context, t tool) (m measure, measured bool, err error) {
	if err := errors.Join(ctx.Err(), os.RemoveAll(s.target()), os.Mkdir(s.target(), 0o755)); err != nil {
		return m, false, err
	}
	lab, err := s.startLab(t.schemePort)
	if err != nil {
		return m, false, err
	}
	cmd := t.command(job{s.column, lab.Endpoint, s.target(), s.archive(), s.server.S3Access})
	if cmd == nil {
		_, err := lab.Stop()
		return m, false, err
	}
	cmd.Env = append(s.environment(), cmd.Env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	m.Usage, err = figures.Measure(ctx, s.limit, cmd)
	stats, stopErr := lab.Stop()
	if err != nil {
		return m, false, fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	m.Requests, m.ReadBytes = stats.Total.Requests, stats.Total.BytesOut
	return m, true, errors.Join(stopErr, s.compare())
}

func (s *stage) startLab(schemePort bool) (*figures.Lab, error) {
	arguments := []string{"--backend", s.server.Endpoint}
	if schemePort {
		arguments = append(arguments, "--listen", figures.CRTAddress(false))
	}
	if s.conditions != "" {
		file := filepath.Join(s.scratch, "conditions.yaml")
		if err := os.WriteFile(file, []byte(s.conditions), 0o600); err != nil {
			return nil, fmt.Errorf("write conditions: %w", err)
		}
		arguments = append(arguments, "--conditions", file)
	}
	return figures.StartLab(filepath.Join(s.bin, "s3lab"), arguments...)
}

// compare returns an error unless what was restored is what was archived.
func (s *stage) compare() error {
	files := 0
	err := filepath.WalkDir(s.target(), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		rel, err := filepath.Rel(s.target(), p)
		if err != nil {
			return err
		}
		return same(filepath.Join(s.source(), rel), p)
	})
	want := s.data.files
	if s.one {
		want = 1
	}
	if err == nil && files != want {
		err = fmt.Errorf("%d of %d files were restored", files, want)
	}
	return err
}

// same returns an error unless two files have the same content.
func same(want, got string) error {
	a, err := os.Open(want)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }() // It is only read.
	b, err := os.Open(got)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // It is only read.
	one, other := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(a, one)
		m, otherErr := io.ReadFull(b, other)
		switch {
		case !bytes.Equal(one[:n], other[:m]):
			return fmt.Errorf("%s is not what was archived", got)
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil || otherErr != nil:
			return errors.Join(err, otherErr)
		}
	}
}

// close stops the server and removes everything.
func (s *stage) close() error {
	var err error
	if s.server != nil {
		err = s.server.Stop()
	}
	return errors.Join(err, os.RemoveAll(s.scratch))
}
