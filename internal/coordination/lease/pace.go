package lease

import "cargoship.dev/operator/internal/coordination/protocol"

// Pace is the most, per second, that the worker may be sending by a policy: it acts on one of
// the grants that still hold, or after its lease goes on at the pace of the last, until it acts
// on a later one or is gone. Infinite where such a grant sets none; zero where there is none.
func (l *Ledger) Pace() protocol.Pace {
	most := l.kept
	for i := range l.versions {
		most = most.AtMost(l.versions[i].most.Pace)
	}
	return most
}
