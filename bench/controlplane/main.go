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
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/go-logr/logr"

	"cargoship.dev/operator/bench/figures"
)

// options are what the command line chooses.
type options struct {
	root, sizes, column, out string
	length                   time.Duration
	budget                   int
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "the repository")
	flag.StringVar(&o.sizes, "sizes", "10,100,1000", "fleets to measure, in workers; empty for only the page anew")
	flag.StringVar(&o.column, "column", "now", "column of the page that the figures go to")
	flag.DurationVar(&o.length, "length", 2*time.Minute, "how long a fleet is looked at, once its pods run")
	flag.IntVar(&o.budget, "api-budget", 0, "the manager's --api-budget, by which a fleet is large; 0 for its default")
	flag.StringVar(&o.out, "out", "docs/benchmarks", "directory of the page and its data")
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := measureAll(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchcontrolplane:", err)
		os.Exit(1)
	}
}

// measureAll measures every size, and writes the page after each.
func measureAll(ctx context.Context, o options) error {
	if o.length < startPhase+steadyPhase {
		return fmt.Errorf("--length is %v; it must be at least %v", o.length, startPhase+steadyPhase)
	}
	data, page := filepath.Join(o.out, "control-plane.json"), filepath.Join(o.out, "control-plane.md")
	var all report
	if err := figures.ReadData(data, &all); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	write := func() error {
		return figures.WritePage(page, all.writePage)
	}
	if o.sizes == "" {
		return write()
	}
	for _, text := range strings.Split(o.sizes, ",") {
		workers, err := strconv.Atoi(text)
		if err != nil || workers < 1 {
			return fmt.Errorf("--sizes has %q; it must be numbers of workers", text)
		}
		head := figures.NewHead()
		m, err := run(ctx, o, workers)
		if err != nil {
			return fmt.Errorf("measure %d workers: %w", workers, err)
		}
		all.put(o.column, head, m)
		if err := figures.WriteData(data, all); err != nil {
			return err
		}
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}
