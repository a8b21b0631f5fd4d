package coordination

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// fateMemory is the part of a prefix's evidence that is kept from one round with
	// refusals to the next.
	fateMemory = 0.98
	// fateRound is how many refusals one round can count for, by prefix.
	fateRound = 2.5
	// fateEvidence is how unlikely, as a negative logarithm, chance must be as the
	// reason for an uneven spread of refusals.
	fateEvidence = 6
	// coincidences of refusals, and alikeEvidence that they are none, merge two groups.
	coincidences  = 3
	alikeEvidence = 5
	// idleGroup without a request is given up: what it knew is out of date.
	idleGroup = time.Minute
)

// group is a set of prefixes that share fate: what polices one polices all.
type group struct {
	name  string
	lanes []*lane
	rate  rateLaw
	// signal of the round that is being judged.
	signal Signal
	// refused and loaded tell of the last rounds, the latest in the lowest bit,
	// whether some requests were refused, and whether enough were sent that some
	// would have been.
	refused, loaded uint16
	active          time.Time // when it last sent
}

// fate is the evidence of which group a prefix belongs to: how many requests ended
// lately, and how many of them were refused.
type fate struct{ ended, refused float64 }

func (f *fate) add(g fate) {
	f.ended += g.ended
	f.refused += g.refused
}

// learn adds a round to what is kept of those before.
func (f *fate) learn(weight float64, round fate) {
	f.ended = fateMemory*f.ended + weight*round.ended
	f.refused = fateMemory*f.refused + weight*round.refused
}

// fateOf is what the counters tell of it.
func fateOf(p protocol.PrefixCounters) fate {
	return fate{float64(p.Accepted + p.Throttled + p.Failed), float64(p.Throttled)}
}

// addGroup makes a group with a name of its own.
func (c *GlobalCongestionController) addGroup() *group {
	g := &group{name: groupName, rate: rateLaw{state: protocol.CongestionAvoidance}}
	if c.named > 0 {
		g.name = fmt.Sprintf("%s-%d", groupName, c.named)
	}
	c.named++
	c.groups = append(c.groups, g)
	return g
}

// groupName is the name of the group that all prefixes of a domain begin in.
const groupName = "shared"

// join moves a lane into the group.
func (g *group) join(l *lane) {
	if l.group != nil {
		l.group.leave(l)
	}
	l.group = g
	g.lanes = append(g.lanes, l)
}

func (g *group) leave(l *lane) {
	g.lanes = slices.DeleteFunc(g.lanes, func(x *lane) bool { return x == l })
}

// sum makes the group's signal of those of its lanes.
func (g *group) sum() {
	g.signal = Signal{}
	for _, l := range g.lanes {
		g.signal.add(l.signal)
	}
}

func (s *Signal) add(t Signal) {
	s.Started += t.Started
	s.Accepted += t.Accepted
	s.Throttled += t.Throttled
	s.Failed += t.Failed
	s.Bytes += t.Bytes
	s.Busy += t.Busy
	s.Completions += t.Completions
	s.Throttles += t.Throttles
}

// regroup sums the signals of the groups, splits those whose prefixes were not
// refused alike, and merges those that were refused together.
func (c *GlobalCongestionController) regroup(now time.Time) {
	for _, g := range c.groups {
		g.sum()
		if g.signal.Started > 0 || g.active.IsZero() {
			g.active = now
		}
		for _, l := range g.lanes {
			if l.ended.ended > 0 {
				l.told.learn(1, l.ended)
			}
		}
		if g.signal.Throttles > 0 {
			g.learnFates()
		}
	}
	if c.without.has(Groups) || !c.config.AdvancedFlowControl {
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

// learnFates adds a round with refusals to the evidence. They come in bursts, which meet
// whoever sends just then, so many in one round tell no more than some.
func (g *group) learnFates() {
	weight := min(1, fateRound*float64(len(g.lanes))/float64(g.signal.Throttles))
	for _, l := range g.lanes {
		l.fate.learn(weight, fate{float64(l.signal.Completions), float64(l.signal.Throttles)})
	}
}

// split gives the prefixes that were refused a group of their own, if there are
// others in theirs that were loaded and not refused: those of whole tenants first, so
// that what one says of its requests counts against itself alone.
func (c *GlobalCongestionController) split(now time.Time, g *group) {
	if len(c.groups) >= protocol.MaxGroups {
		return
	}
	var hot []*lane
	if c.known > 1 {
		hot = contradicted(g.byTenant())
	}
	if hot == nil && g.signal.Throttles == 0 {
		return
	}
	if parties := g.byLane(); hot == nil {
		var evidence float64
		if hot, evidence = unevenest(parties); evidence < fateEvidence+float64(len(parties))*math.Ln2 {
			return
		}
	}
	if c.mayPart(hot) {
		c.part(now, g, hot)
	}
}

const (
	// leastRefused is the share of refusals below which a tenant is left with the others:
	// the law keeps the share of honest ones far below.
	leastRefused = 1. / 3
	// mostRefused bounds what a tenant is compared by: of the others some may always be lucky.
	mostRefused = 0.95
)

// contradicted finds the prefixes of the tenant whose share of refusals the others, by the
// requests of their own that were accepted meanwhile, contradict most, if they do so
// clearly: the chance of these, were all refused as it says, is exp(-n·D(q‖p)) at most, of
// n requests of which a share q was refused instead of p. How many requests a tenant
// tells of does not matter, which it may make up.
func contradicted(tenants []party) (hot []*lane) {
	var all fate
	for _, x := range tenants {
		all.add(x.told)
	}
	most := fateEvidence + float64(len(tenants))*math.Ln2
	for _, x := range tenants {
		others := fate{all.ended - x.told.ended, all.refused - x.told.refused}
		p, q := min(x.told.share(), mostRefused), others.share()
		if e := others.ended * relativeEntropy(q, p); p > max(q, leastRefused) && e >= most {
			hot, most = x.lanes, e
		}
	}
	return hot
}

// mayPart bounds the groups of one tenant where there are several.
func (c *GlobalCongestionController) mayPart(hot []*lane) bool {
	if c.tenants < 2 {
		return true
	}
	n, owner := 0, hot[0].transfer.tenant
	for _, g := range c.groups {
		if len(g.lanes) > 0 && g.lanes[0].transfer.tenant == owner {
			n++
		}
	}
	return n < protocol.MaxGroups/c.tenants
}

// party is what may share fate as one: a prefix, or all that a tenant has in a group.
type party struct {
	lanes []*lane
	fate
	// told is the same with every request of every round in which some ended.
	told fate
}

func (g *group) byLane() []party {
	var parties []party
	for _, l := range g.lanes {
		parties = append(parties, party{[]*lane{l}, l.fate, l.told})
	}
	return parties
}

func (g *group) byTenant() []party {
	var parties []party
	of := map[*tenant]int{}
	for _, l := range g.lanes {
		i, known := of[l.transfer.tenant]
		if !known {
			i = len(parties)
			of[l.transfer.tenant], parties = i, append(parties, party{})
		}
		parties[i].take(l)
	}
	return parties
}

func (p *party) take(l *lane) {
	p.lanes = append(p.lanes, l)
	p.fate.add(l.fate)
	p.told.add(l.told)
}

// unevenest finds the parties whose share of the refusals stands out most from their
// share of the requests, and how clearly it does. If all shared one policer, the K
// refusals would fall on them at random: the chance that a share q or more of
// them falls on parties with a share p of the requests is at most exp(-K·D(q‖p)),
// D being the relative entropy (Chernoff; Cover and Thomas, section 11.1). As the
// parties are chosen for it, that is one of 2ⁿ sets of n, of which some stands out.
func unevenest(parties []party) (hot []*lane, evidence float64) {
	byShare := slices.Clone(parties)
	slices.SortStableFunc(byShare, func(x, y party) int { return cmp.Compare(y.share(), x.share()) })
	var all, sum fate
	for _, p := range byShare {
		all.ended += p.ended
		all.refused += p.refused
	}
	last := -1
	for i, x := range byShare[:max(0, len(byShare)-1)] {
		sum.ended += x.ended
		sum.refused += x.refused
		q, p := sum.refused/all.refused, sum.ended/all.ended
		if e := all.refused * relativeEntropy(q, p); q > p && e > evidence {
			last, evidence = i, e
		}
	}
	for _, p := range byShare[:last+1] {
		hot = append(hot, p.lanes...)
	}
	return hot, evidence
}

// share is the part of the requests that was refused.
func (f fate) share() float64 {
	if f.ended == 0 {
		return 0
	}
	return f.refused / f.ended
}

// relativeEntropy is D(q‖p) of two coins.
func relativeEntropy(q, p float64) float64 {
	if p <= 0 || p >= 1 {
		return 0
	}
	d := 0.0
	if q > 0 {
		d += q * math.Log(q/p)
	}
	if q < 1 {
		d += (1 - q) * math.Log((1-q)/(1-p))
	}
	return d
}

// part moves lanes into a group of their own, which takes its part of the rate. What
// bound the others was never their limit, so their rate is probed at once.
func (c *GlobalCongestionController) part(now time.Time, g *group, hot []*lane) {
	other := c.addGroup()
	other.active = now
	for _, l := range hot {
		other.join(l)
	}
	g.sum()
	other.sum()
	for _, l := range slices.Concat(g.lanes, other.lanes) {
		l.fate, l.told = fate{}, fate{}
	}
	g.refused, g.loaded = 0, 0
	if whole := g.signal.Accepted + other.signal.Accepted; g.rate.perSecond > 0 && whole > 0 {
		share := other.signal.Accepted / whole
		other.rate.perSecond = max(share*g.rate.perSecond, other.rate.lowest())
		other.rate.good = share * g.rate.good
		g.rate = rateLaw{
			state: protocol.CongestionAvoidance, good: (1 - share) * g.rate.good, events: g.rate.events,
			perSecond: max((1-share)*g.rate.perSecond, g.rate.lowest()),
			binding:   g.rate.binding,
			probe:     probe{due: now, won: 2},
		}
	}
}

// remember shifts the round into the group's record. An outage says nothing of who
// shares what: it is refused everywhere.
func (g *group) remember() {
	g.refused, g.loaded = g.refused<<1, g.loaded<<1
	outage := g.signal.Accepted == 0 || g.rate.state == protocol.Recovery
	if outage {
		return
	}
	refused := g.signal.Throttles >= enoughThrottles
	if refused {
		g.refused |= 1
	}
	if refused || g.rate.perSecond == 0 || g.rate.binds(g.signal) {
		g.loaded |= 1
	}
}

// alike tells that two groups were refused in the same rounds, more often than they
// would be by chance if each had a policer of its own: the log-likelihood ratio of the
// two (Dunning 1993, section 4) is that of dependence.
func (g *group) alike(h *group) bool {
	both := g.loaded & h.loaded
	count := func(rounds uint16) float64 { return float64(bits.OnesCount16(rounds & both)) }
	together, neither := count(g.refused&h.refused), count(^(g.refused | h.refused))
	one, other := count(g.refused&^h.refused), count(h.refused&^g.refused)
	if together < coincidences || together*neither < one*other {
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
		ratio(other, other+neither, together+other)+ratio(neither, other+neither, one+neither) > alikeEvidence
}

// merge joins groups that were refused together, and gives up those that sent
// nothing for long.
func (c *GlobalCongestionController) merge(now time.Time) {
	for i := 0; i < len(c.groups); i++ {
		for j := len(c.groups) - 1; j > i; j-- {
			if g, h := c.groups[i], c.groups[j]; g.alike(h) {
				g.rate.absorb(h.rate)
				c.dissolve(h, g)
			}
		}
	}
	for _, g := range slices.Clone(c.groups[1:]) {
		if len(g.lanes) == 0 || now.Sub(g.active) > idleGroup {
			c.dissolve(g, c.groups[0])
		}
	}
}

// dissolve moves the lanes of a group into another and forgets it.
func (c *GlobalCongestionController) dissolve(g, into *group) {
	for _, l := range slices.Clone(g.lanes) {
		l.fate, l.told = fate{}, fate{}
		into.join(l)
	}
	into.sum()
	into.rate.events.add(g.rate.events)
	into.refused, into.loaded = 0, 0
	c.groups = slices.DeleteFunc(c.groups, func(x *group) bool { return x == g })
}

// absorb adds the rate of a group that shares the policer.
func (r *rateLaw) absorb(other rateLaw) {
	if r.perSecond > 0 && other.perSecond > 0 {
		r.perSecond += other.perSecond
		r.probe.active, r.probe.won = false, 0
	} else {
		r.perSecond, r.settling, r.binding, r.probe = 0, false, false, probe{}
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

// usable is the most requests in flight that the lane's rate can use, a probe
// included; unlimited where only the window limits.
func (l *lane) usable(latency float64) int {
	rate := l.group.rate.perSecond
	if rate == 0 || latency <= 0 {
		return unlimited
	}
	share := min(rate, max(l.pace.rate, rate/float64(len(l.group.lanes))))
	return int(pacedHeadroom*share*latency) + 2
}
