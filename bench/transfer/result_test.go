package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cargoship.dev/operator/bench/figures"
)

func runs(seconds ...float64) []measure {
	var all []measure
	for _, s := range seconds {
		all = append(all, measure{Usage: figures.Usage{Seconds: s, CPU: s / 2, PeakBytes: 32 << 20}, Requests: 100, Throttled: 10})
	}
	return all
}

func TestRatioIsTheMedianOverPairs(t *testing.T) {
	one := result{Tool: ours, Runs: runs(1, 8, 3)}
	peer := result{Tool: "s5cmd", Runs: runs(2, 4)} // not run again in the third round
	if got, want := ratio(one, peer, seconds), (figures.Spread{Median: 1.25, Least: 0.5, Most: 2}); got != want {
		t.Errorf("ratio %v, want %v", got, want)
	}
	if got, want := one.spread(cpu), (figures.Spread{Median: 1.5, Least: 0.5, Most: 4}); got != want {
		t.Errorf("CPU %v, want %v", got, want)
	}
}

func sample() report {
	slow := runs(60)
	slow[0].Problem = "over 60 s"
	r := newReport(3, 60e9)
	r.Results = []result{
		{"policer/small", ours, runs(25, 25, 25)},
		{"policer/small", "s5cmd", runs(50, 50, 50)},
		{"policer/small", "s3cmd", slow},
	}
	return r
}

func TestPage(t *testing.T) {
	var page strings.Builder
	if err := sample().writePage(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| cargoship | 25.00 (25.00–25.00) | 400 |", "| 10.0 % |  |  | 3 | 1 % |", // 90 of 100 requests in 25 s
		"| 0.50 (0.50–0.50) | 0.50 (0.50–0.50) | 3 |", "| s3cmd | over 60 s |",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, &page)
		}
	}
}

func TestAgainKeepsTheOthers(t *testing.T) {
	r := sample()
	for range 2 {
		r.forget(regexp.MustCompile("^policer/small:(cargoship|s5cmd)$"))
	}
	if len(r.Again) != 1 {
		t.Errorf("%d notes of what was measured again, want the last", len(r.Again))
	}
	if len(r.Results) != 1 || r.Results[0].Tool != "s3cmd" {
		t.Errorf("kept %v, want the one that is not measured again", r.Results)
	}
	var page strings.Builder
	if err := r.writePage(&page); err != nil {
		t.Fatal(err)
	}
	if want := "What matches `^policer/small:(cargoship|s5cmd)$` was measured again on " + r.Again[0].Date; !strings.Contains(page.String(), want) {
		t.Errorf("the page lacks %q", want)
	}
}

func TestOtherBuildsAreComparedWithOursThatPacksLikeThem(t *testing.T) {
	r := newReport(1, 60e9)
	r.Builds = true
	r.Results = []result{
		{"http/big", ours, runs(1)}, {"http/big", oursPacked, runs(3)},
		{"http/big", ours + " v1", runs(2)}, {"http/big", ours + " v1" + packed, runs(2)},
	}
	var page strings.Builder
	if err := r.writePage(&page); err != nil {
		t.Fatal(err)
	}
	for tool, want := range map[string]string{ours + " v1": "| 0.50 (0.50–0.50) |", ours + " v1" + packed: "| 1.50 (1.50–1.50) |"} {
		_, row, _ := strings.Cut(page.String(), "| "+tool+" |")
		row, _, _ = strings.Cut(row, "\n")
		if !strings.Contains(row, want) {
			t.Errorf("the row of %s is %q, want it to have %q", tool, row, want)
		}
	}
	if strings.Contains(page.String(), "policer") {
		t.Error("the page has a table of what was not measured")
	}
}

func TestOursIsComparedUnsignedWithWhoSignsNothing(t *testing.T) {
	r := newReport(1, 60e9)
	r.Results = []result{
		{"http/big", ours, runs(4)}, {"http/big", oursUnsigned, runs(1)}, {"http/big", figures.CRTName, runs(2)},
		{"tls/big", ours, runs(4)}, {"tls/big", figures.CRTName, runs(2)},
	}
	var page strings.Builder
	if err := r.writePage(&page); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(page.String(), "to it: wall 0.50 (0.50–0.50)"); got != 1 {
		t.Errorf("the page says it %d times, want once", got)
	}
}

func TestPlot(t *testing.T) {
	r := sample()
	if got := r.relative("policer/small", "s5cmd"); got != 2 {
		t.Errorf("s5cmd took %v times as long as ours, want 2", got)
	}
	file := filepath.Join(t.TempDir(), "plot.svg")
	if err := r.writePlot(file); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "</svg>") {
		t.Errorf("the plot is no SVG: error %v", err)
	}
}

func TestDatasetsAreTheSameEveryTime(t *testing.T) {
	d := dataset{"tiny", "", 3, 1000, 2}
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		if err := d.write(dir); err != nil {
			t.Fatal(err)
		}
	}
	contents := map[string]bool{}
	for _, name := range []string{"d000/f00000", "d000/f00001", "d001/f00002"} {
		a, err := os.ReadFile(filepath.Join(first, name))
		b, errAgain := os.ReadFile(filepath.Join(second, name))
		if err != nil || errAgain != nil || string(a) != string(b) || len(a) != 1000 {
			t.Errorf("%s: %d and %d bytes, errors %v, %v; want the same 1000", name, len(a), len(b), err, errAgain)
		}
		contents[string(a)] = true
	}
	if len(contents) != 3 {
		t.Errorf("%d different files, want 3", len(contents))
	}
}
