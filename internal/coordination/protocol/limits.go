package protocol

import (
	"errors"
	"math"
)

// Limits are what all workers of a domain may do together, by a policy and whatever the
// control law allows. Zero stands for no limit.
type Limits struct {
	// Pace bounds bytes and requests per second.
	Pace Pace
	// InFlight bounds the requests in flight.
	InFlight int
	// Suspended: nothing may be sent.
	Suspended bool
}

// Pace bounds what is sent per second; zero stands for no bound.
type Pace struct {
	// Bytes of bodies, in either direction, and Requests started.
	Bytes, Requests float64
}

// Validate finds what is no limit.
func (l Limits) Validate() error {
	for _, x := range []float64{l.Pace.Bytes, l.Pace.Requests} {
		if !(x >= 0) || math.IsInf(x, 0) {
			return errors.New("a limit per second is negative or no finite number")
		}
	}
	if l.InFlight < 0 {
		return errors.New("the limit of requests in flight is negative")
	}
	return nil
}

// Window is the most requests in flight that the limits allow.
func (l Limits) Window() int {
	switch {
	case l.Suspended:
		return 0
	case l.InFlight > 0:
		return min(l.InFlight, MaxWindow)
	}
	return MaxWindow
}
