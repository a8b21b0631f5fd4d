package main

import (
	"fmt"
	"math"
	"strings"
)

// study is what the subject does when a mechanism is taken out, or a parameter is
// set otherwise.
type study struct {
	seeds     int
	ablations []string // controllers without a mechanism
	compared  []comparison
}

func (s study) write(b *strings.Builder) {
	if len(s.compared) == 0 {
		return
	}
	if len(s.ablations) > 0 {
		fmt.Fprintf(b, "## Without a mechanism\n\nGoodput of the coordinator without one of its mechanisms, less that of the whole, in "+
			"percent of the optimum; seeds 1 to %d. `·` is less than half a percent. A `!` marks a variant that is unsound where the whole is not.\n\n", s.seeds)
		s.table(b, s.ablations, func(name string) string { return strings.TrimPrefix(name, subject+"-without-") })
	}
	fmt.Fprintf(b, "## Sensitivity\n\nThe same with an adaptive parameter at another value than its default.\n\n")
	for _, p := range parameters() {
		var names []string
		for _, v := range p.values {
			if v != p.preset {
				names = append(names, p.controller(v))
			}
		}
		fmt.Fprintf(b, "### %s (default %s)\n\n", p.name, p.preset)
		s.table(b, names, func(name string) string { return name[strings.LastIndex(name, "=")+1:] })
	}
}

// table has a line for each scenario and a column for each controller.
func (s study) table(b *strings.Builder, controllers []string, title func(string) string) {
	fmt.Fprint(b, "| scenario | default |")
	for _, name := range controllers {
		fmt.Fprintf(b, " %s |", title(name))
	}
	fmt.Fprintf(b, "\n|---|---|%s\n", strings.Repeat("---|", len(controllers)))
	sums := make([]float64, len(controllers))
	for _, c := range s.compared {
		whole, _ := c.of(subject)
		fmt.Fprintf(b, "| %s | %s |", c.scenario.Name, number(whole.get(goodput).Median, 3))
		for i, name := range controllers {
			r, _ := c.of(name)
			change := r.get(goodput).Median - whole.get(goodput).Median
			sums[i] += change
			mark := ""
			if whole.sound() && !r.sound() {
				mark = " !"
			}
			fmt.Fprintf(b, " %s%s |", points(change), mark)
		}
		fmt.Fprintln(b)
	}
	fmt.Fprint(b, "| mean | |")
	for _, sum := range sums {
		fmt.Fprintf(b, " %s |", points(sum/float64(len(s.compared))))
	}
	fmt.Fprint(b, "\n\n")
}

// points writes a change of goodput in percent of the optimum.
func points(change float64) string {
	switch {
	case math.IsNaN(change):
		return "–"
	case math.Abs(change) < 0.005:
		return "·"
	default:
		return fmt.Sprintf("%+.1f", 100*change)
	}
}
