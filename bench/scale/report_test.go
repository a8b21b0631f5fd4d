package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cargoship.dev/operator/bench/figures"
)

// sample holds figures that are within all limits.
func sample() report {
	r := report{Size: 2048}
	for _, files := range []int{10_000, 100_000} {
		r.Columns = append(r.Columns, column{Files: files, IndexBytes: int64(12 * files), IndexObjects: 2, Steps: []step{
			{Name: planning, Usage: figures.Usage{Seconds: 1, CPU: 1, PeakBytes: 40 * mebi}},
			{Name: copying, Usage: figures.Usage{Seconds: float64(files) / 20_000, CPU: 1, PeakBytes: 80 * mebi}, Says: `{"memoryBound": 100000000}`},
			{Name: restoring, Usage: figures.Usage{Seconds: 0.25, CPU: 0.03, PeakBytes: 45 * mebi}, Requests: 5, ReadBytes: 51_200},
		}})
	}
	return r
}

func TestWhatTakesMoreThanItMayFails(t *testing.T) {
	for _, c := range sample().Columns {
		if err := c.check(); err != nil {
			t.Errorf("what is within all limits: %v", err)
		}
	}
	for want, spoil := range map[string]func(steps []step){
		"plan took 268435457 bytes of memory":              func(s []step) { s[0].PeakBytes = planLimit + 1 },
		"copy, packed took 100000001 bytes of memory":      func(s []step) { s[1].PeakBytes = 100_000_001 },
		`read the summary of "copy, packed"`:               func(s []step) { s[1].Says = "done" },
		"restore of one file took 7 requests, of at most":  func(s []step) { s[2].Requests = 7 },
		"restore of one file took 1048577 bytes of answer": func(s []step) { s[2].ReadBytes = oneRead + 1 },
		"restore of one file took 67108865 bytes of memor": func(s []step) { s[2].PeakBytes = oneLimit + 1 },
	} {
		r := sample()
		spoil(r.Columns[1].Steps)
		if err := r.Columns[1].check(); err == nil || !strings.HasPrefix(err.Error(), "100000 files: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q of 100000 files", err, want)
		}
	}
}

func TestPageAndPlot(t *testing.T) {
	dir := t.TempDir()
	if err := sample().write(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "scale.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| 100000 | 5.00 | 1.00 | 80 | 20000 |", "| 10000 | 0.25 | 0.03 | 45 | 5 | 50.0 |", "| 100000 | 1.1 | 12.0 | 2 |",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if plot, err := os.ReadFile(filepath.Join(dir, "scale.svg")); err != nil || !strings.Contains(string(plot), "</svg>") {
		t.Errorf("the plot is no SVG: error %v", err)
	}
}

func TestAColumnReplacesOneOfAsManyFiles(t *testing.T) {
	r := sample()
	r.put(column{Files: 100_000, IndexObjects: 7})
	r.put(column{Files: 1_000})
	var files []int
	for _, c := range r.Columns {
		files = append(files, c.Files)
	}
	if !slices.Equal(files, []int{1_000, 10_000, 100_000}) || r.Columns[2].IndexObjects != 7 {
		t.Errorf("the columns are %v and the last %+v", files, r.Columns[2])
	}
}

func TestTheFileThatIsRestoredHasContent(t *testing.T) {
	s := &stage{options: options{size: 64}, files: 5 * contentEvery, scratch: t.TempDir()}
	if err := s.makeTree(t.Context()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(s.tree(), path(s.one())))
	if err != nil || len(content) != 64 {
		t.Errorf("%d bytes, error %v, want 64", len(content), err)
	}
	empty := 0
	for i := range s.files {
		if info, err := os.Stat(filepath.Join(s.tree(), path(i))); err != nil {
			t.Fatal(err)
		} else if info.Size() == 0 {
			empty++
		}
	}
	if want := s.files - s.files/contentEvery; empty != want {
		t.Errorf("%d empty files, want %d", empty, want)
	}
}
