package main

import (
	"fmt"
	"path/filepath"

	"cargoship.dev/operator/bench/figures"
)

// report is everything measured, and where.
type report struct {
	figures.Head
	SearchSeconds float64  `json:"searchSeconds"`
	AloneSeconds  float64  `json:"aloneSeconds"`
	SharedSeconds float64  `json:"sharedSeconds"`
	Neighbors     []lonely `json:"neighbors"`
	Results       []result `json:"results"`
}

// lonely is the neighbor where nobody else sends.
type lonely struct {
	Condition string  `json:"condition"`
	Neighbor  traffic `json:"neighbor"`
}

// result is one run.
type result struct {
	Condition string `json:"condition"`
	Workers   int32  `json:"workers"`
	Fleet     string `json:"fleet"`
	// Search and Alone are the fleet by itself, from when all workers have reported;
	// Shared is everybody, once the neighbor was there.
	Search   phase   `json:"search"`
	Alone    phase   `json:"alone"`
	Shared   phase   `json:"shared"`
	Neighbor traffic `json:"neighbor"`
	// Recordings are those of the transfers of a coordinated fleet.
	Recordings []recording `json:"recordings,omitempty"`
}

// phase is what the lab has seen for a while.
type phase struct {
	Seconds float64 `json:"seconds"`
	// BytesPerSecond of objects that were stored.
	BytesPerSecond float64 `json:"bytesPerSecond"`
	Requests       int64   `json:"requests"`
	Throttled      int64   `json:"throttled"`
	// Quantiles in seconds: from the end of a request to its answer, and from the first
	// request for an object until it was stored.
	ServiceP50 float64 `json:"serviceP50"`
	ServiceP99 float64 `json:"serviceP99"`
	StoredP50  float64 `json:"storedP50"`
	StoredP99  float64 `json:"storedP99"`
	// Stored are the bytes that stood after each second.
	Stored []int64 `json:"stored"`
	// TransferBytes are what the workers of each transfer say they have sent.
	TransferBytes []int64 `json:"transferBytes"`
}

// newPhase takes from the statistics what concerns files. Manifests, outside of the
// partitions, count only where there are none.
func newPhase(c condition, s figures.LabStats) phase {
	t := s.Total
	p := phase{Seconds: s.Seconds, Requests: t.Requests, Throttled: t.Throttled,
		ServiceP50: t.P50, ServiceP99: t.P99, StoredP50: t.StoredP50, StoredP99: t.StoredP99}
	bytes := int64(0)
	for _, partition := range s.Partitions {
		if partition.Name != "" || c.requestsPerSecond == 0 {
			bytes += partition.AcceptedBytesIn
		}
	}
	p.BytesPerSecond = float64(bytes) / s.Seconds
	return p
}

// throttledShare is the part of the requests that was throttled for its rate.
func (p phase) throttledShare() float64 { return float64(p.Throttled) / float64(max(p.Requests, 1)) }

// jain is Jain's index of what each transfer got for its weight: 1 when all got alike,
// 1/n when one of n got everything. It is 0 where there is nothing to compare.
func (p phase) jain(weights []int32) float64 {
	if len(weights) < 2 || len(p.TransferBytes) != len(weights) {
		return 0
	}
	sum, squares := 0., 0.
	for i, bytes := range p.TransferBytes {
		share := float64(bytes) / float64(weights[i])
		sum += share
		squares += share * share
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(weights)) * squares)
}

// near is the part of the capacity that counts as found, over nearSeconds.
const near, nearSeconds = 0.9, 3

// found is the second from which on a fleet first stored near what the path carries;
// false where that was not within the time by itself.
func (one result) found(c condition) (second int, ok bool) {
	var each []float64
	for _, p := range []phase{one.Search, one.Alone} {
		before := int64(0)
		for _, sum := range p.Stored {
			each = append(each, float64(sum-before))
			before = sum
		}
	}
	for second := range max(0, len(each)-nearSeconds+1) {
		sum := 0.
		for _, bytes := range each[second : second+nearSeconds] {
			sum += bytes
		}
		if sum >= near*nearSeconds*c.capacity {
			return second, true
		}
	}
	return 0, false
}

// loss is what part of its lonely traffic the neighbor has lost to the fleet.
func (r report) loss(one result) float64 {
	for _, l := range r.Neighbors {
		if l.Condition == one.Condition && l.Neighbor.Stored > 0 {
			return 1 - one.Neighbor.Stored/l.Neighbor.Stored
		}
	}
	return 0
}

// find returns a run.
func (r report) find(c condition, workers int32, fleet string) (result, bool) {
	for _, one := range r.Results {
		if one.Condition == c.name && one.Workers == workers && one.Fleet == fleet {
			return one, true
		}
	}
	return result{}, false
}

// line says in brief what a run came to.
func (r report) line(one result) string {
	return fmt.Sprintf("%-7s %2d %-17s %5.1f MB/s, %4.1f %% throttled, stored in %6.0f/%6.0f ms, Jain %.3f; neighbor loses %3.0f %%",
		one.Condition, one.Workers, one.Fleet, one.Alone.BytesPerSecond/1e6, 100*one.Alone.throttledShare(),
		1e3*one.Alone.StoredP50, 1e3*one.Alone.StoredP99, one.Alone.jain(weights(one.Workers)), 100*r.loss(one))
}

// The files of a report.
const dataFile, pageFile, plotFile = "fleet.json", "fleet.md", "fleet.svg"

// write writes data, page and plot below a directory.
func (r report) write(out string) error {
	dir := filepath.Join(out, "benchmarks")
	if err := figures.WriteData(filepath.Join(dir, dataFile), r); err != nil {
		return err
	}
	return r.publish(dir)
}

// render takes the runs from the data.
func render(out string) error {
	var r report
	dir := filepath.Join(out, "benchmarks")
	if err := figures.ReadData(filepath.Join(dir, dataFile), &r); err != nil {
		return err
	}
	return r.publish(dir)
}

func (r report) publish(dir string) error {
	if err := figures.WritePage(filepath.Join(dir, pageFile), r.writePage); err != nil {
		return err
	}
	return r.writePlot(filepath.Join(dir, plotFile))
}
