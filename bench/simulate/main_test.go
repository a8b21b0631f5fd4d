package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const scenario = `
duration: 5s
links: [{bandwidth: 1Gbps}]
transfers: [{workers: [{count: 2}]}]
`

// file writes a scenario of a name into a folder of its own.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEveryRowIsOneObject(t *testing.T) {
	path := file(t, "tiny.yaml", scenario)
	trace := t.TempDir()
	var out, errs bytes.Buffer
	args := []string{"--scenario", filepath.Dir(path), "--controller", "adaptive,fixed-4", "--seeds", "2", "--output", "json", "--trace", trace}
	if code := run(args, &out, &errs); code != 0 || errs.Len() > 0 {
		t.Fatalf("exit code %d, %s", code, errs.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2", len(lines))
	}
	for i, controller := range []string{"adaptive", "fixed-4"} {
		var row struct {
			Scenario, Controller string
			GoodputOfOracle      struct{ Median, Low, High float64 }
		}
		if err := json.Unmarshal([]byte(lines[i]), &row); err != nil {
			t.Fatal(err)
		}
		x := row.GoodputOfOracle
		if row.Scenario != "tiny" || row.Controller != controller || x.Low > x.Median || x.Median > x.High || x.Median <= 0 {
			t.Errorf("row %d is %s", i, lines[i])
		}
		if _, err := os.Stat(filepath.Join(trace, "tiny."+controller+".csv")); err != nil {
			t.Error(err)
		}
	}
	decisions, err := os.ReadFile(filepath.Join(trace, "tiny.adaptive.decisions.txt"))
	if err != nil || !regexp.MustCompile(`(?m)^[0-9.]+ window .* SlowStart: .*; shared Unpaced in SlowStart$`).Match(decisions) {
		t.Errorf("no decision of slow start is traced (%v):\n%s", err, decisions)
	}
	if _, err := os.Stat(filepath.Join(trace, "tiny.fixed-4.decisions.txt")); err == nil {
		t.Error("decisions of a baseline are traced, which makes none")
	}
}

func TestWrongUse(t *testing.T) {
	good := file(t, "good.yaml", scenario)
	bad := file(t, "bad.yaml", scenario+"speed: 3\n")
	tests := map[string]struct {
		args []string
		want string
	}{
		"no scenario":        {nil, "--scenario is missing"},
		"no such file":       {[]string{"--scenario", "nowhere.yaml"}, "nowhere.yaml"},
		"bad scenario":       {[]string{"--scenario", bad}, "bad.yaml:5: "},
		"empty folder":       {[]string{"--scenario", t.TempDir()}, "no *.yaml file"},
		"no random one":      {[]string{"--scenario", "variety:0"}, "variety:0: want the number"},
		"unknown controller": {[]string{"--scenario", good, "--controller", "magic"}, `"magic"`},
		"unknown parameter":  {[]string{"--scenario", good, "--controller", "adaptive:speed=3"}, `"speed"`},
		"bad parameter":      {[]string{"--scenario", good, "--controller", "adaptive:learningRate=3"}, "learningRate"},
		"fixed without N":    {[]string{"--scenario", good, "--controller", "fixed-0"}, "fixed-N"},
		"no seeds":           {[]string{"--scenario", good, "--seeds", "0"}, "--seeds"},
		"output":             {[]string{"--scenario", good, "--output", "xml"}, "--output"},
		"argument":           {[]string{"--scenario", good, "more"}, `"more"`},
		"flag":               {[]string{"--speed"}, "speed"},
	}
	for name, test := range tests {
		var out, errs bytes.Buffer
		if code := run(test.args, &out, &errs); code != 2 || !strings.Contains(errs.String(), test.want) || out.Len() > 0 {
			t.Errorf("%s: exit code %d, want 2 and %q, got %q", name, code, test.want, errs.String())
		}
	}
}

func TestFuzzTellsProgress(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"--fuzz", "4"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "4 of 4 random scenarios") {
		t.Errorf("exit code %d: %s%s", code, out.String(), errs.String())
	}
}
