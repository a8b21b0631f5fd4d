package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"cargoship.dev/operator/bench/figures"
	"cargoship.dev/operator/test/kit"
)

const (
	bucket = "scale"
	target = "s3://" + bucket + "/copy"
	// conditions are those of the lab for what somebody waits for.
	conditions = "serviceTime: {median: 20ms}\n"
	// stepLimit is the most that one step may take.
	stepLimit = time.Hour
	// waits is how often a step is run that somebody waits for; the median counts.
	waits = 5
)

// The names of the steps.
const (
	planning  = "plan"
	copying   = "copy, packed"
	checking  = "verify, by checksum"
	reading   = "verify, read back"
	listing   = "ls of a directory of 1,000"
	restoring = "restore of one file"
	globbing  = "ls of a tenth of them, by a pattern"
)

// stage is a column made ready: a tree, and a server for it.
type stage struct {
	options
	files   int
	scratch string
	server  *kit.S3
}

// step is what was measured of one program.
type step struct {
	Name string `json:"name"`
	figures.Usage
	// Requests and ReadBytes, the bodies of answers, are counted by the lab; zero where there is none.
	Requests  int64 `json:"requests,omitempty"`
	ReadBytes int64 `json:"readBytes,omitempty"`
	// Says is the last line of its output.
	Says string `json:"says"`
}

// column is what was measured with a number of files.
type column struct {
	figures.Head
	Files int `json:"files"`
	// InMemory says that files and bucket were in memory, not on a disk.
	InMemory bool   `json:"inMemory"`
	Steps    []step `json:"steps"`
	// IndexBytes and IndexObjects are what the path index takes in the bucket.
	IndexBytes   int64 `json:"indexBytes"`
	IndexObjects int   `json:"indexObjects"`
}

// run measures each step in a process of its own.
func (s *stage) run(ctx context.Context) (column, error) {
	c := column{Files: s.files}
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	program := filepath.Join(s.bin, "cargoship")
	for _, one := range []struct {
		name    string
		runs    int
		command []string
	}{
		{planning, 1, []string{self, "--dir", s.tree(), "--plan-for"}},
		{copying, 1, []string{program, "copy", s.tree(), target, "--packing", "tar"}},
		{checking, 1, []string{program, "verify", target}},
		{reading, 1, []string{program, "verify", "--read-back", target}},
		{restoring, waits, []string{program, "restore", target, s.restored(), path(s.one())}},
		{listing, waits, []string{program, "ls", target, directory(s.one())}},
		{globbing, waits, []string{program, "ls", target, directory(s.one()) + "/*7"}},
	} {
		done, err := s.median(ctx, one.name, one.runs, one.command)
		if err != nil {
			return c, err
		}
		fmt.Fprintf(os.Stderr, "benchscale: %d files: %-28s %7.2f s %7.2f CPU-s %5.0f MiB %5d requests\n",
			s.files, done.Name, done.Seconds, done.CPU, float64(done.PeakBytes)/mebi, done.Requests)
		c.Steps = append(c.Steps, done)
	}
	return c, nil
}

func (s *stage) restored() string { return filepath.Join(s.scratch, "restored") }

// median runs a program some times, if several, then through the lab, and returns the run with the median time.
func (s *stage) median(ctx context.Context, name string, runs int, command []string) (step, error) {
	var all []step
	for range runs {
		if err := os.RemoveAll(s.restored()); err != nil {
			return step{}, err
		}
		done, err := s.step(ctx, name, runs > 1, slices.Clone(command))
		if err != nil {
			return step{}, err
		}
		all = append(all, done)
	}
	slices.SortFunc(all, func(a, b step) int { return cmp.Compare(a.Seconds, b.Seconds) })
	return all[len(all)/2], nil
}

// step runs a program and returns what it took.
func (s *stage) step(ctx context.Context, name string, throughLab bool, command []string) (done step, err error) {
	done = step{Name: name}
	endpoint := s.server.Endpoint
	var lab *figures.Lab
	if throughLab {
		if lab, err = s.startLab(); err != nil {
			return done, err
		}
		endpoint = lab.Endpoint
	}
	if name == planning {
		command = append(command, endpoint)
	} else {
		command = append(command, "--endpoint-url", endpoint, "--region", s.server.Region, "--path-style", "--json")
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+s.server.AccessKey, "AWS_SECRET_ACCESS_KEY="+s.server.SecretKey, "AWS_REGION="+s.server.Region)
	var said, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complaints
	done.Usage, err = figures.Measure(ctx, stepLimit, cmd)
	if lab != nil {
		stats, stopErr := lab.Stop()
		done.Requests, done.ReadBytes = stats.Total.Requests, stats.Total.BytesOut
		err = errors.Join(err, stopErr)
	}
	if err != nil {
		return done, fmt.Errorf("%s: %w: %s", name, err, complaints.String())
	}
	if name == restoring {
		err = s.compare()
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	done.Says = lines[len(lines)-1]
	return done, err
}

func (s *stage) startLab() (*figures.Lab, error) {
	file := filepath.Join(s.scratch, "conditions.yaml")
	if err := os.WriteFile(file, []byte(conditions), 0o600); err != nil {
		return nil, fmt.Errorf("write conditions: %w", err)
	}
	return figures.StartLab(filepath.Join(s.bin, "s3lab"), "--backend", s.server.Endpoint, "--conditions", file)
}

// compare returns an error unless the file that was restored is what was archived.
func (s *stage) compare() error {
	want, err := os.ReadFile(filepath.Join(s.tree(), path(s.one())))
	if err != nil {
		return err
	}
	got, err := os.ReadFile(filepath.Join(s.restored(), path(s.one())))
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%s was restored with another content", path(s.one()))
	}
	return err
}

// index returns what the path index takes in the bucket.
func (s *stage) index(ctx context.Context) (size int64, objects int, err error) {
	store, err := s.server.Client()
	if err != nil {
		return 0, 0, err
	}
	for o := range store.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: "copy/.cargoship/", Recursive: true}) {
		if o.Err != nil {
			return 0, 0, o.Err
		}
		if strings.Contains(o.Key, "/paths/") {
			size, objects = size+o.Size, objects+1
		}
	}
	return size, objects, nil
}
