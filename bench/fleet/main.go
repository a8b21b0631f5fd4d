package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"cargoship.dev/operator/bench/figures"
	"cargoship.dev/operator/test/cluster/sandbox"
	"cargoship.dev/operator/test/kit/assets"
)

// insideEnv marks the process that runs in the network of the cluster.
const insideEnv = "CARGOSHIP_BENCHFLEET"

// options are what the command line chooses.
type options struct {
	root, dir, out string
	only           *regexp.Regexp
	// How long each run is measured: while the fleet searches, alone, and shared.
	search, alone, shared time.Duration
	render                bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchfleet:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context) error {
	o, err := parse()
	if err != nil {
		return err
	}
	if o.render {
		return render(o.out)
	}
	state, err := sandbox.Open(o.dir)
	if err != nil {
		return fmt.Errorf("open the cluster of %s: %w", o.dir, err)
	}
	if os.Getenv(insideEnv) == "" {
		return inside(ctx, state)
	}
	return run(ctx, o, state)
}

func parse() (options, error) {
	var o options
	var only string
	var err error
	if o.root, err = assets.RepositoryRoot(); err != nil {
		return o, err
	}
	flag.StringVar(&o.dir, "dir", filepath.Join(o.root, "bin", "cluster.run"), "run directory of the cluster")
	flag.StringVar(&o.out, "out", filepath.Join(o.root, "docs"), "directory for benchmarks/fleet.* and dashboard.svg")
	flag.StringVar(&only, "only", "", "run what matches this expression of CONDITION/WORKERS:FLEET")
	flag.DurationVar(&o.search, "search", 15*time.Second, "how long each fleet may search for the path's capacity")
	flag.DurationVar(&o.alone, "alone", 24*time.Second, "how long each fleet is measured alone")
	flag.DurationVar(&o.shared, "shared", 10*time.Second, "how long it is measured beside its neighbor")
	flag.BoolVar(&o.render, "render", false, "run nothing: write page and plot of the data that is there")
	flag.Parse()
	if flag.NArg() > 0 || min(o.search, o.alone, o.shared) < time.Second {
		return o, errors.New("want durations of at least a second and no arguments")
	}
	if o.only, err = regexp.Compile(only); err != nil {
		return o, fmt.Errorf("--only: %w", err)
	}
	if o.dir, err = filepath.Abs(o.dir); err == nil {
		o.out, err = filepath.Abs(o.out)
	}
	return o, err
}

// inside runs this program again in the network of the cluster, where pods reach what it
// starts, and it reaches them.
func inside(ctx context.Context, state *sandbox.State) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	arguments := append([]string{"--target", strconv.Itoa(state.PID), "--net", "--", program}, os.Args[1:]...)
	cmd := exec.CommandContext(ctx, "nsenter", arguments...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(os.Environ(), insideEnv+"=1", "HTTP_PROXY=", "HTTPS_PROXY=", "http_proxy=", "https_proxy=")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run in the network of the cluster: %w", err)
	}
	return nil
}

// run measures everything that was asked for.
func run(ctx context.Context, o options, state *sandbox.State) (err error) {
	r, err := newRig(ctx, o, state)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	results := report{Head: figures.NewHead(), SearchSeconds: o.search.Seconds(), AloneSeconds: o.alone.Seconds(), SharedSeconds: o.shared.Seconds()}
	for _, c := range conditions() {
		if !o.wants(c) {
			continue
		}
		lonely, err := r.neighborAlone(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: measure the neighbor alone: %w", c.name, err)
		}
		results.Neighbors = append(results.Neighbors, lonely)
	}
	for _, s := range scenarios() {
		if !o.only.MatchString(s.name()) {
			continue
		}
		one, err := r.measure(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name(), err)
		}
		results.Results = append(results.Results, one)
		fmt.Fprintf(os.Stderr, "benchfleet: %s\n", results.line(one))
		// What is measured stays, also when a later run is interrupted.
		if err := results.write(o.out); err != nil {
			return err
		}
	}
	return r.drawDashboard(ctx, o)
}

// wants tells whether any run under a condition is to be done.
func (o options) wants(c condition) bool {
	for _, s := range scenarios() {
		if s.condition.name == c.name && o.only.MatchString(s.name()) {
			return true
		}
	}
	return false
}
