package sim

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Row is what one controller gave in one scenario, over all seeds.
type Row struct {
	Scenario   string              `json:"scenario"`
	Controller string              `json:"controller"`
	Seeds      int                 `json:"seeds"`
	Chosen     string              `json:"chosen,omitempty"` // by best-fixed
	Metrics    map[string]Interval `json:"-"`
	Targets    []TargetResult      `json:"targets,omitempty"`
	// Violation is the first violation of an invariant; empty when there is none.
	Violation string `json:"violation,omitempty"`

	Runs []Result `json:"-"` // by seed
}

// TargetResult is a target of the scenario held against the median.
type TargetResult struct {
	Metric string `json:"metric"`
	Target string `json:"target"`
	Met    bool   `json:"met"`
}

// Options of a comparison.
type Options struct {
	// Seeds is how many seeds each pair of scenario and controller is run with,
	// from Seed on; all controllers with the same ones.
	Seeds int
	Seed  uint64
	// Parallel is how many runs go on at once.
	Parallel int
	// Trace, where it is not nil, is given the course of the first seed's run.
	Trace func(*Trace) error
}

// Compare runs every controller in every scenario, and hands each row out as soon
// as it and those before it are there.
func Compare(scenarios []*Scenario, controllers []Controller, o Options, emit func(Row) error) error {
	for _, s := range scenarios {
		best := solve(s)
		for _, c := range controllers {
			row, err := compare(s, best, c, o)
			if err == nil {
				err = emit(row)
			}
			if err != nil {
				return fmt.Errorf("scenario %s, controller %s: %w", s.Name, c.Name, err)
			}
		}
	}
	return nil
}

func compare(s *Scenario, best *optimum, c Controller, o Options) (Row, error) {
	row := Row{Scenario: s.Name, Controller: c.Name, Seeds: o.Seeds}
	switch c.special {
	case oracleName:
		row.Runs = []Result{best.result()}
	case bestFixed:
		chosen := chooseFixed(s, best, o)
		row.Chosen = chosen.Name
		return row.filled(s, best, chosen, o)
	default:
		return row.filled(s, best, c, o)
	}
	row.sum(s, o)
	return row, nil
}

// filled runs the controller with every seed.
func (row Row) filled(s *Scenario, best *optimum, c Controller, o Options) (Row, error) {
	runs := simulateAll(s, best, c, o, o.Seeds)
	var errs []error
	for i, run := range runs {
		row.Runs = append(row.Runs, run.results)
		if row.Violation == "" && run.violation != "" {
			row.Violation = fmt.Sprintf("seed %d: %s", o.Seed+uint64(i), run.violation)
		}
	}
	if o.Trace != nil {
		runs[0].trace.Controller = row.Controller
		errs = append(errs, o.Trace(runs[0].trace))
	}
	row.sum(s, o)
	return row, errors.Join(errs...)
}

// outcome is what one run gave.
type outcome struct {
	results   Result
	violation string
	trace     *Trace
}

// simulateAll runs one controller with several seeds, some at a time.
func simulateAll(s *Scenario, best *optimum, c Controller, o Options, seeds int) []outcome {
	outcomes := make([]outcome, seeds)
	next := make(chan int)
	var working sync.WaitGroup
	for range max(1, o.Parallel) {
		working.Go(func() {
			for i := range next {
				outcomes[i] = simulate(s, best, c, o.Seed+uint64(i), o.Trace != nil && i == 0)
			}
		})
	}
	for i := range seeds {
		next <- i
	}
	close(next)
	working.Wait()
	return outcomes
}

// simulate makes one run.
func simulate(s *Scenario, best *optimum, c Controller, seed uint64, traced bool) outcome {
	r := newRun(s, seed)
	r.record.traced = traced
	c.control(r)
	r.record.watch(r)
	r.play()
	if r.conclude != nil {
		r.conclude()
	}
	o := outcome{results: r.results(best), violation: r.check.first}
	if traced {
		o.trace = r.trace(best)
	}
	return o
}

// chooseSeeds is how many seeds a fixed window is chosen with.
const chooseSeeds = 3

// hopeless is the archive success below which no larger window is tried: more in
// flight is throttled more.
const hopeless = 0.5

// chooseFixed gives the fixed window with the most goodput among those that keep
// the archives whole, or where none does, that keeps most of them.
func chooseFixed(s *Scenario, best *optimum, o Options) Controller {
	var chosen Controller
	var success, goodput float64
	o.Trace = nil
	for _, n := range fixedGrid() {
		name := fmt.Sprintf("fixed-%d", n)
		c := Controller{Name: name, law: fixedLaw(name, n)}
		var ok, good []float64
		for _, run := range simulateAll(s, best, c, o, min(chooseSeeds, o.Seeds)) {
			ok = append(ok, min(run.results["archiveSuccess"], 0.9999))
			good = append(good, run.results["goodputOfOracle"])
		}
		slices.Sort(ok)
		slices.Sort(good)
		x, y := median(ok), median(good)
		if chosen.Name == "" || x > success || x == success && y > goodput {
			chosen, success, goodput = c, x, y
		}
		if x < hopeless {
			break
		}
	}
	return chosen
}

// result is what the optimum gives by its own measure.
func (o *optimum) result() Result {
	return Result{"goodputOfOracle": 1, "archiveSuccess": 1, "throttledShare": 0, "wastedShare": 0, "jain": 1}
}

// sum sums the runs up.
func (row *Row) sum(s *Scenario, o Options) {
	row.Metrics = map[string]Interval{}
	for _, m := range Metrics() {
		var values []float64
		for _, run := range row.Runs {
			if v, ok := run[m.Name]; ok {
				values = append(values, v)
			}
		}
		if len(values) > 0 {
			row.Metrics[m.Name] = interval(values, o.Seed)
		}
	}
	for _, m := range Metrics() {
		if t, ok := s.Targets[m.Name]; ok {
			x, measured := row.Metrics[m.Name]
			row.Targets = append(row.Targets, TargetResult{m.Name, t.String(), measured && t.Met(x.Median)})
		}
	}
}
