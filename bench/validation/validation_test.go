package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/internal/sim"
	"cargoship.dev/operator/lab"
)

func parsed(t *testing.T, text string) *sim.Scenario {
	t.Helper()
	s, err := sim.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const changing = `
duration: 40s
service: {median: 100ms, sigma: 0.35, slowShare: 0}
links: [{name: l, bandwidth: 200Mbps}]
partitions: [{name: a, rate: 400/s, depth: 80}, {name: b, rate: 100/s}]
changes:
- {at: 10s, partition: a, rate: 200/s}
- {at: 20s, service: {median: 200ms}}
- {at: 30s, link: l, bandwidth: 100Gbps}
transfers: [{partSize: 1MB, prefixes: [{name: a, partition: a}, {name: b, partition: b, count: 2}], workers: [{count: 1}]}]
`

func TestConditionsAreThoseOfTheScenario(t *testing.T) {
	s := parsed(t, changing)
	for at, want := range map[time.Duration]struct {
		rate, megabits float64
		burst          int
		median, p99    time.Duration
	}{
		0:                {400, 200, 80, 100 * time.Millisecond, 226 * time.Millisecond},
		10 * time.Second: {200, 200, 40, 100 * time.Millisecond, 226 * time.Millisecond},
		20 * time.Second: {200, 200, 40, 200 * time.Millisecond, 451 * time.Millisecond},
		30 * time.Second: {200, 0, 40, 200 * time.Millisecond, 451 * time.Millisecond},
	} {
		c := conditions(s, at)
		a, b := c.Partitions[0], c.Partitions[1]
		if a != (lab.Partition{Keys: "data/a-", RequestsPerSecond: want.rate, Burst: want.burst}) ||
			b != (lab.Partition{Keys: "data/b-", RequestsPerSecond: 100, Burst: 10}) {
			t.Errorf("after %v the partitions are %+v", at, c.Partitions)
		}
		if c.Bandwidth.SharedMegabits != want.megabits || c.ServiceTime.Median != want.median ||
			c.ServiceTime.P99.Round(time.Millisecond) != want.p99 {
			t.Errorf("after %v: %+v, %+v, want %+v", at, *c.Bandwidth, *c.ServiceTime, want)
		}
	}
}

// Each prefix has more files than the path carries of it if it carries as many of each.
func TestThereIsMoreToCopyThanIsCarried(t *testing.T) {
	s := parsed(t, changing) // the link carries 25 MB/s, 1000 files in all
	for partition, want := range map[string]int{"a": 334, "b": 334} {
		if got := most(s, partition); got != want {
			t.Errorf("a prefix of partition %s: %d files at most, want %d", partition, got, want)
		}
	}
	dir := t.TempDir()
	if err := writeFiles(dir, s); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a-0", "b-0", "b-1"} {
		files, err := filepath.Glob(filepath.Join(dir, name, "*"))
		if err != nil || len(files) != 417 {
			t.Fatalf("%d files in %s, want 417 (%v)", len(files), name, err)
		}
		if info, err := os.Stat(files[0]); err != nil || info.Size() != 1e6 {
			t.Errorf("%s: %v, %v", files[0], info, err)
		}
	}
}

func TestWhatTheLabCannotBeIsAnError(t *testing.T) {
	const good = "links: [{bandwidth: 1Gbps}]\nservice: {slowShare: 0}\ntransfers: [{workers: [{count: 1}]}]\n"
	if err := representable(parsed(t, good)); err != nil {
		t.Error(err)
	}
	for what, text := range map[string]string{
		"two workers": strings.Replace(good, "count: 1", "count: 2", 1),
		"a tenant":    good + "tenants: [{rate: 10/s}]\n",
		"slow ones":   strings.Replace(good, "slowShare: 0", "slowShare: 1%", 1),
		"a split":     good + "partitions: [{rate: 100/s, split: {at: 3s}}]\n",
		"part size":   good + "changes: [{at: 3s, transfer: transfer1, partSize: 1MiB}]\n",
	} {
		if representable(parsed(t, text)) == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// The scenarios of the page load.
func TestScenariosLoad(t *testing.T) {
	scenarios, err := load()
	if err != nil || len(scenarios) < 6 {
		t.Errorf("%d scenarios, want six at least: %v", len(scenarios), err)
	}
}

func TestPageTellsByHowMuchBothDiffer(t *testing.T) {
	r := &report{Runs: 2}
	for _, name := range []string{"b", "a", "b"} {
		r.put(result{
			Scenario: name, Description: "A thing " + name + ".",
			Measured: []figure{{1e6, 0.01, 0.1}, {3e6, 0.01, 0.1}}, Simulated: []figure{{2.2e6, 0.02, 0.05}, {2.2e6, 0.02, 0.05}},
		})
	}
	var page strings.Builder
	if err := r.writePage(&page); err != nil {
		t.Fatal(err)
	}
	const figures = " | 2.00 (1.00–3.00) | 2.20 (2.20–2.20) | +10.0 % | 1.00 % (1.00–1.00) | 2.00 % (2.00–2.00) | 100 (100–100) | 50 (50–50) | -50.0 % |\n"
	if want := "|\n| A thing a" + figures + "| A thing b" + figures + "\n"; !strings.Contains(page.String(), want) {
		t.Errorf("the page is\n%s\nwant in it\n%s", page.String(), want)
	}
}
