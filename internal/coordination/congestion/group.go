package congestion

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// group is a set of prefixes that share throttleStats: what polices one polices all.
type group struct {
	name    string
	members []*Member
	rate    rateLaw
	// signal of the round that is being judged.
	signal Signal
	// policed: in it, the group's state was that of its rate.
	policed bool
	// decided: the round has changed the rate, or where no rates are used, perhaps the window.
	decided bool
	// throttled and loaded tell of the last rounds, the latest in the lowest bit,
	// whether some requests were throttled, and whether enough were sent that some
	// would have been.
	throttled, loaded uint16
	active            time.Time // when it last sent
}

// addGroup makes a group with a name of its own.
func (c *GlobalCongestionController) addGroup() *group {
	g := &group{name: GroupName, rate: rateLaw{state: protocol.CongestionAvoidance}}
	if c.named > 0 {
		g.name = fmt.Sprintf("%s-%d", GroupName, c.named)
	}
	c.named++
	c.groups = append(c.groups, g)
	return g
}

// GroupName is the name of the group that all prefixes of a domain begin in.
const GroupName = "shared"

// join moves a member into the group.
func (g *group) join(l *Member) {
	if l.group != nil {
		l.group.leave(l)
	}
	l.group = g
	g.members = append(g.members, l)
}

func (g *group) leave(l *Member) {
	g.members = slices.DeleteFunc(g.members, func(x *Member) bool { return x == l })
}

// sum makes the group's signal of those of its members.
func (g *group) sum() {
	g.signal = Signal{}
	for _, l := range g.members {
		g.signal.Add(l.Signal)
	}
}

// regroup sums the signals of the groups, splits those whose prefixes were not
// throttled correlated, and merges those that were throttled together.
func (c *GlobalCongestionController) regroup(now time.Time) {
	for _, g := range c.groups {
		g.sum()
		if g.signal.Started > 0 || g.active.IsZero() {
			g.active = now
		}
		for _, l := range g.members {
			if l.ended.ended > 0 {
				l.told.learn(1, l.ended)
			}
		}
		if g.signal.Throttles > 0 {
			g.learnThrottling()
		}
	}
	if c.without.Has(Groups) || !c.config.AdvancedFlowControl {
		return
	}
	for _, g := range slices.Clone(c.groups) {
		c.split(now, g)
	}
	for _, g := range c.groups {
		g.remember()
	}
	c.merge(now)
}

// split gives the prefixes that were throttled a group of their own, if there are
// others in theirs that were loaded and not throttled: those of whole tenants first, so
// that what one says of its requests counts against itself alone.
func (c *GlobalCongestionController) split(now time.Time, g *group) {
	if len(c.groups) >= protocol.MaxGroups {
		return
	}
	var hot []*Member
	if c.known > 1 {
		hot = contradicted(g.byTenant())
	}
	if hot == nil && g.signal.Throttles == 0 {
		return
	}
	if parties := g.byMember(); hot == nil {
		var found float64
		if hot, found = mostThrottled(parties); found < evidence+float64(len(parties))*math.Ln2 {
			return
		}
	}
	if c.mayPart(hot) {
		c.part(now, g, hot)
	}
}

// mayPart bounds the groups of one tenant where there are several.
func (c *GlobalCongestionController) mayPart(hot []*Member) bool {
	if c.tenants < 2 {
		return true
	}
	n, owner := 0, hot[0].Tenant
	for _, g := range c.groups {
		if len(g.members) > 0 && g.members[0].Tenant == owner {
			n++
		}
	}
	return n < protocol.MaxGroups/c.tenants
}

// part moves members into a group of their own, which takes its part of the rate. What
// bound the others was never their limit, so their rate is probed at once.
func (c *GlobalCongestionController) part(now time.Time, g *group, hot []*Member) {
	other := c.addGroup()
	other.active = now
	for _, l := range hot {
		other.join(l)
	}
	g.sum()
	other.sum()
	for _, l := range slices.Concat(g.members, other.members) {
		l.throttleStats, l.told = throttleStats{}, throttleStats{}
	}
	g.throttled, g.loaded = 0, 0
	if whole := g.signal.Accepted + other.signal.Accepted; g.rate.perSecond > 0 && whole > 0 {
		share := other.signal.Accepted / whole
		other.rate.perSecond = max(share*g.rate.perSecond, other.rate.lowest())
		other.rate.good = share * g.rate.good
		g.rate = rateLaw{
			state: protocol.CongestionAvoidance, good: (1 - share) * g.rate.good, events: g.rate.events,
			perSecond: max((1-share)*g.rate.perSecond, g.rate.lowest()),
			binding:   g.rate.binding,
			probe:     probe{due: now, won: stepsSkipped},
		}
	}
}

// remember shifts the round into the group's record. An outage says nothing of who
// shares what: it is throttled everywhere.
func (g *group) remember() {
	g.throttled, g.loaded = g.throttled<<1, g.loaded<<1
	outage := g.signal.Accepted == 0 || g.rate.state == protocol.Recovery
	if outage {
		return
	}
	throttled := g.signal.Throttles >= enough
	if throttled {
		g.throttled |= 1
	}
	if throttled || g.rate.perSecond == 0 || g.rate.binds(g.signal) {
		g.loaded |= 1
	}
}

// correlated tells that two groups were throttled in the same rounds more often than by chance, of
// the last rounds in which both were loaded.
func (g *group) correlated(h *group) bool {
	return coincide(g.throttled, h.throttled, g.loaded&h.loaded)
}

// coincide tells that two were throttled in the same rounds, of some, more often than they
// would be by chance if each had a policer of its own: the log-likelihood ratio of the
// two (Dunning 1993, section 4) is that of dependence.
func coincide(throttled, others, rounds uint16) bool {
	count := func(set uint16) float64 { return float64(bits.OnesCount16(set & rounds)) }
	together, neither := count(throttled&others), count(^(throttled | others))
	one, other := count(throttled&^others), count(others&^throttled)
	if together < enough || together*neither < one*other {
		return false
	}
	all := together + neither + one + other
	ratio := func(observed, row, column float64) float64 {
		if observed == 0 {
			return 0
		}
		return observed * math.Log(observed*all/(row*column))
	}
	return ratio(together, together+one, together+other)+ratio(one, together+one, one+neither)+
		ratio(other, other+neither, together+other)+ratio(neither, other+neither, one+neither) > evidence
}

// merge joins groups that were throttled together, and gives up those that sent
// nothing for long.
func (c *GlobalCongestionController) merge(now time.Time) {
	for i := 0; i < len(c.groups); i++ {
		for j := len(c.groups) - 1; j > i; j-- {
			if g, h := c.groups[i], c.groups[j]; g.correlated(h) {
				g.rate.absorb(h.rate)
				c.dissolve(h, g)
			}
		}
	}
	for _, g := range slices.Clone(c.groups[1:]) {
		if len(g.members) == 0 || now.Sub(g.active) > outdated {
			c.dissolve(g, c.groups[0])
		}
	}
}

// dissolve moves the members of a group into another and forgets it.
func (c *GlobalCongestionController) dissolve(g, into *group) {
	for _, l := range slices.Clone(g.members) {
		l.throttleStats, l.told = throttleStats{}, throttleStats{}
		into.join(l)
	}
	into.sum()
	into.rate.events.add(g.rate.events)
	into.throttled, into.loaded = 0, 0
	c.groups = slices.DeleteFunc(c.groups, func(x *group) bool { return x == g })
}

// absorb adds the rate of a group that shares the policer.
func (r *rateLaw) absorb(other rateLaw) {
	if r.perSecond > 0 && other.perSecond > 0 {
		r.perSecond += other.perSecond
		r.probe.active, r.probe.won = false, 0
	} else {
		r.perSecond, r.binding, r.probe = 0, false, probe{}
	}
	r.good += other.good
	r.goal += other.goal
}

func (e *congestionEvents) add(other congestionEvents) {
	e.cuts += other.cuts
	e.recoveries += other.recoveries
	e.probesWon += other.probesWon
	e.probesLost += other.probesLost
}
