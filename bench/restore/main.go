package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"cargoship.dev/operator/bench/figures"
)

// options are what the command line chooses.
type options struct {
	bin, out, dir string
	runs, files   int
	only          *regexp.Regexp
	limit         time.Duration
}

func main() {
	var o options
	only := flag.String("only", "", "measure the columns and programs whose COLUMN:PROGRAM matches this expression")
	flag.StringVar(&o.bin, "bin", "bin", "directory of our programs, and of peers/")
	flag.StringVar(&o.out, "out", "docs/benchmarks", "directory for restore.md and restore.json")
	flag.StringVar(&o.dir, "dir", "/dev/shm", "directory to work in; it takes 5 GiB at most at a time")
	flag.IntVar(&o.runs, "runs", 5, "rounds")
	flag.IntVar(&o.files, "files", 200_000, "files of which one is restored")
	flag.DurationVar(&o.limit, "limit", 5*time.Minute, "the most that one restore may take")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err != nil || flag.NArg() > 0 || o.runs < 1 || o.files < 10 {
		fmt.Fprintln(os.Stderr, "benchrestore: want an expression for --only, --runs above 0, --files of 10 or more, and no arguments")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchrestore:", err)
		os.Exit(1)
	}
}

// run measures column by column, so that the data of one is there at a time.
func run(ctx context.Context, o options) (err error) {
	all, err := tools(o.bin)
	if err != nil {
		return err
	}
	r := &report{Head: figures.NewHead(), Runs: o.runs, Files: o.files}
	for _, c := range columns(o.files) {
		var chosen []tool
		for _, t := range all {
			if o.only.MatchString(c.name + ":" + t.name) {
				chosen = append(chosen, t)
			}
		}
		if len(chosen) == 0 {
			continue
		}
		if err := measureColumn(ctx, o, c, chosen, r); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		// What is measured stays, also when a later column is interrupted.
		if err := r.write(o.out); err != nil {
			return err
		}
	}
	return nil
}

// measureColumn archives the data and has every program restore it, in an order that rotates from
// round to round.
func measureColumn(ctx context.Context, o options, c column, chosen []tool, r *report) (err error) {
	s, err := newStage(ctx, o, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for round := range o.runs {
		for i := range chosen {
			t := chosen[(i+round)%len(chosen)]
			m, measured, err := s.restore(ctx, t)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			if !measured {
				continue
			}
			fmt.Fprintf(os.Stderr, "benchrestore: round %d of %d: %-10s %-12s %7.2f s %6.2f CPU-s %5.0f MiB %6d requests\n",
				round+1, o.runs, c.name, t.name, m.Seconds, m.CPU, float64(m.PeakBytes)/mebi, m.Requests)
			r.add(c, t.name, m)
		}
	}
	return nil
}
