package lease

import "cargoship.dev/operator/internal/coordination/protocol"

// Judgment tells, of one prefix of a worker, which requests the last decision on it allowed.
type Judgment struct {
	decided int64 // sequence of the first grant with the limits that follow that decision
	follows bool  // such a grant was issued
}

// Decide tells that the law has decided anew: what was granted before is of an earlier
// decision.
func (j *Judgment) Decide() { j.follows = false }

// Follow tells that the grant issued last is what the last decision allows.
func (j *Judgment) Follow(l *Ledger) {
	if !j.follows {
		j.follows, j.decided = true, l.limited
	}
}

// Judged gives by how much those requests of the prefix have grown that started under what
// the last decision allows; growth is that of its counters in the report. Of a worker that
// gives no samples all counts, once it acts on its newest limits.
func (j *Judgment) Judged(l *Ledger, r protocol.Report, growth protocol.PrefixCounters) protocol.Sample {
	var judged protocol.Sample
	switch {
	case !j.follows:
		return judged
	case growth.Newest.Grant == protocol.GrantID{} && l.Settled(r):
		return protocol.Sample{Started: growth.Started, Accepted: growth.Accepted, Throttled: growth.Throttled, Failed: growth.Failed}
	}
	decided := protocol.GrantID{Epoch: l.grant.Epoch, Sequence: j.decided}
	// A worker that missed a grant may hold limits as they are again since an earlier one.
	if l.Settled(r) || !growth.Newest.Grant.Before(decided) {
		judged = judged.Plus(growth.Newest)
	}
	if !growth.Before.Grant.Before(decided) {
		judged = judged.Plus(growth.Before)
	}
	return judged
}
