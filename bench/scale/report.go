package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

const mebi = 1 << 20

// report prints the table, and fails if a step took too much memory.
func report(o options, steps []step) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %d files\n\n", o.files)
	fmt.Fprintf(&b, "`make bench-scale` on %s, %s/%s with %d processors: files of %d bytes that do not compress, in memory-backed\n"+
		"storage, to versitygw on the same machine. Each step is a process of its own; memory is its largest resident set.\n"+
		"A copy keeps within 64 MiB and the bodies of its requests in flight, parts of 8 MiB here.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.size)
	b.WriteString("| step | seconds | CPU-seconds | peak MiB |\n|---|---|---|---|\n")
	for _, s := range steps {
		fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.0f |\n", s.Name, s.Seconds, s.CPU, s.PeakMiB)
	}
	fmt.Print(b.String())
	if o.out != "" {
		raw, err := json.MarshalIndent(steps, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.out, []byte(b.String()), 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(strings.TrimSuffix(o.out, ".md")+".json", append(raw, '\n'), 0o644); err != nil {
			return err
		}
	}
	if peak := steps[0].PeakMiB; peak > planLimit {
		return fmt.Errorf("planning took %.0f MiB, of at most %d", peak, planLimit)
	}
	return bounded(steps[1])
}

// bounded fails if a copy took more memory than it says it keeps within.
func bounded(s step) error {
	var said struct {
		MemoryBound float64 `json:"memoryBound"`
	}
	if err := json.Unmarshal([]byte(s.Says), &said); err != nil {
		return fmt.Errorf("read the summary of %q: %w", s.Name, err)
	}
	if most := said.MemoryBound / mebi; s.PeakMiB > most {
		return fmt.Errorf("%s took %.0f MiB, of at most %.0f", s.Name, s.PeakMiB, most)
	}
	return nil
}
