package protocol

import (
	"math"
	"time"
)

// Charge is the most that some grants allow of which a worker acts on one, nobody knows on which. The
// zero value allows nothing.
type Charge struct {
	// Window in requests in flight, coasting included.
	Window int
	// Duration is that of the lease, Coasting for how long the worker may go on after it.
	Duration, Coasting time.Duration
	// Pace is what may be sent by a policy: infinite where a grant with a window sets none.
	Pace Pace
}

// Charge is what the grant allows by itself.
func (g Grant) Charge() Charge {
	c := Charge{Duration: g.Duration, Coasting: g.Coasting}
	if g.Window() > 0 {
		c.Window = g.Coasted()
		c.Pace = Pace{Bytes: unbounded(g.Pace.Bytes), Requests: unbounded(g.Pace.Requests)}
	}
	return c
}

// unbounded is a bound by which zero, which stands for none, is infinite.
func unbounded(bound float64) float64 {
	if bound > 0 {
		return bound
	}
	return math.Inf(1)
}

// Or is what is charged of a worker that acts on one or the other.
func (c Charge) Or(o Charge) Charge {
	return Charge{
		Window: max(c.Window, o.Window), Duration: max(c.Duration, o.Duration), Coasting: max(c.Coasting, o.Coasting), Pace: c.Pace.AtMost(o.Pace),
	}
}

// AtMost is the higher of each bound, where none is infinite and zero allows nothing.
func (p Pace) AtMost(o Pace) Pace {
	return Pace{Bytes: max(p.Bytes, o.Bytes), Requests: max(p.Requests, o.Requests)}
}
