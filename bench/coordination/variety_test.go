package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cargoship.dev/operator/internal/sim"
)

// madeUp is a study of seven scenarios: the subject is ahead, alike, just alike, behind,
// alone, not sound while the other is, and not sound like the other.
func madeUp() variety {
	v := variety{machine: "a machine", command: "a command", seeds: 2}
	for i, x := range []struct {
		our, bbr entry
	}{
		{did(subject, 1, 0, 0.9, 0.8), did("bbr", 1, 0, 0.8, 0.7)},
		{did(subject, 1, 0, 0.9, 0.8), did("bbr", 1, 0, 0.9, 0.8)},
		{did(subject, 1, 0, 0.9, 0.8), did("bbr", 1, 0, 0.904, 0.804)},
		{did(subject, 1, 0, 0.8, 0.7), did("bbr", 1, 0.01, 0.9, 0.8)},
		{did(subject, 1, 0, 0.3, 0.3), did("bbr", 1, 0.03, 0.9, 0.9)},
		{did(subject, 0.9, 0, 0.6, 0.6), did("bbr", 1, 0, 0.5, 0.5)},
		{did(subject, 1, 0.1, 0.6, 0.6), did("bbr", 0.9, 0, 0.5, 0.5)},
	} {
		s := &sim.Scenario{Name: fmt.Sprintf("v%03d-kind%d", i+1, i%2), Description: fmt.Sprintf("number %d", i+1)}
		// fixed-16 floods throughout, and so has the most goodput to no avail.
		v.compared = append(v.compared, compare(s, []entry{x.our, x.bbr, did("fixed-16", 1, 0.5, 0.99, 0.99)}))
	}
	return v
}

func TestTallyCountsEachScenarioOnce(t *testing.T) {
	v := madeUp()
	got := v.against(comparison.best)
	if got.better != 1 || got.equal != 2 || got.worse != 1 || got.none != 1 || got.unsound != 2 {
		t.Errorf("against the best sound other: %+v", got)
	}
	if d := middle(got.differences); len(got.differences) != 4 || !(d > -0.0021 && d < -0.0019) {
		t.Errorf("the median of %v is %v, want -0.002", got.differences, d)
	}
	flood := v.against(func(c comparison) (entry, bool) { return c.of("fixed-16") })
	if flood.none != 5 || flood.unsound != 2 || len(flood.differences) != 0 {
		t.Errorf("against one that is never sound: %+v", flood)
	}
}

func TestVarietyPage(t *testing.T) {
	page := madeUp().page()
	for _, want := range []string{
		"`a command`", "a machine; 7 random scenarios, the same 2 seeds",
		"is better in 1, equal (within 0.005) in 2, and worse in 1 scenarios; in 1 no other is sound, in 2 it is not sound itself. The median of the differences is -0.002.",
		"| `bbr` | 1 | 2 | 1 | 1 | 2 | -0.002 |", "| `fixed-16` | 0 | 0 | 0 | 5 | 2 | – |",
		"| `adaptive` | 5 of 7 | 0.750 | 0.686 | 0.300 | 0.300 | 0.514 | 0.0000 | – |",
		"| kind0 | 4 | 3 | 0.725 | 0.300 | 0.802 |", "| kind1 | 3 | 2 | 0.750 | 0.600 | 0.850 |",
		"## Where its goodput is lowest\n\n| scenario | `adaptive` | best sound other | its goodput | difference | |\n|---|---|---|---|---|---|\n" +
			"| v005-kind0 | 0.300 | none | – | – | number 5 |\n| v006-kind1 | 0.600, not sound | `bbr` | 0.500 | +0.100 | number 6 |\n",
		"## Where it falls most behind\n\n| scenario | `adaptive` | best sound other | its goodput | difference | |\n|---|---|---|---|---|---|\n" +
			"| v004-kind1 | 0.750 | `bbr` | 0.850 | -0.100 | number 4 |\n| v003-kind0 | 0.850 | `bbr` | 0.854 | -0.004 | number 3 |\n\n",
		"| v006-kind1 | 0.9000 | 0.0000 | number 6 |\n| v007-kind0 | 1.0000 | 0.1000 | number 7 |\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "NaN") || strings.Contains(page, "%!") {
		t.Errorf("the page has holes:\n%s", page)
	}
}

func TestFigureShowsTheSoundest(t *testing.T) {
	v := madeUp()
	if got := v.strongest(); len(got) != 4 || got[0] != "bbr" {
		t.Errorf("the strongest are %v, want bbr first", got)
	}
}

// The study of the smallest scenarios, from the flags to the files.
func TestVarietyIsWritten(t *testing.T) {
	s := &store{folder: t.TempDir(), parallel: 2}
	c, err := s.compare(scenario(t, tiny), append([]string{subject}, rivals()...), 1)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := (variety{command: "a command", seeds: 1, compared: []comparison{c}}).write(folder); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if svg := read("coordination/variety.svg"); !bytes.Contains(svg, []byte(">adaptive<")) || len(svg) > 60_000 {
		t.Errorf("the figure of %d bytes does not name adaptive, or is too large", len(svg))
	}
	if page := string(read("variety.md")); !strings.Contains(page, "(coordination/variety.svg)") || strings.Contains(page, "NaN") {
		t.Errorf("the page has holes:\n%s", page)
	}
	lines := strings.Split(strings.TrimSpace(string(read("variety.json"))), "\n")
	if len(lines) != 1+len(c.entries) {
		t.Errorf("the data has %d lines, want one and one for each of %d controllers", len(lines), len(c.entries))
	}
	var data struct {
		Rows []map[string]any `json:"rows"`
	}
	if err := json.Unmarshal(read("variety.json"), &data); err != nil {
		t.Fatal(err)
	}
	for _, row := range data.Rows {
		// Some have no request answered in so short a run.
		fields := []string{"scenario", "controller", goodput}
		if row["controller"] == subject {
			fields = append(fields, success, throttled, latency)
		}
		for _, field := range fields {
			if row[field] == nil {
				t.Errorf("the row %v has no %s", row, field)
			}
		}
	}
}

func TestVarietyIsNotNegative(t *testing.T) {
	if _, err := parse([]string{"--variety", "-1"}); err == nil {
		t.Error("a negative number of scenarios is accepted")
	}
	if s, err := parse([]string{"--variety", "7"}); err != nil || s.variety != 7 {
		t.Errorf("--variety 7 gives %d, %v", s.variety, err)
	}
}
