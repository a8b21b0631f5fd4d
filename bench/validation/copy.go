package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"cargoship.dev/operator/internal/sim"
	"cargoship.dev/operator/lab"
	"cargoship.dev/operator/test/kit/process"
)

const (
	// reserve is by how much more there is to copy than the path carries.
	reserve = 1.25
	// patience is how long a copy may take to send its first file, and to end.
	patience = 20 * time.Second
	// look is how often the lab is asked whether it has begun.
	look = 5 * time.Millisecond
)

// measureAll copies so many times, each time to a lab of its own.
func measureAll(ctx context.Context, o options, s *sim.Scenario) (all []figure, err error) {
	scratch, err := os.MkdirTemp(o.dir, "benchvalidation-")
	if err != nil {
		return nil, fmt.Errorf("make a scratch directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := writeFiles(filepath.Join(scratch, "source"), s); err != nil {
		return nil, err
	}
	for n := range o.runs {
		f, err := measure(ctx, o, s, scratch, uint64(n+1))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "benchvalidation: %s, copy %d of %d: %v\n", s.Name, n+1, o.runs, f)
		all = append(all, f)
	}
	return all, nil
}

// writeFiles makes a directory for each prefix, with files of the size of a part. They hold zeros, which take no room. Their
// number is so small that the walk of a copy is ahead of all prefixes soon, as the simulator's plan is.
func writeFiles(dir string, s *sim.Scenario) error {
	t := &s.Transfers[0]
	for _, p := range t.Prefixes {
		for n := range p.Count {
			folder := filepath.Join(dir, fmt.Sprintf("%s-%d", p.Partition, n))
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return fmt.Errorf("make data: %w", err)
			}
			for i := range int(reserve * float64(most(s, p.Partition))) {
				if err := writeZeros(filepath.Join(folder, fmt.Sprintf("%06d", i)), int64(t.PartSize)); err != nil {
					return fmt.Errorf("make data: %w", err)
				}
			}
		}
	}
	return nil
}

func writeZeros(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// measure copies through a lab for as long as the scenario lasts.
func measure(ctx context.Context, o options, s *sim.Scenario, scratch string, seed uint64) (f figure, err error) {
	l := lab.New(lab.Options{
		Backend: lab.NewDiscard(base + "/.cargoship/"),
		Plan:    lab.Plan{Seed: seed, Conditions: conditions(s, 0)},
	})
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return f, fmt.Errorf("listen: %w", err)
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- l.Serve(serving, on, nil) }()
	defer func() {
		stop()
		err = errors.Join(err, <-served)
	}()
	cmd := exec.Command(filepath.Join(o.bin, "cargoship"), "copy", filepath.Join(scratch, "source"), "s3://bench/"+base,
		"--endpoint-url", "http://"+on.Addr().String(), "--path-style", "--region", "us-east-1", "--no-memory", "--json")
	cmd.Env = []string{"HOME=" + scratch, "PATH=" + os.Getenv("PATH"), "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "AWS_EC2_METADATA_DISABLED=true"}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	child, err := process.Start(cmd)
	if err != nil {
		return f, err
	}
	f, err = watch(ctx, l, s, child)
	if stopped := child.Stop(patience); err != nil {
		err = fmt.Errorf("%w: cargoship said %q", errors.Join(err, stopped), strings.TrimSpace(said.String()))
	}
	return f, err
}

// watch changes the conditions as the scenario says, from the first file on, and counts until it ends.
func watch(ctx context.Context, l *lab.Lab, s *sim.Scenario, child *process.Process) (figure, error) {
	waited := time.Now()
	for seen(l).requests == 0 {
		if err := pause(ctx, child, look); err != nil {
			return figure{}, err
		}
		if time.Since(waited) > patience {
			return figure{}, errors.New("it sends nothing")
		}
	}
	begun := time.Now()
	for _, c := range s.Changes {
		if err := pause(ctx, child, time.Until(begun.Add(time.Duration(c.At)))); err != nil {
			return figure{}, err
		}
		l.Set(conditions(s, time.Duration(c.At)))
	}
	if err := pause(ctx, child, time.Until(begun.Add(time.Duration(s.Duration)))); err != nil {
		return figure{}, err
	}
	x := seen(l)
	return figure{
		Goodput: float64(x.bytes) / time.Since(begun).Seconds(), Throttled: float64(x.throttled) / float64(x.requests),
		P50: l.Stats().Total.StoredP50,
	}, nil
}

// pause waits, unless the copy ends meanwhile.
func pause(ctx context.Context, child *process.Process, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-child.Done():
		return errors.New("the copy ended before the scenario")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// traffic is what the partitions of a scenario have seen.
type traffic struct{ requests, throttled, bytes int64 }

func seen(l *lab.Lab) (all traffic) {
	for _, p := range l.Stats().Partitions {
		if p.Name != "" { // what a copy keeps beside its data
			all.requests += p.Requests
			all.throttled += p.Throttled
			all.bytes += p.AcceptedBytesIn
		}
	}
	return all
}
