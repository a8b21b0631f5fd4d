package kubectl

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// maxLogLine bounds a line of a log in memory; the runtime breaks lines at 16 KiB.
const maxLogLine = 1 << 20

// podLog is the log of one pod, line by line, as the API server gives it with timestamps.
type podLog struct {
	pod   string
	from  io.ReadCloser
	lines *bufio.Scanner
	// at and line are those of the current line.
	at   time.Time
	line string
}

func newPodLog(pod string, from io.ReadCloser) *podLog {
	l := &podLog{pod: pod, from: from, lines: bufio.NewScanner(from)}
	l.lines.Buffer(nil, maxLogLine)
	return l
}

// next takes the next line. One without a time keeps that of the line before.
func (l *podLog) next() bool {
	if !l.lines.Scan() {
		return false
	}
	l.line = l.lines.Text()
	if first, rest, ok := strings.Cut(l.line, " "); ok {
		if at, err := time.Parse(time.RFC3339Nano, first); err == nil {
			l.at, l.line = at, rest
		}
	}
	return true
}

// err is what ended the log before its end.
func (l *podLog) err() error {
	if err := l.lines.Err(); err != nil {
		return fmt.Errorf("read the log of pod %s: %w", l.pod, err)
	}
	return nil
}
