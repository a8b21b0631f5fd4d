package protocol

import "time"

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
)

// Decision is what the control law made of one round: what it saw, what it decided, and
// why. The zero value is that of no round.
type Decision struct {
	Round  RoundView
	Window WindowDecision
	Groups []GroupDecision
	// Transitions are the changes of state that follow from it.
	Transitions []Transition
}

// Made tells that a round was judged.
func (d Decision) Made() bool { return d.Window.Reason != "" }

// Group finds what was decided for a group by its name.
func (d Decision) Group(name string) (GroupDecision, bool) {
	for _, g := range d.Groups {
		if g.Group == name {
			return g, true
		}
	}
	return GroupDecision{}, false
}

// RoundView is what the law saw of the path that all groups share.
type RoundView struct {
	// Length of the round, 0 when unknown.
	Length time.Duration
	// Median is the median accepted attempt of the round, Latency the same, smoothed over
	// rounds; BaseLatency is that of requests that wait in no queue, as it was taken for
	// until this round.
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
	// BaseLatency is what it is taken for from now on.
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
	RequestRates
}

// Transition is a change of state of a group, with its cause.
type Transition struct {
	Group    string
	From, To State
	Cause    Reason
}
