package main

import (
	"fmt"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
)

const (
	// objectBytes is the size of each file, and so of each request.
	objectBytes = 256 << 10
	// prefixCount is the number of prefixes, and of partitions where the path is policed.
	prefixCount = 4
	// base is the prefix that all transfers write below, so that they share partitions.
	base = "fleet"
)

// condition is a path to the server.
type condition struct {
	name, about string
	// text of the lab's conditions file.
	text string
	// capacity is what the path carries, in bytes of objects per second.
	capacity float64
	// requestsPerSecond is what each partition takes; 0 for no policer.
	requestsPerSecond float64
	// service is the median time that the server takes to answer.
	service time.Duration
}

func conditions() []condition {
	const perSecond, megabits = 60, 400
	return []condition{
		{
			name:  "policed",
			about: fmt.Sprintf("%d partitions, each taking %d requests/s; 100 ms service time", prefixCount, perSecond),
			text: fmt.Sprintf("partitions: [{keys: %q, requestsPerSecond: %d}]\nserviceTime: {median: 100ms, p99: 300ms}\n",
				base+"/p?", perSecond),
			capacity: prefixCount * perSecond * objectBytes, requestsPerSecond: perSecond, service: 100 * time.Millisecond,
		},
		{
			name:     "link",
			about:    fmt.Sprintf("one link of %d Mb/s; 50 ms service time", megabits),
			text:     fmt.Sprintf("bandwidth: {sharedMegabits: %d}\nserviceTime: {median: 50ms, p99: 150ms}\n", megabits),
			capacity: megabits * 1e6 / 8, service: 50 * time.Millisecond,
		},
	}
}

// fleet is a way for workers to choose how much they send.
type fleet struct {
	name, about string
	// window of each worker on each prefix; 0 leaves it to the coordinator.
	window int32
}

const coordinated, fixed64 = "coordinated", "uncoordinated-64"

func fleets() []fleet {
	return []fleet{
		{coordinated, "ArchiveTransfers as they are by default", 0},
		{"uncoordinated-3", "every worker 3 requests on each prefix, as in the original design", 3},
		{fixed64, "every worker 64 requests on each prefix", 64},
	}
}

// coordination is the fleet's part of a transfer's spec.
func (f fleet) coordination() v1alpha1.Coordination {
	if f.window == 0 {
		return v1alpha1.Coordination{}
	}
	return v1alpha1.Coordination{
		Mode:          v1alpha1.ModeUncoordinated,
		Uncoordinated: v1alpha1.FixedWindows{MaxPrefixes: prefixCount, MaxConcurrentUploads: f.window},
	}
}

// weights are the priorities of the transfers that share so many workers evenly.
func weights(workers int32) []int32 {
	if workers == 1 {
		return []int32{1}
	}
	return []int32{1, 2}
}

// scenario is one run.
type scenario struct {
	condition
	fleet
	workers int32
}

func (s scenario) name() string {
	return fmt.Sprintf("%s/%d:%s", s.condition.name, s.workers, s.fleet.name)
}

// scenarios lists all runs, fleets that are compared next to each other.
func scenarios() []scenario {
	var all []scenario
	for _, c := range conditions() {
		for _, workers := range []int32{1, 4, 12} {
			for _, f := range fleets() {
				all = append(all, scenario{c, f, workers})
			}
		}
	}
	return all
}
