package policy

import (
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Limit bounds what all transfers and restores of a destination do together. What is nil is
// not bounded; zero lets nothing be sent.
type Limit struct {
	BytesPerSecond, RequestsPerSecond *float64
	RequestsInFlight                  *int
	// Schedule is when it is in force; nil stands for always.
	Schedule *Schedule
}

// InForce is what limits say at a time.
type InForce struct {
	protocol.Limits
	// Indices of the limits that are in force, in ascending order.
	Indices []int
	// Until is when others are in force, the zero time if that is never.
	Until time.Time
}

// week is how many days ahead a schedule is looked at: whatever it names comes within that.
const week = 8

// Resolve tells what is in force: of the limits that are, the lowest of each kind.
func Resolve(now time.Time, limits []Limit) InForce {
	current := inForce(now, limits)
	out := InForce{Indices: current}
	for _, i := range current {
		out.Limits = lower(out.Limits, limits[i])
	}
	for _, at := range boundaries(now, limits) {
		if !slices.Equal(current, inForce(at, limits)) {
			out.Until = at
			break
		}
	}
	return out
}

func inForce(now time.Time, limits []Limit) (indices []int) {
	for i, l := range limits {
		if l.Schedule == nil || slices.ContainsFunc(l.Schedule.spans(now, 0), func(s span) bool { return s.holds(now) }) {
			indices = append(indices, i)
		}
	}
	return indices
}

// boundaries are the times after now at which some limit may begin or cease to hold.
func boundaries(now time.Time, limits []Limit) (all []time.Time) {
	for _, l := range limits {
		if l.Schedule == nil {
			continue
		}
		for _, s := range l.Schedule.spans(now, week) {
			for _, at := range []time.Time{s.begin, s.end} {
				if at.After(now) {
					all = append(all, at)
				}
			}
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// lower adds a limit to those that hold.
func lower(l protocol.Limits, other Limit) protocol.Limits {
	bound := func(present *float64, other *float64) {
		switch {
		case other == nil:
		case *other <= 0:
			l.Suspended = true
		case *present == 0 || *other < *present:
			*present = *other
		}
	}
	bound(&l.Pace.Bytes, other.BytesPerSecond)
	bound(&l.Pace.Requests, other.RequestsPerSecond)
	switch n := other.RequestsInFlight; {
	case n == nil:
	case *n <= 0:
		l.Suspended = true
	case l.InFlight == 0 || *n < l.InFlight:
		l.InFlight = *n
	}
	return l
}
