package main

import (
	"fmt"
	"time"

	"cargoship.dev/operator/internal/sim"
)

// controller is the coordinator as a copy has it.
const controller = "adaptive:updateInterval=100ms,maxAttempts=3"

// simulateAll runs the scenario in the simulator with so many seeds.
func simulateAll(s *sim.Scenario, runs int) ([]figure, error) {
	c, err := sim.FindController(controller)
	if err != nil {
		return nil, err
	}
	var all []figure
	for seed := range runs {
		var last sim.Sight
		if err := sim.Watch(s, c, uint64(seed+1), time.Second, func(x sim.Sight) { last = x }); err != nil {
			return nil, fmt.Errorf("simulate: %w", err)
		}
		ended := float64(last.Accepted + last.Throttled + last.Failed)
		all = append(all, figure{
			Goodput: last.Bytes / last.At.Seconds(), Throttled: float64(last.Throttled) / ended, P50: last.AttemptP50.Seconds(),
		})
	}
	return all, nil
}
