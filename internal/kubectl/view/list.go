package view

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
)

// Item is a run, with what is known of its workers and what limits it.
type Item struct {
	Run    explain.Run
	Leases []v1alpha1.PrefixLease
	Answer explain.Answer
}

// Options choose what a list shows.
type Options struct {
	// Wide shows all columns, whatever the terminal; Namespaces shows a column of them.
	Wide, Namespaces bool
	// Bars draws progress.
	Bars bool
}

// A terminal narrower than wideEnough shows narrowStatus columns of a status: reasons have up
// to 29 letters.
const (
	wideEnough   = 80
	narrowStatus = 18
)

// barColumns is how long a bar of progress is.
const barColumns = 16

// Columns in the order in which they are shown; those with a high rank go first where there
// is no room.
func listColumns(o Options) []column {
	columns := []column{
		{title: "NAME", flexible: true}, {title: "STATUS", rank: 2}, {title: "%", rank: 1, right: true},
		{title: "PROGRESS", rank: 7}, {title: "THROUGHPUT", rank: 3}, {title: "LIMITED BY", rank: 4},
		{title: "WINDOW", rank: 8, right: true}, {title: "THROTTLED", rank: 9, right: true},
		{title: "WORKERS", rank: 6, right: true}, {title: "ETA", rank: 5, right: true}, {title: "AGE", rank: 10, right: true},
	}
	if o.Namespaces {
		columns = append([]column{{title: "NAMESPACE", flexible: true}}, columns...)
	}
	if o.Bars {
		columns = append(columns, column{title: "", rank: 11})
	}
	if o.Wide {
		columns = append(columns, column{title: "FAILED", rank: 12, right: true}, column{title: "RATE", rank: 13, right: true},
			column{title: "SOURCE", rank: 14}, column{title: "DESTINATION", rank: 15})
	}
	return columns
}

// List shows runs, one a line.
func List(items []Item, now time.Time, t Terminal, o Options) string {
	var rows [][]cell
	for _, item := range items {
		rows = append(rows, row(item, now, t, o))
	}
	if o.Wide {
		t.Width = 0
	}
	return t.table(listColumns(o), rows)
}

func row(item Item, now time.Time, t Terminal, o Options) []cell {
	r := item.Run
	cells := []cell{{t.safe(r.Title()), plain}, phase(r, t), {percent(r), plain}, {t.safe(dash(r.Progress.Summary)), plain},
		{t.safe(dash(r.Progress.Throughput)), plain}, limitCell(item), {number(r.Coordination.Window), plain}, throttledCell(r),
		{workers(r), plain}, {eta(r, now), plain}, {age(&r.CreationTimestamp, now), plain}}
	if o.Namespaces {
		cells = append([]cell{{t.safe(r.Namespace), plain}}, cells...)
	}
	if o.Bars {
		progress := cell{style: green}
		if r.Progress.Percent != nil {
			progress.text = t.bar(*r.Progress.Percent, barColumns)
		}
		cells = append(cells, progress)
	}
	if o.Wide {
		cells = append(cells, cell{fmt.Sprint(files(r.Progress.Failed)), plain}, cell{rate(r.Coordination.MilliRequestsPerSecond), plain},
			cell{t.safe(r.Source), plain}, cell{t.safe(r.Destination), plain})
	}
	return cells
}

// phase is what the run is doing.
func phase(r explain.Run, t Terminal) cell {
	c := cell{text: t.safe(r.Phase())}
	if t.Width > 0 && t.Width < wideEnough {
		c.text = t.cut(c.text, narrowStatus)
	}
	progressing := meta.FindStatusCondition(r.Conditions, v1alpha1.ConditionProgressing)
	switch {
	case r.Is(v1alpha1.ConditionComplete):
		c = cell{"Complete", green}
	case r.Is(v1alpha1.ConditionFailed):
		c = cell{"Failed", red}
	case r.DeletionTimestamp != nil:
		c = cell{"Deleting", yellow}
	case r.Is(v1alpha1.ConditionSuspended):
		c.style = yellow
	case progressing != nil && progressing.Status == metav1.ConditionFalse:
		c.style = red
	}
	return c
}

func limitCell(item Item) cell {
	switch item.Answer.LimitedBy {
	case "", explain.Ended, explain.Unknown:
		return cell{"-", plain}
	case explain.Blocked, explain.Budget, explain.NoLeader, explain.Quota, v1alpha1.LimitOutage:
		return cell{string(item.Answer.LimitedBy), red}
	case v1alpha1.LimitPolicer:
		return cell{string(item.Answer.LimitedBy), yellow}
	}
	return cell{string(item.Answer.LimitedBy), plain}
}

func throttledCell(r explain.Run) cell {
	var worst int32
	known := false
	for _, p := range r.Prefixes {
		known = known || p.ThrottledPerMille != nil
		worst = max(worst, ptr.Deref(p.ThrottledPerMille, 0))
	}
	if !known {
		return cell{"-", plain}
	}
	c := cell{text: perMille(worst)}
	if r.Is(v1alpha1.ConditionThrottled) {
		c.style = yellow
	}
	return c
}

func perMille(n int32) string { return fmt.Sprintf("%d.%d%%", n/10, n%10) }

func percent(r explain.Run) string {
	if r.Progress.Percent == nil {
		return "-"
	}
	return fmt.Sprint(*r.Progress.Percent)
}

func workers(r explain.Run) string {
	if r.Workers.Desired == nil || r.Ended() {
		return "-"
	}
	return fmt.Sprintf("%d/%d", ptr.Deref(r.Workers.Leased, 0), ptr.Deref(r.Workers.Desired, 0))
}

func eta(r explain.Run, now time.Time) string {
	if r.EstimatedEnd == nil || r.Ended() {
		return "-"
	}
	return duration.HumanDuration(max(0, r.EstimatedEnd.Sub(now)))
}

func age(since *metav1.Time, now time.Time) string {
	if since == nil || since.IsZero() {
		return "-"
	}
	return duration.HumanDuration(max(0, now.Sub(since.Time)))
}

func files(t *v1alpha1.Tally) int64 { return ptr.Deref(ptr.Deref(t, v1alpha1.Tally{}).Files, 0) }

func number[T int32 | int64](n *T) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// rate is in requests per second.
func rate(milli *int64) string {
	if ptr.Deref(milli, 0) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f/s", float64(*milli)/1000)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// Line is a run in one line, for a log.
func Line(item Item, now time.Time) string {
	r, t := item.Run, Terminal{}
	parts := []string{t.safe(r.Namespace + "/" + r.Title()), phase(r, t).text}
	add := func(before, text string) {
		if text != "" && text != "-" {
			parts = append(parts, before+text)
		}
	}
	if r.Progress.Percent != nil {
		add("", percent(r)+"%")
	}
	add("", t.safe(r.Progress.Summary))
	add("", t.safe(r.Progress.Throughput))
	add("limited by ", limitCell(item).text)
	if !r.Ended() {
		add("window ", number(r.Coordination.Window))
		add("throttled ", throttledCell(r).text)
		add("workers ", workers(r))
	}
	add("ETA ", eta(r, now))
	return strings.Join(parts, "  ")
}

// Screen is a text within a screen of so many lines: at its top the time, or what is wrong.
func Screen(text, note string, now time.Time, t Terminal, height int) string {
	title := t.paint(faint, now.Format(time.TimeOnly)+"  ctrl-c ends")
	if note != "" {
		title = t.paint(red, t.cut(t.safe(now.Format(time.TimeOnly)+"  "+note), t.Width))
	}
	lines := append([]string{title, ""}, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
	if height > 2 && len(lines) > height {
		more := len(lines) - height + 1
		lines = append(lines[:height-1], fmt.Sprintf("%d more lines", more))
	}
	return strings.Join(lines, "\n")
}
