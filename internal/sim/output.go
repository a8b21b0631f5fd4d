package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// MarshalJSON gives the row as one object, with every metric beside the names.
func (row Row) MarshalJSON() ([]byte, error) {
	type plain Row
	named, err := json.Marshal(plain(row))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Write(named[:len(named)-1])
	for _, m := range Metrics() {
		if x, ok := row.Metrics[m.Name]; ok {
			text, err := json.Marshal(Interval{rounded(x.Median), rounded(x.Low), rounded(x.High)})
			if err != nil {
				return nil, fmt.Errorf("metric %s: %w", m.Name, err)
			}
			fmt.Fprintf(&b, ",%q:%s", m.Name, text)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// rounded keeps six significant digits: more would be noise.
func rounded(x float64) float64 {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return x
	}
	scale := math.Pow(10, 5-math.Floor(math.Log10(math.Abs(x))))
	return math.Round(x*scale) / scale
}

// WriteJSON writes the row as one line.
func WriteJSON(w io.Writer, row Row) error {
	text, err := json.Marshal(row)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// tableMetrics are the columns of the table.
func tableMetrics() []string {
	return []string{
		"goodputOfOracle", "archiveSuccess", "throttledShare", "timeTo90", "recoverySeconds",
		"p50OverIdle", "p99OverIdle", "jain", "windowCV", "requestsPerGB",
	}
}

// WriteTable writes the rows as a table of medians, and below it the targets.
func WriteTable(w io.Writer, rows []Row) error {
	t := &bytes.Buffer{}
	fmt.Fprint(t, "scenario\tcontroller\tgoodput\tsuccess\tthrottled\tto 90 %\trecovery\tp50/idle\tp99/idle\tjain\tcv\treq/GB\tviolations\ttargets\n")
	for _, row := range rows {
		name := row.Controller
		if row.Chosen != "" {
			name += " (" + row.Chosen + ")"
		}
		fmt.Fprintf(t, "%s\t%s", row.Scenario, name)
		for _, metric := range tableMetrics() {
			x, ok := row.Metrics[metric]
			if !ok {
				fmt.Fprint(t, "\t-")
				continue
			}
			fmt.Fprintf(t, "\t%.4g", x.Median)
		}
		fmt.Fprintf(t, "\t%.0f\t%s\n", row.Metrics["violations"].High, row.met())
	}
	aligned := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := aligned.Write(t.Bytes()); err != nil {
		return err
	}
	return aligned.Flush()
}

// met tells which targets are missed.
func (row Row) met() string {
	if len(row.Targets) == 0 {
		return "-"
	}
	var missed []string
	for _, t := range row.Targets {
		if !t.Met {
			missed = append(missed, t.Metric+" "+t.Target)
		}
	}
	if len(missed) == 0 {
		return "met"
	}
	return "missed: " + strings.Join(missed, ", ")
}
