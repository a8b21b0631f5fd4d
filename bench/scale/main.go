package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"cargoship.dev/operator/bench/figures"
)

// options are what the command line chooses.
type options struct {
	files counts
	size  int
	// bin holds the programs; dir is where files and bucket are made; out takes page, data and plot.
	bin, dir, out string
	// add keeps the columns that were measured before.
	add     bool
	planFor string // the S3 server to plan for: this process is the planner
}

// counts is a list of numbers. It is a flag.Value.
type counts []int

// String implements flag.Value.
func (c *counts) String() string { return strings.Trim(fmt.Sprint([]int(*c)), "[]") }

// Set implements flag.Value.
func (c *counts) Set(list string) error {
	*c = nil
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < contentEvery {
			return fmt.Errorf("want numbers of %d or more, separated by commas", contentEvery)
		}
		*c = append(*c, n)
	}
	return nil
}

func main() {
	o := options{files: counts{10_000, 100_000, 1_000_000}}
	flag.Var(&o.files, "files", "how many files to make, for each column of the table")
	flag.IntVar(&o.size, "size", 2048, "bytes of each file that is not empty")
	flag.StringVar(&o.bin, "bin", "bin", "directory of cargoship and s3lab")
	flag.StringVar(&o.dir, "dir", "/dev/shm", "where to make files and bucket; a memory file system has an inode for a few million only")
	flag.StringVar(&o.out, "out", "docs/benchmarks", "directory for scale.md, scale.json and scale.svg")
	flag.BoolVar(&o.add, "add", false, "keep the other columns of the scale.json that is there")
	flag.StringVar(&o.planFor, "plan-for", "", "plan DIR for this endpoint, as a child of this program does")
	flag.Parse()
	if err := start(o); err != nil {
		fmt.Fprintln(os.Stderr, "benchscale:", err)
		os.Exit(1)
	}
}

// start measures, or plans, until a signal comes.
func start(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.planFor != "" {
		return plan(ctx, o)
	}
	r := report{Size: o.size}
	var problems []error
	if o.add {
		if err := figures.ReadData(filepath.Join(o.out, dataFile), &r); err != nil {
			return err
		}
	}
	for _, files := range o.files {
		column, err := measure(ctx, o, files)
		if err != nil {
			return fmt.Errorf("%d files: %w", files, err)
		}
		problems = append(problems, column.check())
		r.put(column)
		// What is measured stays, also when a later one is interrupted.
		if err := r.write(o.out); err != nil {
			return err
		}
	}
	return errors.Join(problems...)
}

// measure makes a tree and a bucket, and runs all steps. Nothing is left of them.
func measure(ctx context.Context, o options, files int) (c column, err error) {
	s := &stage{options: o, files: files}
	head := figures.NewHead()
	if s.scratch, err = os.MkdirTemp(o.dir, "scale-"); err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.scratch)) }()
	fmt.Fprintf(os.Stderr, "benchscale: making %d files\n", files)
	if err := s.makeTree(ctx); err != nil {
		return c, err
	}
	if s.server, err = figures.StartS3(ctx, s.scratch, bucket); err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.server.Stop()) }()
	if c, err = s.run(ctx); err != nil {
		return c, err
	}
	c.Head, c.InMemory = head, inMemory(o.dir)
	c.IndexBytes, c.IndexObjects, err = s.index(ctx)
	return c, err
}

func (s *stage) tree() string { return filepath.Join(s.scratch, "tree") }
