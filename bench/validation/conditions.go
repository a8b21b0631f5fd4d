package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"cargoship.dev/operator/internal/sim"
	"cargoship.dev/operator/lab"
)

const (
	// base is where copies go within the bucket.
	base = "data"
	// wide is a bandwidth that limits nobody, in bytes per second: the lab gets none.
	wide = 1e9
	// normal99 is the 99th percentile of the standard normal distribution.
	normal99 = 2.3263478740408408
	// bytesPerMegabit is of the lab's bandwidths.
	bytesPerMegabit = 1e6 / 8
)

// representable tells what the lab and one copy cannot be.
func representable(s *sim.Scenario) error {
	t := s.Transfers[0]
	if len(s.Transfers) != 1 || len(t.Workers) != 1 || t.Workers[0].Count != 1 || len(s.Links) != 1 {
		return fmt.Errorf("scenario %s: one copy is one transfer with one worker on one link", s.Name)
	}
	if len(s.Tenants)+len(s.Faults)+len(s.Limits) > 0 || s.Known != nil || s.Service.SlowShare > 0 || s.Service.ErrorShare > 0 {
		return fmt.Errorf("scenario %s: tenants, faults, limits, what is known, slow and failing requests are not translated", s.Name)
	}
	if slices.ContainsFunc(s.Partitions, func(p sim.Partition) bool { return p.Split != nil }) {
		return fmt.Errorf("scenario %s: a partition of the lab does not split", s.Name)
	}
	if slices.ContainsFunc(s.Changes, func(c sim.Change) bool { return c.Transfer != "" || c.Workers != "" }) {
		return fmt.Errorf("scenario %s: parts and NICs of a copy do not change", s.Name)
	}
	return nil
}

// conditions are those that the lab has once so much of the scenario has passed. The keys of a partition begin with
// its name; what a copy keeps beside its data is in none.
func conditions(s *sim.Scenario, passed time.Duration) lab.Conditions {
	link, service, rates := s.Links[0].Bandwidth, s.Service, map[string]sim.Rate{}
	for _, p := range s.Partitions {
		rates[p.Name] = p.Rate
	}
	for _, c := range s.Changes {
		switch {
		case time.Duration(c.At) > passed:
		case c.Link != "":
			link = c.Bandwidth
		case c.Partition != "":
			rates[c.Partition] = c.Rate
		case c.Service != nil:
			service = *c.Service
		}
	}
	median := time.Duration(service.Median)
	to := lab.Conditions{ServiceTime: &lab.ServiceTime{Median: median}, Bandwidth: &lab.Bandwidth{}}
	if service.Sigma > 0 {
		to.ServiceTime.P99 = time.Duration(float64(median) * math.Exp(normal99*service.Sigma))
	}
	if link < wide {
		to.Bandwidth.SharedMegabits = float64(link) / bytesPerMegabit
	}
	for _, p := range s.Partitions {
		rate := rates[p.Name]
		to.Partitions = append(to.Partitions, lab.Partition{
			Keys: base + "/" + p.Name + "-", RequestsPerSecond: float64(rate),
			Burst: max(1, int(math.Round(float64(p.Depth)*float64(rate/p.Rate)))),
		})
	}
	return to
}

// most is how many requests of each prefix of a partition the path carries at most within the scenario, if it carries as
// many of each.
func most(s *sim.Scenario, partition string) int {
	t := &s.Transfers[0]
	all, of := 0, 0
	for _, p := range t.Prefixes {
		all += p.Count
		if p.Partition == partition {
			of += p.Count
		}
	}
	seconds := time.Duration(s.Duration).Seconds()
	sent := float64(s.Links[0].Bandwidth) * seconds / float64(t.PartSize) / float64(all)
	for _, p := range s.Partitions {
		if p.Name == partition {
			sent = min(sent, (float64(p.Rate)*seconds+float64(p.Depth))/float64(of))
		}
	}
	return int(math.Ceil(sent))
}
