package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is everything measured, and where.
type report struct {
	Date    string `json:"date"`
	Machine string `json:"machine"`
	// Load is the load average of the last minute when the measuring began.
	Load string `json:"loadAverage"`
	Runs int    `json:"runs"`
	// Limit is how long one copy might take, in seconds.
	Limit    float64           `json:"limitSeconds"`
	Versions map[string]string `json:"versions"`
	Commands map[string]string `json:"commands"`
	Results  []result          `json:"results"`
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

// spread is a median with its extremes.
type spread struct{ median, least, most float64 }

func (r result) spread(of func(measure) float64) spread {
	var values []float64
	for _, m := range r.Runs {
		values = append(values, of(m))
	}
	return newSpread(values)
}

func newSpread(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	return spread{(values[(n-1)/2] + values[n/2]) / 2, values[0], values[n-1]}
}

// ratio is that of ours to a peer's, by pairs of runs of the same round.
func ratio(ours, peer result, of func(measure) float64) spread {
	var values []float64
	for i := range min(len(ours.Runs), len(peer.Runs)) {
		if other := of(peer.Runs[i]); other > 0 {
			values = append(values, of(ours.Runs[i])/other)
		}
	}
	return newSpread(values)
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
		Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Load: firstWord("/proc/loadavg"),
		Runs: runs, Limit: limit.Seconds(), Versions: map[string]string{}, Commands: map[string]string{},
	}
}

// machine describes processor, cores and memory.
func machine() string {
	model := runtime.GOARCH
	// Where there is no such file, the architecture has to do.
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if match := regexp.MustCompile(`model name\s*:\s*(.+)`).FindSubmatch(text); match != nil {
			model = string(bytes.TrimSpace(match[1]))
		}
	}
	memory := ""
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kibi int64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d", &kibi); err == nil {
			memory = fmt.Sprintf(", %d GiB", (kibi+1<<19)>>20)
		}
	}
	return fmt.Sprintf("%s, %d cores%s, %s %s", model, runtime.NumCPU(), memory, runtime.GOOS, firstWord("/proc/sys/kernel/osrelease"))
}

func firstWord(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	return word
}
