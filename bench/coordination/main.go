package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"cargoship.dev/operator/internal/sim"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "benchcoordination:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	scenarios, output, kept, command string
	seeds, studySeeds, parallel      int
	variety                          int
	ablations                        []string
}

func parse(args []string) (settings, error) {
	var s settings
	var ablations string
	flags := flag.NewFlagSet("benchcoordination", flag.ContinueOnError)
	flags.StringVar(&s.scenarios, "scenarios", "internal/sim/scenarios", "folder or file of scenarios")
	flags.StringVar(&s.output, "output", "docs/benchmarks", "folder for coordination.md, coordination.json and the figures")
	flags.StringVar(&s.kept, "kept", "bin/benchcoordination", "folder where results are kept between runs")
	flags.StringVar(&s.command, "command", "make bench-coordination", "the command that the report names")
	flags.IntVar(&s.seeds, "seeds", 10, "runs of each controller in each scenario")
	flags.IntVar(&s.studySeeds, "study-seeds", 5, "runs of each variant of the coordinator; 0 leaves the studies out")
	flags.IntVar(&s.parallel, "parallel", runtime.NumCPU(), "runs at once")
	flags.IntVar(&s.variety, "variety", 0, "random scenarios to compare in, in place of the others, for variety.md, variety.json and their figure")
	flags.StringVar(&ablations, "ablations", "", "mechanisms to take out, separated by commas")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 || s.seeds < 1 || s.studySeeds < 0 || s.parallel < 1 || s.variety < 0 {
		return s, errors.New("want flags only, at least one seed and one run at once")
	}
	for name := range strings.SplitSeq(ablations, ",") {
		if name != "" {
			s.ablations = append(s.ablations, subject+"-without-"+name)
		}
	}
	return s, nil
}

func run(args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	results, err := newStore(s.kept, s.parallel)
	if err != nil {
		return err
	}
	begun := time.Now()
	write := s.writeReport
	if s.variety > 0 {
		write = s.writeVariety
	}
	if err := write(results, begun); err != nil {
		return err
	}
	fmt.Printf("%d results computed and %d kept ones read in %s\n", results.computed, results.kept, time.Since(begun).Round(time.Second))
	return nil
}

// writeReport compares in the scenarios of the repository, and writes the report.
func (s settings) writeReport(results *store, begun time.Time) error {
	scenarios, err := sim.Load(s.scenarios)
	if err != nil {
		return err
	}
	r := report{date: begun, machine: machine(), command: s.command, seeds: s.seeds}
	r.compared, err = results.all(scenarios, compared(), s.seeds)
	if err != nil {
		return err
	}
	r.studied = study{seeds: s.studySeeds, ablations: s.ablations}
	if s.studySeeds > 0 {
		r.studied.compared, err = results.all(scenarios, append(varied(), s.ablations...), s.studySeeds)
		if err != nil {
			return err
		}
	}
	return r.write(s.output)
}

// all compares the controllers in every scenario, and tells how it goes.
func (s *store) all(scenarios []*sim.Scenario, controllers []string, seeds int) ([]comparison, error) {
	var list []comparison
	for i, x := range scenarios {
		begun := time.Now()
		c, err := s.compare(x, controllers, seeds)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
		fmt.Printf("%d/%d %s: %d controllers, %d seeds, %s\n", i+1, len(scenarios), x.Name, len(controllers), seeds, time.Since(begun).Round(100*time.Millisecond))
	}
	return list, nil
}
