package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"cargoship.dev/operator/internal/sim"
)

// write puts the page, the data and the figures into a folder.
func (r *report) write(folder string) error {
	figures := filepath.Join(folder, "coordination")
	if err := os.MkdirAll(figures, 0o755); err != nil {
		return fmt.Errorf("make the folder of the figures: %w", err)
	}
	r.figures = map[string]string{}
	for _, c := range r.compared {
		name := c.scenario.Name + ".svg"
		drawn, err := c.figure(filepath.Join(figures, name))
		if err != nil {
			return err
		}
		if drawn {
			r.figures[c.scenario.Name] = "coordination/" + name
		}
	}
	data, err := r.data()
	if err != nil {
		return err
	}
	return writeAll(folder, map[string][]byte{"coordination.md": []byte(r.page()), "coordination.json": data})
}

// writeAll writes files by name into a folder.
func writeAll(folder string, files map[string][]byte) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

// figure draws ours against the best baseline, where there are courses of both.
func (c comparison) figure(path string) (bool, error) {
	our, ok := c.of(subject)
	best, found := c.best()
	if !ok || our.Trace == nil {
		return false, nil
	}
	curves := []curve{{our.name(), our.Trace.Points}}
	if found && best.Trace != nil {
		curves = append(curves, curve{best.name(), best.Trace.Points})
	}
	var svg bytes.Buffer
	if err := drawCurves(&svg, c.scenario.Name, curves); err != nil {
		return false, err
	}
	if err := os.WriteFile(path, svg.Bytes(), 0o644); err != nil {
		return false, fmt.Errorf("write a figure: %w", err)
	}
	return true, nil
}

// data is what the tables were made of.
func (r *report) data() ([]byte, error) {
	type studies struct {
		Seeds int       `json:"seeds"`
		Rows  []sim.Row `json:"rows"`
	}
	all := struct {
		Date    string    `json:"date"`
		Machine string    `json:"machine"`
		Command string    `json:"command"`
		Seeds   int       `json:"seeds"`
		Rows    []sim.Row `json:"rows"`
		Studies studies   `json:"studies"`
	}{
		Date: r.date.UTC().Format("2006-01-02"), Machine: r.machine, Command: r.command, Seeds: r.seeds,
		Rows: rows(r.compared), Studies: studies{r.studied.seeds, rows(r.studied.compared)},
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	if err := encoder.Encode(all); err != nil {
		return nil, fmt.Errorf("encode the results: %w", err)
	}
	// One line for each row, so that changes can be read.
	return bytes.ReplaceAll(b.Bytes(), []byte(`{"scenario"`), []byte("\n{\"scenario\"")), nil
}

func rows(compared []comparison) []sim.Row {
	list := []sim.Row{}
	for _, c := range compared {
		for _, e := range c.entries {
			list = append(list, e.Row)
		}
	}
	return list
}

// machine describes the processor, as far as the system tells.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, %s %s", runtime.NumCPU(), model, runtime.GOOS, runtime.Version())
}
