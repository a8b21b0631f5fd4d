package lease

import (
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// A decision is judged by what was started under the limits that follow it, and by nothing
// before they were granted.
func TestJudgedIsWhatTheLastDecisionAllowed(t *testing.T) {
	now := time.Unix(1000, 0)
	grant := func(sequence int64, window int) protocol.Grant {
		return protocol.Grant{Epoch: 1, Sequence: sequence, Duration: time.Minute, Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: window}}}
	}
	at := func(sequence int64) protocol.GrantID { return protocol.GrantID{Epoch: 1, Sequence: sequence} }
	tests := map[string]struct {
		windows        []int // of the grants since the decision, from the third on
		acts           int64
		newest, before int64
		want           int64 // started
	}{
		"nothing granted since":                 {nil, 2, 2, 1, 0},
		"not heard of the grant":                {[]int{20}, 2, 2, 1, 0},
		"under the new limits, and the old":     {[]int{20}, 3, 3, 2, 1},
		"under both of two divisions since":     {[]int{20, 21}, 4, 4, 3, 11},
		"told of them, but not yet within them": {[]int{20}, 2, 3, 2, 1},
		"other archives, the same limits":       {[]int{20, 20}, 4, 3, 2, 1},
		"a grant missed, limits as before it":   {[]int{20, 10}, 4, 2, 1, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var j Judgment
			var l Ledger
			l.Take(now, protocol.Report{Instance: "i", Sequence: 1})
			l.Issue(now, grant(1, 8), Terms{Lifetime: time.Minute})
			l.Issue(now, grant(2, 10), Terms{Lifetime: time.Minute})
			j.Follow(&l)
			j.Decide()
			for i, window := range test.windows {
				l.Issue(now, grant(int64(3+i), window), Terms{Lifetime: time.Minute})
				j.Follow(&l)
			}
			got := j.Judged(&l, protocol.Report{Epoch: 1, GrantSequence: test.acts}, protocol.PrefixCounters{
				Newest: protocol.Sample{Grant: at(test.newest), Started: 1},
				Before: protocol.Sample{Grant: at(test.before), Started: 10},
			})
			if got.Started != test.want {
				t.Errorf("%d requests are judged, want %d", got.Started, test.want)
			}
		})
	}
}

// A worker that gives no samples can be judged all the same, if later.
func TestJudgedWithoutSamples(t *testing.T) {
	now := time.Unix(1000, 0)
	var j Judgment
	var l Ledger
	l.Take(now, protocol.Report{Instance: "i", Sequence: 1})
	j.Decide()
	l.Issue(now, protocol.Grant{Epoch: 1, Sequence: 1, Duration: time.Minute, Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 8}}}, Terms{Lifetime: time.Minute})
	j.Follow(&l)
	growth := protocol.PrefixCounters{Started: 9, Accepted: 2, Throttled: 5, Failed: 1}
	want := protocol.Sample{Started: 9, Accepted: 2, Throttled: 5, Failed: 1}
	if got := j.Judged(&l, protocol.Report{Epoch: 1, GrantSequence: 1}, growth); got != want {
		t.Errorf("judged are %+v, want %+v", got, want)
	}
	if got := j.Judged(&l, protocol.Report{Epoch: 1}, growth); got != (protocol.Sample{}) {
		t.Errorf("of one that acts on older limits %+v are judged, want none", got)
	}
}

// Nothing new to grant is a decision as well: what goes on is judged by it.
func TestJudgedGoesOnUnderLimitsThatStay(t *testing.T) {
	now := time.Unix(1000, 0)
	var j Judgment
	var l Ledger
	l.Take(now, protocol.Report{Instance: "i", Sequence: 1})
	l.Issue(now, protocol.Grant{Epoch: 1, Sequence: 1, Duration: time.Minute, Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 8}}}, Terms{Lifetime: time.Minute})
	growth := protocol.PrefixCounters{Newest: protocol.Sample{Grant: protocol.GrantID{Epoch: 1, Sequence: 1}, Throttled: 5}}
	report := protocol.Report{Epoch: 1, GrantSequence: 1}
	j.Decide()
	if got := j.Judged(&l, report, growth).Throttled; got != 0 {
		t.Errorf("before the decision reached the worker %d are judged, want none", got)
	}
	j.Follow(&l)
	if got := j.Judged(&l, report, growth).Throttled; got != 5 {
		t.Errorf("%d are judged, want 5", got)
	}
}

// A decision on a prefix stands while its rate does: what starts under other windows, or
// other rates of other prefixes, is judged as well.
func TestJudgmentStandsUntilTheNextDecision(t *testing.T) {
	now := time.Unix(1000, 0)
	var j Judgment
	var l Ledger
	l.Take(now, protocol.Report{Instance: "i", Sequence: 1})
	for i := range int64(3) {
		l.Issue(now, protocol.Grant{Epoch: 1, Sequence: 1 + i, Duration: time.Minute, Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 8 + int(i)}}}, Terms{Lifetime: time.Minute})
		j.Follow(&l)
	}
	growth := protocol.PrefixCounters{
		Newest: protocol.Sample{Grant: protocol.GrantID{Epoch: 1, Sequence: 3}, Started: 1},
		Before: protocol.Sample{Grant: protocol.GrantID{Epoch: 1, Sequence: 2}, Started: 10},
	}
	report := protocol.Report{Epoch: 1, GrantSequence: 3}
	if got := j.Judged(&l, report, growth).Started; got != 11 {
		t.Errorf("%d requests are judged, want 11", got)
	}
	j.Decide()
	l.Issue(now, protocol.Grant{Epoch: 1, Sequence: 4, Duration: time.Minute, Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 20}}}, Terms{Lifetime: time.Minute})
	j.Follow(&l)
	if got := j.Judged(&l, report, growth).Started; got != 0 {
		t.Errorf("%d requests of before the decision are judged, want none", got)
	}
}
