package main

import (
	"regexp"
	"slices"
	"time"

	"cargoship.dev/operator/bench/figures"
)

// report is everything measured, and where.
type report struct {
	figures.Head
	Runs int `json:"runs"`
	// Limit is how long one copy might take, in seconds.
	Limit    float64           `json:"limitSeconds"`
	Versions map[string]string `json:"versions"`
	Commands map[string]string `json:"commands"`
	Results  []result          `json:"results"`
	// Builds says that ours is compared with other builds of it.
	Builds bool `json:"builds,omitempty"`
	// Again are those parts that were measured again, and when.
	Again []again `json:"again,omitempty"`
}

// again is a later measurement of some scenarios and tools, in place of the first.
type again struct {
	figures.Head
	Only string `json:"only"`
}

// forget drops what is measured anew.
func (r *report) forget(only *regexp.Regexp) {
	r.Results = slices.DeleteFunc(r.Results, func(one result) bool { return only.MatchString(one.Scenario + ":" + one.Tool) })
	r.Again = slices.DeleteFunc(r.Again, func(a again) bool { return a.Only == only.String() })
	r.Again = append(r.Again, again{figures.NewHead(), only.String()})
}

// result is what one tool did in one scenario.
type result struct {
	Scenario string    `json:"scenario"`
	Tool     string    `json:"tool"`
	Runs     []measure `json:"runs"`
}

// problem is the first, "" if all runs went well.
func (r result) problem() string {
	for _, m := range r.Runs {
		if m.Problem != "" {
			return m.Problem
		}
	}
	return ""
}

func (r result) spread(of func(measure) float64) figures.Spread { return figures.SpreadOf(r.Runs, of) }

// ratio is that of ours to a peer's.
func ratio(ours, peer result, of func(measure) float64) figures.Spread {
	return figures.Ratio(ours.Runs, peer.Runs, of)
}

func seconds(m measure) float64 { return m.Seconds }
func cpu(m measure) float64     { return m.CPU }

// find returns the result of a tool in a scenario.
func (r report) find(scenario, tool string) (result, bool) {
	for _, one := range r.Results {
		if one.Scenario == scenario && one.Tool == tool {
			return one, true
		}
	}
	return result{}, false
}

func newReport(runs int, limit time.Duration) report {
	return report{
		Head: figures.NewHead(),
		Runs: runs, Limit: limit.Seconds(), Versions: map[string]string{}, Commands: map[string]string{},
	}
}
