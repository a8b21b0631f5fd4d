package main

import (
	"math"
	"strings"

	"cargoship.dev/operator/internal/sim"
)

// target is a condition that the subject has to meet in a scenario.
type target struct {
	what  string // for the reader
	sim   sim.Target
	value sim.Interval
}

func (t target) met() bool { return t.sim.Met(t.value.Median) }

// gap is how much is missing.
func (t target) gap() string {
	if math.IsNaN(t.value.Median) {
		return "having no value"
	}
	return number(math.Abs(t.value.Median-t.sim.Value), 3)
}

// relative is a target that compares goodput with another controller's.
type relative struct {
	scenario   string // the beginning of its name
	controller string
	factor     float64
}

// relatives are the targets that a scenario file can't hold.
func relatives() []relative {
	return []relative{
		{"02-", "aws-adaptive", 2.1},
		{"03-", "polars", 1},
		{"05-", "polars", 4},
	}
}

// targets of a scenario: those of its file, and the relative ones.
func (c comparison) targets() []target {
	our, _ := c.of(subject)
	var list []target
	for _, m := range sim.Metrics() {
		if t, ok := c.scenario.Targets[m.Name]; ok {
			list = append(list, target{m.Name, t, our.get(m.Name)})
		}
	}
	for _, r := range relatives() {
		other, ok := c.of(r.controller)
		if !ok || !strings.HasPrefix(c.scenario.Name, r.scenario) {
			continue
		}
		ratio := our.get(goodput).Median / other.get(goodput).Median
		list = append(list, target{
			"goodput over `" + r.controller + "`'s", sim.Target{Operator: ">=", Value: r.factor},
			sim.Interval{Median: ratio, Low: ratio, High: ratio},
		})
	}
	return list
}
