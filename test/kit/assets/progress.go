package assets

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// enoughToTell is the share of a build that must be done before the rest is estimated.
const enoughToTell = 0.05

// work is what a build has to compile, and how much of it is done. It reads the output of
// `go build -v`: the names of packages, one a line, and whatever goes wrong.
type work struct {
	// weights are the bytes of source of packages that have yet to be compiled.
	weights     map[string]int64
	total, done int64
	line        []byte
	complaints  tail
}

// plan finds out what a build has to compile.
func (f *finder) plan(ctx context.Context, module string, packages []string) (*work, error) {
	const stale = `{{if .Stale}}{{.ImportPath}}{{range .GoFiles}}{{"\t"}}{{$.Dir}}/{{.}}{{end}}{{end}}`
	var list bytes.Buffer
	cmd := f.goCommand(module, "list", append([]string{"-deps", "-f", stale}, packages...)...)
	cmd.Stdout = &list
	if err := f.run(ctx, cmd, saying("looking for what has to be compiled")); err != nil {
		return nil, err
	}
	w := &work{weights: map[string]int64{}}
	for line := range strings.Lines(list.String()) {
		name, files, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if name == "" {
			continue
		}
		for path := range strings.SplitSeq(files, "\t") {
			if info, err := os.Stat(path); err == nil {
				w.weights[name] += info.Size()
			}
		}
		w.total += w.weights[name]
	}
	return w, nil
}

// Write implements io.Writer.
func (w *work) Write(p []byte) (int, error) {
	w.line = append(w.line, p...)
	for {
		line, rest, whole := bytes.Cut(w.line, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		w.take(string(line))
		w.line = rest
	}
}

func (w *work) take(line string) {
	weight, ok := w.weights[line]
	if !ok {
		_, _ = w.complaints.Write([]byte(line + "\n"))
		return
	}
	w.done += weight
	delete(w.weights, line)
}

// left says how far a build is that has taken so long.
func (w *work) left(elapsed time.Duration) string {
	switch share := float64(w.done) / float64(max(w.total, 1)); {
	case w.done == w.total:
		return "linking"
	case share < enoughToTell:
		return "begun"
	default:
		rest := time.Duration(float64(elapsed) * (1 - share) / share)
		return fmt.Sprintf("%.0f %%, about %s left", 100*share, rest.Round(time.Second))
	}
}

// String is what went wrong.
func (w *work) String() string { return strings.TrimSpace(string(w.line) + w.complaints.String()) }
