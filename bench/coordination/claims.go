package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// claims sets what the original design promised, and never measured, against what
// the comparison gave.
func (r report) claims(b *strings.Builder) {
	fmt.Fprintf(b, `## The original's claims

The original design promised 20 to 40 %% more throughput, 30 to 50 %% less time to first byte, 99.9 %% success and less than
10 %% overhead, against uncoordinated uploads. Here they are measured against fixed windows without coordination: three
requests on each of up to four prefixes of a worker, its default (%s), and 64 for each worker (%s). Time to first byte is from
the start of a request to the first byte of its answer. Overhead is the share of requests that
stored nothing; what the control loop costs in time is not simulated, and is what `+"`go test -bench Tick ./internal/coordination`"+` measures.

| scenario | throughput over %s | over %s | first byte against %s | against %s | success | of %s | of %s |
|---|---|---|---|---|---|---|---|
`, quote(fixedDefault), quote(fixedWide), quote(fixedDefault), quote(fixedWide), quote(fixedDefault), quote(fixedWide), quote(fixedDefault), quote(fixedWide))
	gains := map[string][]float64{}
	for _, c := range r.compared {
		our, _ := c.of(subject)
		fmt.Fprintf(b, "| %s |", c.scenario.Name)
		for _, result := range []string{goodput, firstByte} {
			for _, name := range []string{fixedDefault, fixedWide} {
				other, _ := c.of(name)
				change := our.get(result).Median/other.get(result).Median - 1
				fmt.Fprintf(b, " %s |", percent(change))
				if !math.IsNaN(change) {
					gains[result+name] = append(gains[result+name], change)
				}
			}
		}
		wide, _ := c.of(fixedWide)
		narrow, _ := c.of(fixedDefault)
		fmt.Fprintf(b, " %s | %s | %s |\n", share(our), share(narrow), share(wide))
	}
	fmt.Fprintf(b, "| median of the scenarios | %s | %s | %s | %s | | | |\n\n",
		percent(middle(gains[goodput+fixedDefault])), percent(middle(gains[goodput+fixedWide])),
		percent(middle(gains[firstByte+fixedDefault])), percent(middle(gains[firstByte+fixedWide])))
	r.overhead(b)
}

// overhead tells what coordination costs.
func (r report) overhead(b *strings.Builder) {
	var shares []float64
	for _, c := range r.compared {
		if our, ok := c.of(subject); ok {
			shares = append(shares, our.get(wasted).Median)
		}
	}
	if len(shares) == 0 {
		return
	}
	fmt.Fprintf(b, "Requests that stored nothing: %.2f %% in the median scenario, %.2f %% in the worst.\n\n",
		100*middle(shares), 100*slices.Max(shares))
}

func quote(s string) string { return "`" + s + "`" }

func percent(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v > 999:
		return "over 1000 times"
	case v > 9.995:
		return fmt.Sprintf("%.0f times", v+1)
	default:
		return fmt.Sprintf("%+.1f %%", 100*v)
	}
}

// share writes archive success.
func share(e entry) string {
	v := e.get(success).Median
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.2f %%", 100*v)
}

// middle is the median; NaN of nothing.
func middle(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[float64])
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
