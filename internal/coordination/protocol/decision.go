package protocol

import (
	"fmt"
	"strings"
	"time"
)

// Reason is one word for why a window or a rate is what it is: it names the branch of the
// control law that was taken.
type Reason string

// Bottleneck is what kept a group from sending more in a round.
type Bottleneck string

// The bottlenecks. None is given where nothing that the controller sets was in use.
const (
	BySource Bottleneck = "Source" // the workers had too little to send
	ByWindow Bottleneck = "Window" // the window was in use
	ByRate   Bottleneck = "Rate"   // requests were paced
	ByPolicy Bottleneck = "Policy" // a policy allowed no more
)

// Decision is the outcome of one round: what the law saw, what it decided, and why. The zero
// value means that no round has ended.
type Decision struct {
	Round  RoundView
	Window WindowDecision
	Groups []GroupDecision
	// Transitions are the changes of state that follow from it.
	Transitions []Transition
}

// Made tells that a round was judged.
func (d Decision) Made() bool { return d.Window.Reason != "" }

// Why returns what limited a group, and the reason: that of its rate if the rate did,
// otherwise that of the window. Of a group that came after the round nothing is known.
func (d Decision) Why(group string) (Bottleneck, Reason) {
	for _, g := range d.Groups {
		switch {
		case g.Group != group:
		case g.LimitedBy == ByRate:
			return ByRate, g.Reason
		default:
			return g.LimitedBy, d.Window.Reason
		}
	}
	return "", d.Window.Reason
}

// RoundView is what the law saw of the path that all groups share.
type RoundView struct {
	// Length of the round, 0 when unknown.
	Length time.Duration
	// Median is the median accepted attempt of the round, Latency the same, smoothed over
	// rounds; BaseLatency is that of requests that wait in no queue, as it was taken for in
	// this round.
	Median, Latency, BaseLatency time.Duration
	// InFlight is the most requests in flight at once. Queue is about how many of them
	// waited, QueueTarget how many may.
	InFlight           int
	Queue, QueueTarget float64
	// SenderLimited: workers with half of the window or more had too little to send.
	SenderLimited bool
	RequestRates
}

// RequestRates are in requests per second.
type RequestRates struct{ Started, Accepted, Throttled, Failed float64 }

// WindowDecision is what became of the window, in requests in flight.
type WindowDecision struct {
	Before, Window int
	State          State
	Reason         Reason
	// BaseLatency is the estimate from now on.
	BaseLatency time.Duration
}

// GroupDecision is what became of the rate of a group, in requests per second; 0 for none.
type GroupDecision struct {
	Group        string
	Before, Rate float64
	// State is that of the rate, or where nothing polices the group, of the window.
	State  State
	Reason Reason
	// LimitedBy is what kept the group from sending more in the round; empty where
	// neither rate nor window was in use.
	LimitedBy Bottleneck
	// NextProbe is how long the rate stays until it is probed, if it limits; 0 where no
	// probe is to come.
	NextProbe time.Duration
	RequestRates
}

// Transition is a change of state of a group, with its cause.
type Transition struct {
	Group    string
	From, To State
	Cause    Reason
}

// String tells of the round and the decision in one line. Congestion avoidance is not
// named, being the usual state.
func (d Decision) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %v", d.Window, d.Round)
	if d.Window.BaseLatency != d.Round.BaseLatency {
		fmt.Fprintf(&b, ", base now %v", rounded(d.Window.BaseLatency))
	}
	for _, g := range d.Groups {
		fmt.Fprintf(&b, "; %v", g)
	}
	return b.String()
}

func (w WindowDecision) String() string {
	if w.Before == w.Window {
		return fmt.Sprintf("window %d %s", w.Window, w.Reason)
	}
	return fmt.Sprintf("window %d->%d %s", w.Before, w.Window, w.Reason)
}

func (r RoundView) String() string {
	limited := ""
	if r.SenderLimited {
		limited = " as the senders limit"
	}
	return fmt.Sprintf("%d in flight%s, latency %v of base %v, queue %.0f of target %.0f, %v",
		r.InFlight, limited, rounded(r.Latency), rounded(r.BaseLatency), r.Queue, r.QueueTarget, r.RequestRates)
}

func (g GroupDecision) String() string {
	rate := ""
	switch {
	case g.Before == 0 && g.Rate == 0:
	case fmt.Sprintf("%.1f", g.Before) == fmt.Sprintf("%.1f", g.Rate):
		rate = fmt.Sprintf(" %.1f/s", g.Rate)
	case g.Rate == 0:
		rate = fmt.Sprintf(" %.1f/s->none", g.Before)
	case g.Before == 0:
		rate = fmt.Sprintf(" none->%.1f/s", g.Rate)
	default:
		rate = fmt.Sprintf(" %.1f->%.1f/s", g.Before, g.Rate)
	}
	state := ""
	if g.State != CongestionAvoidance {
		state = " in " + string(g.State)
	}
	if g.NextProbe > 0 {
		state += fmt.Sprintf(", probe in %v", g.NextProbe.Round(100*time.Millisecond))
	}
	return g.Group + rate + " " + string(g.Reason) + state
}

func (r RequestRates) String() string {
	s := fmt.Sprintf("%.0f/s accepted", r.Accepted)
	if r.Throttled > 0 {
		s += fmt.Sprintf(", %.1f/s throttled", r.Throttled)
	}
	if r.Failed > 0 {
		s += fmt.Sprintf(", %.1f/s failed", r.Failed)
	}
	return s
}

// rounded leaves three digits of a latency, or so.
func rounded(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
