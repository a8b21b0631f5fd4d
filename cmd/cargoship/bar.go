package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"cargoship.dev/operator/internal/convert"
)

// lineInterval is how often progress is printed without a terminal.
const lineInterval = 5 * time.Second

// bar shows progress: a bar on a terminal, otherwise a line at intervals.
type bar struct {
	bar  *progressbar.ProgressBar // nil without a terminal
	out  io.Writer
	what string
	last time.Time
}

// newBar returns a bar for a number of bytes; -1 if unknown.
func newBar(out io.Writer, total int64, what string) *bar {
	b := &bar{out: out, what: what, last: time.Now()}
	if isTerminal(out) {
		b.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(true),
			progressbar.OptionUseIECUnits(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return b
}

func (b *bar) show(bytes, files int64) {
	switch {
	case b.bar != nil:
		_ = b.bar.Set64(bytes)
	case time.Since(b.last) >= lineInterval:
		b.last = time.Now()
		_, _ = fmt.Fprintf(b.out, "%s: %d files, %s\n", b.what, files, convert.Bytes(bytes))
	}
}

func (b *bar) clear() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}
