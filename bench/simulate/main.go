package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"cargoship.dev/operator/internal/sim"
)

// Exit codes.
const (
	exitFailed = 1 // a run violated an invariant, or a result could not be written
	exitUsage  = 2 // a flag, a controller or a scenario is wrong
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// settings are the flags.
type settings struct {
	scenarios, controllers, output, trace string
	options                               sim.Options
	fuzz                                  int
}

func run(args []string, stdout, stderr io.Writer) int {
	trouble := log.New(stderr, "simulate: ", 0)
	s, err := parse(args, stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			trouble.Print(err)
		}
		return exitUsage
	}
	if s.fuzz > 0 {
		return s.fuzzAll(stdout, trouble)
	}
	var scenarios []*sim.Scenario
	for path := range strings.SplitSeq(s.scenarios, ",") {
		loaded, err := load(path)
		if err != nil {
			trouble.Print(err)
			return exitUsage
		}
		scenarios = append(scenarios, loaded...)
	}
	var controllers []sim.Controller
	for name := range strings.SplitSeq(s.controllers, ",") {
		c, err := sim.FindController(name)
		if err != nil {
			trouble.Print(err)
			return exitUsage
		}
		controllers = append(controllers, c)
	}
	return s.compare(scenarios, controllers, stdout, trouble)
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.scenarios, "scenario", "", "scenario files and folders, or variety:N for the N-th random one, separated by commas (required)")
	flags.StringVar(&s.controllers, "controller", "adaptive", "controllers, separated by commas: "+strings.Join(sim.ControllerNames(), ", "))
	flags.IntVar(&s.options.Seeds, "seeds", 1, "runs of each scenario and controller")
	flags.Uint64Var(&s.options.Seed, "seed", 1, "the first seed")
	flags.StringVar(&s.output, "output", "table", "table or json")
	flags.StringVar(&s.trace, "trace", "", "folder for SCENARIO.CONTROLLER.csv, the course of the first seed's run, and .decisions.txt, what was decided in it and why")
	flags.IntVar(&s.options.Parallel, "parallel", runtime.NumCPU(), "runs at once")
	flags.IntVar(&s.fuzz, "fuzz", 0, "run so many random scenarios instead, one for each seed from --seed on, and look for violations only")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.fuzz < 0:
		return s, errors.New("--fuzz must not be negative")
	case s.scenarios == "" && s.fuzz == 0:
		return s, errors.New("--scenario is missing: name a file or a folder")
	case s.options.Seeds < 1 || s.options.Parallel < 1:
		return s, errors.New("--seeds and --parallel must be at least 1")
	case s.output != "table" && s.output != "json":
		return s, fmt.Errorf("--output is %q, must be table or json", s.output)
	}
	return s, nil
}

// compare runs all and writes the results.
func (s settings) compare(scenarios []*sim.Scenario, controllers []sim.Controller, stdout io.Writer, trouble *log.Logger) int {
	if s.trace != "" {
		s.options.Trace = s.writeTrace
	}
	code := 0
	var rows []sim.Row
	err := sim.Compare(scenarios, controllers, s.options, func(row sim.Row) error {
		if row.Violation != "" {
			trouble.Printf("scenario %s, controller %s, %s", row.Scenario, row.Controller, row.Violation)
			code = exitFailed
		}
		if s.output == "json" {
			return sim.WriteJSON(stdout, row)
		}
		rows = append(rows, row)
		return nil
	})
	if err == nil && s.output == "table" {
		err = sim.WriteTable(stdout, rows)
	}
	if err != nil {
		trouble.Print(err)
		return exitFailed
	}
	return code
}

func (s settings) writeTrace(t *sim.Trace) (err error) {
	if err := os.MkdirAll(s.trace, 0o755); err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	name := filepath.Join(s.trace, strings.NewReplacer("/", "_", ":", "_").Replace(t.Scenario+"."+t.Controller))
	if err := writeFile(name+".csv", t.WriteCSV); err != nil || len(t.Decisions) == 0 {
		return err
	}
	return writeFile(name+".decisions.txt", t.WriteDecisions)
}

func writeFile(name string, write func(io.Writer) error) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}

// fuzzSteps is how often progress is told.
const fuzzSteps = 20

// fuzzAll runs random scenarios and tells the violations.
func (s settings) fuzzAll(stdout io.Writer, trouble *log.Logger) int {
	tell := log.New(stdout, "", 0)
	done, violated := 0, 0
	sim.Fuzz(s.options.Seed, s.fuzz, s.options.Parallel, func(seed uint64, violation string) {
		if done++; violation != "" {
			violated++
			trouble.Printf("seed %d: %s", seed, violation)
		}
		if done%max(1, s.fuzz/fuzzSteps) == 0 || done == s.fuzz {
			tell.Printf("%d of %d random scenarios, %d with violations", done, s.fuzz, violated)
		}
	})
	if violated > 0 {
		trouble.Print("run one alone with --fuzz 1 --seed SEED")
		return exitFailed
	}
	return 0
}

// variety begins the name of a random scenario, which its number follows.
const variety = "variety:"

// load gives the scenarios of a file or folder, or a random one.
func load(path string) ([]*sim.Scenario, error) {
	number, random := strings.CutPrefix(path, variety)
	if !random {
		return sim.Load(path)
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > mostRandom {
		return nil, fmt.Errorf("scenario %s: want the number of a random scenario after %q, from 1 to %d", path, variety, mostRandom)
	}
	return sim.Vary(sim.VarietySeed, n)[n-1:], nil
}

// mostRandom is the last random scenario that can be asked for.
const mostRandom = 100_000
