//go:build !race

package sim

import (
	"bytes"
	"os"
	"testing"
)

// Where the workers' NICs are the limit, slots go to workers that have nothing before they let
// others begin further archives. The path carries 1,900 requests a second.
func TestSlotsReachWorkersThatHaveNothing(t *testing.T) {
	fleet, err := os.ReadFile("fleets/1000-nics.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := played(t, fleet, 11)
	if got, least := r.record.accepted, 0.15*180*1900; float64(got) < least {
		t.Errorf("%v requests were accepted in three minutes, want at least %.0f", got, least)
	}
}

// The largest fleet that a scenario may have fills its path, and no invariant is violated.
func TestTenThousandWorkersFillThePath(t *testing.T) {
	fleet, err := os.ReadFile("fleets/10000-link.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := played(t, bytes.Replace(fleet, []byte("120s"), []byte("30s"), 1), 1)
	if got, least := r.record.accepted, 0.75*30*4768; float64(got) < least {
		t.Errorf("%v requests were accepted in half a minute, want at least %.0f", got, least)
	}
}
