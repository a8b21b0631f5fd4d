package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"syscall"

	"cargoship.dev/operator/bench/figures"
	"cargoship.dev/operator/internal/sim"
)

//go:embed scenarios/*.yaml
var files embed.FS

// options are what the command line chooses.
type options struct {
	bin, out, dir string
	runs          int
	only          *regexp.Regexp
}

func main() {
	var o options
	only := flag.String("only", "", "run the scenarios whose names match this expression, and keep the other results that are there")
	flag.StringVar(&o.bin, "bin", "bin", "directory of our programs")
	flag.StringVar(&o.out, "out", "docs/benchmarks", "directory for validation.md and validation.json")
	flag.StringVar(&o.dir, "dir", "/dev/shm", "directory for what is copied; it takes no room but inodes")
	flag.IntVar(&o.runs, "runs", 5, "copies, and simulated runs, of each scenario")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err != nil || flag.NArg() > 0 || o.runs < 1 {
		fmt.Fprintln(os.Stderr, "benchvalidation: want an expression for --only, --runs above 0, and no arguments")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchvalidation:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	scenarios, err := load()
	if err != nil {
		return err
	}
	r := &report{}
	if err := figures.ReadData(filepath.Join(o.out, dataFile), r); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.Runs = o.runs
	for _, s := range scenarios {
		if !o.only.MatchString(s.Name) {
			continue
		}
		one := result{Head: figures.NewHead(), Scenario: s.Name, Description: s.Description}
		if one.Measured, err = measureAll(ctx, o, s); err != nil {
			return fmt.Errorf("copy under the conditions of %s: %w", s.Name, err)
		}
		if one.Simulated, err = simulateAll(s, o.runs); err != nil {
			return err
		}
		r.put(one)
		// What is measured stays, also when a later scenario is interrupted.
		if err := r.write(o.out); err != nil {
			return err
		}
	}
	return nil
}

// load gives the scenarios in the order of their names.
func load() ([]*sim.Scenario, error) {
	names, err := fs.Glob(files, "scenarios/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("find the scenarios: %w", err)
	}
	var scenarios []*sim.Scenario
	var errs []error
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read a scenario: %w", err)
		}
		s, err := sim.Parse(path.Base(name), text)
		if err == nil {
			err = representable(s)
		}
		scenarios, errs = append(scenarios, s), append(errs, err)
	}
	return scenarios, errors.Join(errs...)
}
