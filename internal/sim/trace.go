package sim

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Trace is the course of one run in steps of Step.
type Trace struct {
	Scenario, Controller string
	Seed                 uint64
	Step                 time.Duration
	Points               []Point
	// Decisions of the product, in order; none of a baseline.
	Decisions []DecisionAt
}

// DecisionAt is a decision of a round that ended so long after the beginning.
type DecisionAt struct {
	At time.Duration
	protocol.Decision
}

// Point is the course during one step.
type Point struct {
	// Seconds since the beginning, at the end of the step.
	Seconds float64
	// Window in requests and Rate in requests per second (0 for none) in force over
	// all workers, and InFlight, at the end of the step.
	Window, InFlight int
	Rate             float64
	// Throughput and Capacity in bytes per second; the capacity is the oracle's rate.
	Throughput, Capacity float64
	// Started, Accepted and Throttled in requests per second.
	Started, Accepted, Throttled float64
}

// traceStep is the length of a step.
const traceStep = 500 * time.Millisecond

func (r *run) trace(best *optimum) *Trace {
	t := &Trace{Scenario: r.scenario.Name, Seed: r.seed, Step: traceStep, Decisions: r.record.decisions}
	const bins = int(traceStep / binWidth)
	per := traceStep.Seconds()
	for i := 0; i+bins <= len(best.rates); i += bins {
		p := Point{Seconds: (time.Duration(i+bins) * binWidth).Seconds()}
		for n := i; n < i+bins; n++ {
			b := r.record.bins[n]
			p.Throughput += b.bytes / per
			p.Capacity += best.rates[n] / float64(bins)
			p.Started += float64(b.started) / per
			p.Accepted += float64(b.accepted) / per
			p.Throttled += float64(b.throttled) / per
			p.Window, p.InFlight, p.Rate = int(b.window), int(b.inFlight), b.rate
		}
		t.Points = append(t.Points, p)
	}
	return t
}

// WriteCSV writes the trace with a line of names.
func (t *Trace) WriteCSV(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, "seconds,window,rate,inFlight,throughput,capacity,started,accepted,throttled")
	for _, p := range t.Points {
		fmt.Fprintf(&b, "%.1f,%d,%.2f,%d,%.0f,%.0f,%.1f,%.1f,%.1f\n",
			p.Seconds, p.Window, p.Rate, p.InFlight, p.Throughput, p.Capacity, p.Started, p.Accepted, p.Throttled)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// WriteDecisions writes the decisions, one a line, after the seconds since the beginning.
func (t *Trace) WriteDecisions(w io.Writer) error {
	var b bytes.Buffer
	for _, d := range t.Decisions {
		fmt.Fprintf(&b, "%.3f %v\n", d.At.Seconds(), d.Decision)
	}
	_, err := w.Write(b.Bytes())
	return err
}
