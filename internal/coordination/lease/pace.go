package lease

import (
	"math"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Pace is the most, per second, that the worker may be sending by a policy: it acts on one of
// the grants that still hold, or after its lease goes on at the pace of the last, until it acts
// on a later one or is gone. Infinite where such a grant sets none; zero where there is none.
func (l *Ledger) Pace() protocol.Pace {
	most := l.kept
	for _, v := range l.versions {
		most = most.atMost(v.pace)
	}
	return protocol.Pace(most)
}

// paceCharge is a pace in which no bound is infinite and zero is nothing.
type paceCharge protocol.Pace

// chargeOf is what a grant with so large a window and such a pace is charged with.
func chargeOf(window int, p protocol.Pace) paceCharge {
	if window == 0 {
		return paceCharge{}
	}
	unbounded := func(x float64) float64 {
		if x > 0 {
			return x
		}
		return math.Inf(1)
	}
	return paceCharge{Bytes: unbounded(p.Bytes), Requests: unbounded(p.Requests)}
}

func (p paceCharge) atMost(q paceCharge) paceCharge {
	return paceCharge{Bytes: max(p.Bytes, q.Bytes), Requests: max(p.Requests, q.Requests)}
}
