package congestion

import "cargoship.dev/operator/internal/coordination/protocol"

// Member is one prefix as the controller knows it: whose it is, what was told of it in
// the round, and the group that it is throttled with.
type Member struct {
	ID protocol.Member
	// Tenant is whose it is: what one tenant tells is held against what others do.
	Tenant string
	// Signal is what the last round told of it.
	Signal Signal

	group         *group
	throttleStats throttleStats
	ended         throttleStats // of the last round, by every request
	told          throttleStats // likewise, of every request
}

// Begin forgets the round before.
func (m *Member) Begin() { m.Signal, m.ended = Signal{}, throttleStats{} }

// Count adds what a worker reported on the prefix in the round: its rates, by how much
// its counters have grown, and of these what the last decision had allowed, with the weight
// of who reported it.
func (m *Member) Count(rates Rates, growth protocol.PrefixCounters, judged protocol.Sample, e *Evidence) {
	m.Signal.count(rates, growth, judged, e)
	m.ended.add(throttleStatsOf(growth))
}

// Leave takes the prefix out of its group.
func (m *Member) Leave() { m.group.leave(m) }

// Group names the group of the prefix.
func (m *Member) Group() string { return m.group.name }

// Decided tells that the last round has changed what the prefix may start: with it a
// decision begins, which is judged by the requests that it allowed.
func (m *Member) Decided() bool { return m.group.decided }

// Paced tells that a rate bounds what the group starts.
func (m *Member) Paced() bool { return m.group.rate.perSecond > 0 }

// State is that of the member's group.
func (c *GlobalCongestionController) State(m *Member) protocol.State { return c.state(m.group) }

// Slots is the most requests in flight that the rate of the prefix can use, a probe
// included; false where only the window limits. Of the group's rate the prefix is
// given so much at present.
func (c *GlobalCongestionController) Slots(m *Member, given float64) (slots int, bounded bool) {
	rate, latency := m.group.rate.perSecond, c.path.current()
	if rate == 0 || latency <= 0 {
		return 0, false
	}
	share := min(rate, max(given, rate/float64(len(m.group.members))))
	return int(pacedHeadroom*share*latency) + 2, true
}

// Group is what a group of prefixes that are throttled together does.
type Group struct {
	Name  string
	State protocol.State
	// Rate in requests per second, 0 for none.
	Rate float64
	// Members are its prefixes; nobody may change the list.
	Members []*Member
	// Signal is what the last round told of them.
	Signal Signal
	// Cuts and Recoveries, ProbesWon and ProbesLost count since the start.
	Cuts, Recoveries, ProbesWon, ProbesLost int64
}

// Groups gives all of them. The first also has the cuts of the window.
func (c *GlobalCongestionController) Groups() []Group {
	all := make([]Group, len(c.groups))
	for i, g := range c.groups {
		e := g.rate.events
		all[i] = Group{
			Name: g.name, State: c.state(g), Rate: g.rate.perSecond, Members: g.members, Signal: g.signal,
			Cuts: e.cuts, Recoveries: e.recoveries, ProbesWon: e.probesWon, ProbesLost: e.probesLost,
		}
	}
	all[0].Cuts += c.window.cuts
	return all
}
