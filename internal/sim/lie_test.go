//go:build !race

package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// beside is a fleet of twenty workers beside a tenant with one, which begins to lie after
// a time.
const beside = `
duration: 60s
links: [{name: egress, bandwidth: %s}]
partitions: [{name: p, rate: %d/s}]
transfers:
- {name: honest, tenant: a, weight: 100, partSize: 1MiB, prefixes: [{name: x, count: 4}], workers: [{name: many, count: 20}]}
- {name: liar, tenant: b, weight: %d, partSize: 1MiB, prefixes: [{name: y}], workers: [{name: one, count: 1}]}
`

// goodput is what the honest transfer sends in the scenario, in bytes.
func goodput(t *testing.T, text string) float64 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "beside.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	scenarios, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	adaptive, err := FindController("adaptive")
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(scenarios[0], 1)
	f := newFleet(r, adaptive)
	r.record.watch(r)
	r.play()
	r.check.concluded(f)
	if r.check.first != "" {
		t.Error(r.check.first)
	}
	return r.works[0].bytes
}

// Whatever one worker reports, from the beginning or in the middle, others keep nine
// tenths of what they send beside it when it tells the truth.
func TestLiesCostOthersLittle(t *testing.T) {
	for name, path := range map[string]struct {
		link   string
		rate   int
		weight int
	}{
		"link":                       {"4Gbps", 100_000, 1},
		"policer":                    {"40Gbps", 1500, 1},
		"link, a quarter is theirs":  {"4Gbps", 100_000, 33},
		"policer, a tenth is theirs": {"40Gbps", 1500, 11},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario := fmt.Sprintf(beside, path.link, path.rate, path.weight)
			want := 0.9 * goodput(t, scenario)
			for _, kind := range lieKinds() {
				for _, at := range []int{0, 20} {
					got := goodput(t, scenario+fmt.Sprintf("faults: [{kind: %s, at: %ds, for: 40s, workers: one}]\n", kind, at))
					if got < want {
						t.Errorf("%s from %d s on: %.1f GB, want %.1f", kind, at, got/1e9, want/1e9)
					}
				}
			}
		})
	}
}
