package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/sim"
	"cargoship.dev/operator/test/simulated"
)

// recording compares a transfer with the scenario that kubectl cargoship record made of it.
type recording struct {
	Transfer string `json:"transfer"`
	// Measured is what its workers sent while it was recorded, and the share of the fleet's requests that the server throttled.
	Measured simulated.Figures `json:"measured"`
	// Simulated is what the simulator makes of the scenario.
	Simulated simulated.Figures `json:"simulated"`
	// Scenario is the text of it.
	Scenario string `json:"scenario"`
}

// off is by what part of the measured goodput the simulated one differs, and by how much the share of throttled requests.
func (r recording) off() (goodput, throttled float64) {
	return r.Simulated.Goodput/r.Measured.Goodput - 1, r.Simulated.Throttled - r.Measured.Throttled
}

// The most that a recording may be off, and when the simulated run has settled.
const (
	mostGoodputOff, mostThrottledOff = 0.05, 0.01
	settled, simulatedUntil          = 60 * time.Second, 290 * time.Second
)

// near tells whether it is off by no more than it may.
func (r recording) near() bool {
	goodput, throttled := r.off()
	return math.Abs(goodput) <= mostGoodputOff && math.Abs(throttled) <= mostThrottledOff
}

// record runs the command for each transfer until shortly before a phase of some length ends, and returns what waits
// for the scenarios.
func (r *rig) record(ctx context.Context, transfers []*v1alpha1.ArchiveTransfer, length time.Duration) func() ([]recording, error) {
	type answer struct {
		recording
		err error
	}
	answers := make([]chan answer, len(transfers))
	for i, at := range transfers {
		answers[i] = make(chan answer, 1)
		go func() {
			var said, complaints bytes.Buffer
			cmd := exec.CommandContext(ctx, filepath.Join(r.root, "bin", "kubectl-cargoship"), "record", at.Name,
				"--namespace", namespace, "--kubeconfig", filepath.Join(r.dir, "control-plane", "admin.kubeconfig"),
				"--for", (length - time.Second).String())
			cmd.Env = append(os.Environ(), "KUBECONFIG=")
			cmd.Stdout, cmd.Stderr = &said, &complaints
			err := cmd.Run()
			if err != nil {
				err = fmt.Errorf("record %s: %w: %s", at.Name, err, complaints.String())
			}
			answers[i] <- answer{recording{Transfer: at.Name, Scenario: said.String()}, err}
		}()
	}
	return func() ([]recording, error) {
		var all []recording
		for _, waits := range answers {
			a := <-waits
			if a.err != nil {
				return nil, a.err
			}
			all = append(all, a.recording)
		}
		return all, nil
	}
}

// compare simulates what was recorded of the transfers in a phase.
func compare(all []recording, p phase) ([]recording, error) {
	for i := range all {
		one := &all[i]
		one.Measured = simulated.Figures{Goodput: float64(p.TransferBytes[i]) / p.Seconds, Throttled: p.throttledShare()}
		s, err := sim.Parse("recorded.yaml", []byte(one.Scenario))
		if err != nil {
			return nil, fmt.Errorf("read the scenario recorded of %s: %w", one.Transfer, err)
		}
		if one.Simulated, err = simulated.Median(s, settled, simulatedUntil, 1, 2, 3); err != nil {
			return nil, fmt.Errorf("simulate the scenario recorded of %s: %w", one.Transfer, err)
		}
	}
	return all, nil
}
