package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"cargoship.dev/operator/internal/sim"
)

// Names of the simulator's results that the report is about.
const (
	goodput   = "goodputOfOracle"
	success   = "archiveSuccess"
	throttled = "throttledShare"
	wasted    = "wastedShare"
	firstByte = "ttfbP50"
)

// entry is what one controller did in one scenario, with the course of the first
// seed's run where it was kept.
type entry struct {
	Row   sim.Row
	Trace *sim.Trace
	// Took is how long it was computed.
	Took time.Duration
}

// get gives a result; NaN when it does not apply.
func (e entry) get(name string) sim.Interval {
	if v, ok := e.Row.Metrics[name]; ok {
		return v
	}
	return sim.Interval{Median: math.NaN(), Low: math.NaN(), High: math.NaN()}
}

// name of the controller, with what it chose.
func (e entry) name() string {
	if e.Row.Chosen != "" {
		return e.Row.Controller + ": " + e.Row.Chosen
	}
	return e.Row.Controller
}

// Bounds of what counts as a comparison: goodput won by failing archives or by
// flooding the destination with throttled requests is no goodput.
const (
	leastSuccess  = 0.9999
	mostThrottled = 0.02
)

// sound tells whether the controller kept archive success and few throttles. Where no
// archive ended, none failed.
func (e entry) sound() bool {
	ok, lost := e.get(success).Median, e.get(throttled).Median
	return !math.IsNaN(e.get(goodput).Median) && !(ok < leastSuccess) && lost <= mostThrottled
}

// comparison is what all controllers did in one scenario, best goodput first.
type comparison struct {
	scenario *sim.Scenario
	entries  []entry
}

func compare(s *sim.Scenario, entries []entry) comparison {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b entry) int {
		x, y := a.get(goodput).Median, b.get(goodput).Median
		switch {
		case x > y, math.IsNaN(y) && !math.IsNaN(x):
			return -1
		case x < y, math.IsNaN(x) && !math.IsNaN(y):
			return 1
		}
		return 0
	})
	return comparison{s, entries}
}

// of gives what a controller did.
func (c comparison) of(controller string) (entry, bool) {
	i := slices.IndexFunc(c.entries, func(e entry) bool { return e.Row.Controller == controller })
	if i < 0 {
		return entry{}, false
	}
	return c.entries[i], true
}

// best gives the sound baseline with the highest goodput.
func (c comparison) best() (entry, bool) {
	i := slices.IndexFunc(c.entries, func(e entry) bool { return e.sound() && !ours(e.Row.Controller) })
	if i < 0 {
		return entry{}, false
	}
	return c.entries[i], true
}

// rank of a controller by goodput among the sound baselines and itself, from 1, and
// how many those are; 0 when it is not sound.
func (c comparison) rank(controller string) (rank, of int) {
	for _, e := range c.entries {
		mine := e.Row.Controller == controller
		if !e.sound() || ours(e.Row.Controller) && !mine {
			continue
		}
		of++
		if mine {
			rank = of
		}
	}
	return rank, of
}

// verdict says how ours compares with the best sound baseline, and gives the
// difference of their goodput, seed by seed.
func (c comparison) verdict() (string, sim.Interval) {
	our, ok := c.of(subject)
	best, found := c.best()
	difference := paired(our.Row.Runs, best.Row.Runs)
	switch {
	case !ok:
		return "not run", difference
	case !our.sound():
		return "**unsound**", difference
	case !found:
		return "no other is sound", difference
	case difference.Low > 0:
		return "better", difference
	case difference.High < 0:
		return "**worse**", difference
	default:
		return "equal", difference
	}
}

// paired gives the median of the differences of goodput between runs with the same
// seed, with its 95 % bootstrap interval.
func paired(a, b []sim.Result) sim.Interval {
	var differences []float64
	for i := range min(len(a), len(b)) {
		differences = append(differences, a[i][goodput]-b[i][goodput])
	}
	if len(differences) == 0 {
		return sim.Interval{Median: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	const resamples = 1000
	random := rand.New(rand.NewPCG(1, 0))
	medians, sample := make([]float64, resamples), make([]float64, len(differences))
	for i := range medians {
		for j := range sample {
			sample[j] = differences[random.IntN(len(differences))]
		}
		medians[i] = middle(sample)
	}
	slices.Sort(medians)
	return sim.Interval{Median: middle(differences), Low: medians[resamples*25/1000], High: medians[resamples*975/1000-1]}
}
