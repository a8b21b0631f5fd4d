package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"cargoship.dev/operator/bench/figures"
)

const mib = 1 << 20

// report is what was measured after each step.
type report struct {
	steps    []step
	finished int64
	recorded int
}

type step struct {
	what              string
	heap, resident, p float64 // MiB: live, resident, and resident at most until then
}

// note measures what is live now, and what the process has taken.
func (r *report) note(what string) {
	s := step{what: what, resident: fromProc("VmRSS"), p: fromProc("VmHWM")}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.heap = float64(m.HeapAlloc) / mib
	r.steps = append(r.steps, s)
}

// fromProc reads a figure of this process in MiB; 0 where the system does not tell.
func fromProc(name string) float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kib / 1024
		}
	}
	return 0
}

// write prints the table, and fails if the peak is above the limit.
func (r *report) write(o options) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Memory of the manager\n\n")
	fmt.Fprintf(&b, "`make bench-memory` on %s, %s: %d workers, %d prefixes, a plan of %d files in %d archives, one\n"+
		"transfer. The program holds what the manager holds of it: the control core, the objects in the cache as they come from the API, and in each\n"+
		"round the copies that listing the cache makes, every worker's report with all prefixes, the status and a grant for each. It has no\n"+
		"connection to an API server: what those take, some tens of MiB whatever the fleet, comes on top.\n\n",
		time.Now().Format(time.DateOnly), figures.Machine(), o.workers, o.prefixes, o.files, o.archives)
	fmt.Fprintf(&b, "| after | live heap, MiB | resident, MiB | peak, MiB |\n|---|---|---|---|\n")
	for _, s := range r.steps {
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f |\n", s.what, s.heap, s.resident, s.p)
	}
	fmt.Fprintf(&b, "\n%d archives had ended by then, in any order; the finished ones of all prefixes are recorded in %d bytes. The chart's limit is %.0f MiB.\n",
		r.finished, r.recorded, o.limit)
	fmt.Print(b.String())
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(b.String()), 0o644); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	if peak := r.steps[len(r.steps)-1].p; peak > o.limit {
		return fmt.Errorf("the peak of %.0f MiB is above the limit of %.0f MiB", peak, o.limit)
	}
	return nil
}
