package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cargoship.dev/operator/internal/sim"
)

const tiny = `
duration: 10s
links: [{bandwidth: 1Gbps}]
transfers: [{partSize: 8MiB, archiveParts: 4, workers: [{count: 2}]}]
targets: {goodputOfOracle: ">= 0.5"}
`

func scenario(t *testing.T, text string) *sim.Scenario {
	t.Helper()
	s, err := sim.Parse("tiny.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A result is kept until what it depends on changes.
func TestResultsAreKept(t *testing.T) {
	s := &store{folder: t.TempDir(), parallel: 2, simulator: "1", law: "1"}
	controllers := []string{subject, "fixed-4"}
	for _, step := range []struct {
		name     string
		before   func()
		scenario string
		computed int
	}{
		{"at first nothing is there", func() {}, tiny, 2},
		{"then everything", func() {}, tiny, 0},
		{"targets do not change a run", func() {}, strings.Replace(tiny, "0.5", "0.6", 1), 0},
		{"the scenario does", func() {}, strings.Replace(tiny, "1Gbps", "2Gbps", 1), 2},
		{"another law is ours alone", func() { s.law = "2" }, tiny, 1},
		{"another simulator is everybody's", func() { s.simulator = "2" }, tiny, 2},
	} {
		step.before()
		s.computed = 0
		c, err := s.compare(scenario(t, step.scenario), controllers, 2)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if s.computed != step.computed {
			t.Errorf("%s: %d computed, want %d", step.name, s.computed, step.computed)
		}
		for _, name := range controllers {
			e, ok := c.of(name)
			if !ok || !(e.get(goodput).Median > 0.3) || len(e.Row.Runs) != 2 || len(e.Trace.Points) < 10 {
				t.Errorf("%s: %s has %d runs, %v", step.name, name, len(e.Row.Runs), e.get(goodput))
			}
		}
	}
}

func TestReportHoldsEverything(t *testing.T) {
	s := &store{folder: t.TempDir(), parallel: 2}
	x := scenario(t, tiny)
	c, err := s.compare(x, []string{subject, "fixed-3p", "fixed-64", "crt"}, 2)
	if err != nil {
		t.Fatal(err)
	}
	r := report{machine: "a machine", command: "a command", seeds: 2, compared: []comparison{c}}
	if err := r.write(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	page := r.page()
	for _, want := range []string{
		"a machine", "`a command`", "seeds 1 to 2", "| tiny | 0.", "| tiny | goodputOfOracle | >= 0.5 |",
		"| `crt` |", "`fixed-3p`", "(coordination/tiny.svg)", "median of the scenarios",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "NaN") || strings.Contains(page, "%!") {
		t.Errorf("the page has holes:\n%s", page)
	}
}

// What a law depends on are all packages of the core: most of it is in folders of the folder.
func TestDigestIsOfAllBelowAFolder(t *testing.T) {
	top := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(top, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	take := func() string {
		t.Helper()
		sum, err := digest(top)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	if _, err := digest(top); err == nil {
		t.Error("a folder without code has a digest")
	}
	write("core.go", "package core")
	write("law/law.go", "package law")
	first := take()
	write("law/law_test.go", "package law")
	write("law/README.md", "a law")
	if take() != first {
		t.Error("tests and pages change the digest")
	}
	write("law/law.go", "package law // another")
	if take() == first {
		t.Error("code in a folder below does not change the digest")
	}
}
