package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rivo/uniseg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/explain"
)

// maxFailures is how many failed archives are shown.
const maxFailures = 5

// Detail shows one run: progress, what limits it, what is wrong, prefixes, workers.
func Detail(item Item, now time.Time, t Terminal) string {
	r := item.Run
	var out strings.Builder
	out.WriteString(title(r, t) + "\n")
	lines := []string{t.safe(r.Source) + " to " + t.safe(r.Destination)}
	if percent := r.Progress.Percent; percent != nil {
		lines = append(lines, fmt.Sprintf("%s %d%%  %s", t.bar(*percent, barColumns), *percent, t.safe(r.Progress.Summary)))
	} else if r.Progress.Summary != "" {
		lines = append(lines, t.safe(r.Progress.Summary)+", the source is still being listed")
	}
	lines = append(lines, pace(r, now, t))
	if !r.Ended() {
		lines = append(lines, control(r))
	}
	for _, line := range lines {
		for _, l := range t.wrap(line, "  ") {
			out.WriteString(l + "\n")
		}
	}
	out.WriteString(said(item.Answer, t))
	// What is wrong comes before the tables, which may be longer than the screen.
	for _, section := range []string{conditions(r, now, t), failures(r, t), prefixes(r, t), fleet(item, t)} {
		if section != "" {
			out.WriteString("\n" + section)
		}
	}
	return out.String()
}

// title is the name of the run and its phase, in one line.
func title(r explain.Run, t Terminal) string {
	p := phase(r, t)
	name := t.safe(r.Namespace + "/" + r.Title())
	if t.Width > 0 {
		p.text = t.cut(p.text, t.Width/2)
		name = t.squeeze(name, t.Width-uniseg.StringWidth(p.text)-2)
	}
	return t.paint(bold, name) + "  " + t.paint(p.style, p.text)
}

// pace is how fast the run is and how long it takes.
func pace(r explain.Run, now time.Time, t Terminal) string {
	parts := []string{fmt.Sprintf("%d files done, %d failed, %d skipped", files(r.Progress.Done), files(r.Progress.Failed), files(r.Progress.Skipped))}
	if r.Progress.Throughput != "" {
		parts = append(parts, t.safe(r.Progress.Throughput))
	}
	switch {
	case r.End != nil && r.Start != nil:
		parts = append(parts, "took "+r.End.Sub(r.Start.Time).String())
	case r.Start != nil:
		parts = append(parts, "running for "+age(r.Start, now), "ETA "+eta(r, now))
	}
	return strings.Join(parts, ", ")
}

// control is the state of the congestion control.
func control(r explain.Run) string {
	c := r.Coordination
	return fmt.Sprintf("window %s, rate %s, %s, workers %s, throttled %s",
		number(c.Window), rate(c.MilliRequestsPerSecond), dash(c.State), workers(r), throttledCell(r).text)
}

// said is the answer in a sentence and what to do.
func said(a explain.Answer, t Terminal) string {
	var out strings.Builder
	first := "limited by " + string(a.LimitedBy) + ": " + a.Sentence
	if a.LimitedBy == explain.Ended {
		first = a.Sentence
	}
	for _, text := range []string{first, a.Advice} {
		if text == "" || a.LimitedBy == "" {
			continue
		}
		for _, l := range t.wrap(t.safe(text), "  ") {
			out.WriteString(l + "\n")
		}
	}
	return out.String()
}

func prefixes(r explain.Run, t Terminal) string {
	if len(r.Prefixes) == 0 {
		return ""
	}
	columns := []column{{title: "PREFIX", flexible: true}, {title: "DONE", rank: 1, right: true}, {title: "PLANNED", rank: 5, right: true},
		{title: "THROUGHPUT", rank: 2, right: true}, {title: "WINDOW", rank: 3, right: true}, {title: "RATE", rank: 6, right: true},
		{title: "THROTTLED", rank: 4, right: true}, {title: "P50", rank: 7, right: true}, {title: "P99", rank: 8, right: true}}
	var rows [][]cell
	for _, p := range ForPrefixes(r, t) {
		rows = append(rows, texts(p.Name, p.Done, p.Planned, p.Throughput, p.Window, p.Rate, p.Throttled, p.P50, p.P99))
	}
	return t.table(columns, rows)
}

// fleet shows the workers: what each is granted, has in flight, and reports as its limit.
func fleet(item Item, t Terminal) string {
	if len(item.Leases) == 0 {
		return ""
	}
	columns := []column{{title: "WORKER", flexible: true}, {title: "WINDOW", rank: 1, right: true}, {title: "IN FLIGHT", rank: 2, right: true},
		{title: "LIMITED BY", rank: 3}, {title: "ACCEPTED", rank: 5, right: true}, {title: "THROTTLED", rank: 4, right: true}, {title: "STATE", rank: 6}}
	var rows [][]cell
	for _, w := range ForWorkers(item.Leases, t) {
		rows = append(rows, texts(w.Name, w.Window, w.InFlight, w.LimitedBy, w.Accepted, w.Throttled, w.State))
	}
	return t.table(columns, rows)
}

// words lists the limits that a worker reports.
func words(limits map[v1alpha1.Bottleneck]bool) string {
	var list []string
	for limit, is := range limits {
		if is {
			list = append(list, string(limit))
		}
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}

// state is what is special about a worker.
func state(lease v1alpha1.PrefixLease) string {
	for _, c := range lease.Status.Conditions {
		if c.Status == metav1.ConditionTrue {
			return c.Type + ": " + c.Reason
		}
	}
	switch {
	case lease.Status.Instance == "":
		return "starting"
	case lease.Spec.Duty != "":
		return "lists the source"
	}
	return "-"
}

// conditions shows those that say that something is not as it should be.
func conditions(r explain.Run, now time.Time, t Terminal) string {
	var out strings.Builder
	for _, c := range r.Conditions {
		s := yellow
		switch {
		case c.Type == v1alpha1.ConditionFailed && c.Status == metav1.ConditionTrue,
			c.Type == v1alpha1.ConditionProgressing && c.Status == metav1.ConditionFalse && !r.Ended():
			s = red
		case c.Status != metav1.ConditionTrue || c.Type != v1alpha1.ConditionThrottled && c.Type != v1alpha1.ConditionDegraded:
			continue
		}
		text := t.safe(fmt.Sprintf("%s %s, %s ago: %s: %s", c.Type, c.Status, age(&c.LastTransitionTime, now), c.Reason, c.Message))
		for _, l := range t.wrap(text, "") {
			out.WriteString(t.paint(s, l) + "\n")
		}
	}
	return out.String()
}

func failures(r explain.Run, t Terminal) string {
	var out strings.Builder
	for _, f := range r.Failures[:min(len(r.Failures), maxFailures)] {
		text := t.safe("failed: " + Failure(f))
		out.WriteString(strings.Join(t.wrap(text, ""), "\n") + "\n")
	}
	if more := len(r.Failures) - maxFailures; more > 0 {
		fmt.Fprintf(&out, "failed: %d more archives\n", more)
	}
	return out.String()
}

// Failure is one in a line.
func Failure(f v1alpha1.ArchiveFailure) string {
	return fmt.Sprintf("archive %d of prefix %s: %s: %s", ptr.Deref(f.Number, 0), f.Prefix, f.Reason, f.Message)
}

func texts(list ...string) []cell {
	row := make([]cell, len(list))
	for i, text := range list {
		row[i].text = text
	}
	return row
}

func size(t *v1alpha1.Tally) string {
	return convert.Bytes(ptr.Deref(ptr.Deref(t, v1alpha1.Tally{}).Bytes, 0))
}

func millis(us *int64) string {
	if ptr.Deref(us, 0) == 0 {
		return "-" // nothing was measured
	}
	if *us < 1000 {
		return "<1ms"
	}
	return fmt.Sprintf("%.0fms", float64(*us)/1000)
}
