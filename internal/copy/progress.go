package copy

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// Progress is the state of a copy.
type Progress struct {
	// Files are done, and Sent bytes have been accepted, of the FoundFiles and
	// FoundBytes known of; AllFound says that there are no more. An archive that
	// is tried again counts again in Files and Sent.
	Files, Sent            int64
	FoundFiles, FoundBytes int64
	AllFound               bool
	// Failed counts files.
	Failed int64
	// Window is the number of requests that may be in flight.
	Window int
	State  protocol.State
}

func (s *session) report(allFound bool) {
	if s.options.Progress == nil {
		return
	}
	t := &s.tally
	p := Progress{
		Files: max(s.sent.files.Load(), t.done.files), Sent: t.sent,
		FoundFiles: t.found.Files, FoundBytes: t.found.Bytes, AllFound: allFound,
		Failed: t.failed.files, State: s.state,
	}
	for _, g := range s.grant.Prefixes {
		p.Window += int(*g.Window)
	}
	s.options.Progress(p)
}

const (
	redrawInterval = 200 * time.Millisecond
	lineInterval   = 2 * time.Second
	// rateSpan is the time over which the throughput shown is averaged.
	rateSpan = 2 * time.Second
)

// Printer shows progress: one line that is redrawn on a terminal, otherwise a line at
// intervals. All other output goes through Write. It is safe for concurrent use.
type Printer struct {
	out             io.Writer
	terminal, fixed bool
	begun           time.Time

	mu    sync.Mutex
	shown time.Time
	drawn bool // a line is there to be redrawn
	marks []mark
}

type mark struct {
	at   time.Time
	sent int64
}

// NewPrinter returns a printer; with uncoordinated it shows no state.
func NewPrinter(out io.Writer, terminal, uncoordinated bool) *Printer {
	return &Printer{out: out, terminal: terminal, begun: time.Now(), fixed: uncoordinated}
}

// Show shows p, unless the last was shown just now.
func (p *Printer) Show(progress Progress) { p.show(time.Now(), progress) }

func (p *Printer) show(now time.Time, progress Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marks = append(p.marks, mark{now, progress.Sent})
	for len(p.marks) > 2 && now.Sub(p.marks[0].at) > rateSpan {
		p.marks = p.marks[1:]
	}
	interval := lineInterval
	if p.terminal {
		interval = redrawInterval
	}
	if now.Sub(p.shown) < interval || now.Sub(p.begun) < interval {
		return
	}
	p.shown = now
	line := p.line(progress)
	if p.terminal {
		_, _ = fmt.Fprintf(p.out, "\r\x1b[K%s", line)
		p.drawn = true
		return
	}
	_, _ = fmt.Fprintln(p.out, line)
}

// Write writes whole lines, apart from the one that is redrawn.
func (p *Printer) Write(lines []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	return p.out.Write(lines)
}

// Clear removes the line that is redrawn.
func (p *Printer) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *Printer) clear() {
	if p.drawn {
		_, _ = fmt.Fprint(p.out, "\r\x1b[K")
	}
	p.drawn = false
}

func (p *Printer) line(progress Progress) string {
	found := ""
	if !progress.AllFound {
		found = "+"
	}
	parts := []string{
		fmt.Sprintf("%d of %d%s files", progress.Files, progress.FoundFiles, found),
		fmt.Sprintf("%s of %s%s", convert.Bytes(progress.Sent), convert.Bytes(progress.FoundBytes), found),
		convert.Bytes(int64(p.rate())) + "/s",
		fmt.Sprintf("window %d", progress.Window),
	}
	if !p.fixed {
		parts = append(parts, string(progress.State))
	}
	if progress.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", progress.Failed))
	}
	return strings.Join(parts, "  ")
}

// rate is the payload accepted per second of late.
func (p *Printer) rate() float64 {
	first, last := p.marks[0], p.marks[len(p.marks)-1]
	if elapsed := last.at.Sub(first.at).Seconds(); elapsed > 0 {
		return float64(last.sent-first.sent) / elapsed
	}
	return 0
}
