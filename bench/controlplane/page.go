package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"cargoship.dev/operator/bench/figures"
)

// report holds the measurements of all columns of the page, in the order in which they were made.
type report struct {
	Columns []column `json:"columns"`
}

// column is one state of the software.
type column struct {
	Name string        `json:"name"`
	Head figures.Head  `json:"head"`
	Runs []measurement `json:"runs"`
}

// put replaces what the column says of a fleet of that size.
func (r *report) put(name string, head figures.Head, m measurement) {
	i := slices.IndexFunc(r.Columns, func(c column) bool { return c.Name == name })
	if i < 0 {
		i = len(r.Columns)
		r.Columns = append(r.Columns, column{Name: name})
	}
	c := &r.Columns[i]
	c.Head = head
	c.Runs = slices.DeleteFunc(c.Runs, func(old measurement) bool { return old.Workers == m.Workers })
	c.Runs = append(c.Runs, m)
	slices.SortFunc(c.Runs, func(a, b measurement) int { return a.Workers - b.Workers })
}

// row is a line of the table.
type row struct {
	what, target string
	of           func(measurement) string
}

func rows() []row {
	number := func(digits int, of func(measurement) float64) func(measurement) string {
		return func(m measurement) string { return fmt.Sprintf("%.*f", digits, of(m)) }
	}
	reached := func(of func(measurement) float64) func(measurement) string {
		return func(m measurement) string {
			if of(m) == 0 {
				return "never"
			}
			return fmt.Sprintf("%.1f", of(m))
		}
	}
	return []row{
		{"nine of ten workers hold a lease, s", "≤ 10", reached(func(m measurement) float64 { return m.LeasedSeconds })},
		{"leases allow 90 % of the capacity, s", "≤ 20", reached(func(m measurement) float64 { return m.CapacitySeconds })},
		{"allowed at the end, % of the capacity", "", number(0, func(m measurement) float64 { return 100 * m.Allowed })},
		{"allowed, median (least to most), % of the capacity", "", allowedSteadily},
		{"a worker asks until it holds a lease: reads + reports + failed", "", askedUntilLeased},
		{"requests of ours per worker until nine of ten hold one", "", requestsUntilLeased},
		{"workers that lost their lease", "0", number(0, func(m measurement) float64 { return float64(m.Lost) })},
		{"times that the manager ended", "0", number(0, func(m measurement) float64 { return float64(m.Restarts) })},
		{"start: requests of ours per second", "", number(0, func(m measurement) float64 { return m.Start.Ours })},
		{"start: mean tick, ms", "", number(0, func(m measurement) float64 { return 1000 * m.Start.TickMean })},
		{"start: longest tick below, ms", "", bounded(func(m measurement) phase { return m.Start }, func(p phase) float64 { return p.TickMost })},
		{"requests of ours per second", "≤ 200", number(0, func(m measurement) float64 { return m.Steady.Ours })},
		{"all requests per second", "", number(0, func(m measurement) float64 { return m.Steady.All })},
		{"ticks per second", "", number(2, func(m measurement) float64 { return m.Steady.Ticks })},
		{"mean tick, ms", "", number(1, func(m measurement) float64 { return 1000 * m.Steady.TickMean })},
		{"longest tick below, ms", "", bounded(func(m measurement) phase { return m.Steady }, func(p phase) float64 { return p.TickMost })},
		{"CPU of the whole manager per tick, ms", "≤ 50 for the tick", number(0, func(m measurement) float64 {
			return 1000 * m.Steady.ManagerCPU / max(m.Steady.Ticks, 1e-3)
		})},
		{"mean time to take in reports and decide, ms", "≤ 10", number(1, func(m measurement) float64 { return 1000 * m.Steady.DecideMean })},
		{"longest of these below, ms", "≤ 10", bounded(func(m measurement) phase { return m.Steady }, func(p phase) float64 { return p.DecideMost })},
		{"longest report interval, s", "", number(1, func(m measurement) float64 { return m.IntervalSeconds })},
		{"age of the oldest report, median (most), s", "≤ the interval", func(m measurement) string {
			return fmt.Sprintf("%.1f (%.1f)", m.AgeSeconds.Median, m.AgeSeconds.Most)
		}},
		{"status of the transfer at the end (most), kB", "≤ 16", weighedStatus},
		{"a lease, median (most), kB", "", func(m measurement) string {
			return fmt.Sprintf("%.1f (%.1f)", m.LeaseBytes.Median/1000, m.LeaseBytes.Most/1000)
		}},
		{"manager, processors", "", number(2, func(m measurement) float64 { return m.Steady.ManagerCPU })},
		{"API server, processors", "", number(2, func(m measurement) float64 { return m.Steady.ServerCPU })},
		{"manager, largest resident MiB", "≤ 256", number(0, func(m measurement) float64 { return m.ManagerBytes / (1 << 20) })},
	}
}

// allowedSteadily is what leases allowed while it was steady.
func allowedSteadily(m measurement) string {
	if m.AllowedSteady.Most == 0 {
		return "not measured"
	}
	return fmt.Sprintf("%.0f (%.0f to %.0f)", 100*m.AllowedSteady.Median, 100*m.AllowedSteady.Least, 100*m.AllowedSteady.Most)
}

// askedUntilLeased is what a worker asked of the API server until it held a lease.
func askedUntilLeased(m measurement) string {
	a := m.UntilLeased
	if a == (asks{}) {
		return "not measured"
	}
	return fmt.Sprintf("%.1f + %.1f + %.1f", a.Reads+a.Missed, a.Reports, a.Failed)
}

// requestsUntilLeased are those about our types.
func requestsUntilLeased(m measurement) string {
	if m.LeaseRequests == nil {
		return "not measured"
	}
	all := 0.0
	for _, n := range m.LeaseRequests {
		all += n
	}
	return fmt.Sprintf("%.1f", all)
}

// weighedStatus is how large the status was, where it was weighed all the time, at most.
func weighedStatus(m measurement) string {
	text := fmt.Sprintf("%.1f", float64(m.StatusBytes)/1000)
	if m.StatusMost > 0 {
		text += fmt.Sprintf(" (%.1f)", float64(m.StatusMost)/1000)
	}
	return text
}

// bounded gives the bound of a bucket, which is unknown for what is longer than all bounds.
func bounded(of func(measurement) phase, bound func(phase) float64) func(measurement) string {
	return func(m measurement) string {
		if b := bound(of(m)); b > 0 {
			return fmt.Sprintf("%.0f", 1000*b)
		}
		return "> 4096"
	}
}

// isOurs tells whether a request is about the types of this project, other than the benchmark's own.
func isOurs(key string) bool {
	return key != "GET archivetransfers" && (strings.Contains(key, "prefixleases") || strings.Contains(key, "archivetransfers") ||
		strings.Contains(key, "archiverestores") || strings.Contains(key, "destinationprofiles"))
}

// writePage writes the tables as Markdown.
func (r *report) writePage(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `# The control plane with large fleets

`+"`make bench-control-plane`"+` starts a control plane as `+"`make test`"+` does, the manager as a process of its own with the rights of its
ServiceAccount, which is started again
%.0f s after it has ended, and a transfer. The Job controller makes its pods, the benchmark gives them a node and starts a puppet for each: the worker's own
agent, with the token of the pod and a connection of its own, over an engine that sends nothing. What a puppet reports follows from its grants and
from a path that carries %d requests per second for each worker, at %d ms each on the idle path, in one queue; an archive takes %d requests, the
plan has %d prefixes. Puppets, manager, API server and etcd share one machine. No kubelet, no scheduler and no other client is part of it.

Times count from the moment when the last pod has a node; all puppets then start within %.0f s. The start is the first %.0f s; the rows
that do not say so are of the last %.0f s. Requests *of ours* are those about types of this project, of manager and workers together; watches count when
they end. The longest tick is told as the bound of a bucket of the manager's histogram. Where the load average below says that the machine did other
work, times are those of that machine and no more; requests, sizes and the CPU per tick compare nevertheless.
`, restartPause.Seconds(), workerSpeed, baseLatency.Milliseconds(), archiveRequests, planPrefixes, startSpread.Seconds(), startPhase.Seconds(), steadyPhase.Seconds())
	for _, c := range r.Columns {
		fmt.Fprintf(&b, "\n- **%s**: %s, %s, load average %s at the start of the last run", c.Name, c.Head.Date, c.Head.Machine, c.Head.Load)
	}
	b.WriteString("\n")
	r.table(&b)
	r.requests(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *report) table(b *strings.Builder) {
	b.WriteString("\n| workers | target at 1,000 |")
	for _, c := range r.Columns {
		for _, m := range c.Runs {
			fmt.Fprintf(b, " %d, %s |", m.Workers, c.Name)
		}
	}
	b.WriteString("\n|---|---|")
	for _, c := range r.Columns {
		b.WriteString(strings.Repeat("---|", len(c.Runs)))
	}
	for _, row := range rows() {
		fmt.Fprintf(b, "\n| %s | %s |", row.what, row.target)
		for _, c := range r.Columns {
			for _, m := range c.Runs {
				fmt.Fprintf(b, " %s |", row.of(m))
			}
		}
	}
	b.WriteString("\n")
}

// requests tells what the requests of the largest fleet were.
func (r *report) requests(b *strings.Builder) {
	for _, c := range r.Columns {
		if len(c.Runs) == 0 {
			continue
		}
		m := c.Runs[len(c.Runs)-1]
		fmt.Fprintf(b, "\n## Requests per second, %d workers, %s\n\n| request | start | steady |\n|---|---|---|\n", m.Workers, c.Name)
		keys := maps.Clone(m.Start.Requests)
		maps.Copy(keys, m.Steady.Requests)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if start, steady := m.Start.Requests[key], m.Steady.Requests[key]; max(start, steady) >= 1 {
				fmt.Fprintf(b, "| %s | %.1f | %.1f |\n", key, start, steady)
			}
		}
	}
}
