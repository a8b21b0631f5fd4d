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
		fmt.Fprintf(b, "## Without a mechanism\n\nThe coordinator without one of its mechanisms, less the whole; %s\n\n", s.legend())
		title := func(name string) string { return strings.TrimPrefix(name, subject+"-without-") }
		s.summary(b, s.ablations, title)
		s.table(b, s.ablations, title)
	}
	fmt.Fprintf(b, "## Sensitivity\n\nThe coordinator with an adaptive parameter at another value, less that with its default; %s\n\n", s.legend())
	for _, p := range parameters() {
		var names []string
		for _, v := range p.values {
			if v != p.preset {
				names = append(names, p.controller(v))
			}
		}
		title := func(name string) string { return name[strings.LastIndex(name, "=")+1:] }
		fmt.Fprintf(b, "### %s (default %s)\n\n", p.name, p.preset)
		s.summary(b, names, title)
		s.table(b, names, title)
	}
}

// legend explains the tables.
func (s study) legend() string {
	return fmt.Sprintf("seeds 1 to %d, compared seed by seed. First the mean change over all scenarios, then that of goodput in each, "+
		"in percent of the optimum: `·` where its interval holds 0 or it is less than half a percent, `!` where the variant is not sound and the whole is.", s.seeds)
}

// effect is a result whose change the summary shows.
type effect struct {
	title, result string
	scale         float64
}

func effects() []effect {
	return []effect{
		{"goodput, % of optimum", goodput, 100},
		{"throttled, % of requests", throttled, 100},
		{"90 % after, s", "timeTo90", 1},
		{"recovery, s", "recoverySeconds", 1},
		{"p50 / idle", "p50OverIdle", 1},
		{"window CV", "windowCV", 1},
	}
}

// summary has a line for each controller and a column for each result, with the mean
// over the scenarios that have it.
func (s study) summary(b *strings.Builder, controllers []string, title func(string) string) {
	fmt.Fprint(b, "| |")
	for _, e := range effects() {
		fmt.Fprintf(b, " %s |", e.title)
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---|", len(effects())))
	for _, name := range controllers {
		fmt.Fprintf(b, "| %s |", title(name))
		for _, e := range effects() {
			sum, n := 0., 0.
			for _, c := range s.compared {
				whole, _ := c.of(subject)
				variant, _ := c.of(name)
				if change := variant.get(e.result).Median - whole.get(e.result).Median; !math.IsNaN(change) {
					sum, n = sum+change, n+1
				}
			}
			fmt.Fprintf(b, " %s |", signed(e.scale*sum/n))
		}
		fmt.Fprintln(b)
	}
	fmt.Fprintln(b)
}

// table has a line for each scenario and a column for each controller.
func (s study) table(b *strings.Builder, controllers []string, title func(string) string) {
	fmt.Fprint(b, "| scenario | whole |")
	for _, name := range controllers {
		fmt.Fprintf(b, " %s |", title(name))
	}
	fmt.Fprintf(b, "\n|---|---|%s\n", strings.Repeat("---|", len(controllers)))
	for _, c := range s.compared {
		whole, _ := c.of(subject)
		fmt.Fprintf(b, "| %s | %s |", c.scenario.Name, number(whole.get(goodput).Median, 3))
		for _, name := range controllers {
			variant, _ := c.of(name)
			mark := ""
			if whole.sound() && !variant.sound() {
				mark = " !"
			}
			change := paired(variant.Row.Runs, whole.Row.Runs)
			text := signed(100 * change.Median)
			if math.Abs(change.Median) < 0.005 || change.Low <= 0 && change.High >= 0 {
				text = "·"
			}
			fmt.Fprintf(b, " %s%s |", text, mark)
		}
		fmt.Fprintln(b)
	}
	fmt.Fprintln(b)
}

// signed writes a change.
func signed(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%+.2f", v)
}
