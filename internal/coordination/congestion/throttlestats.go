package congestion

import (
	"cmp"
	"math"
	"slices"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// throttleStats is the evidence of which group a prefix belongs to: how many requests ended
// lately, and how many of them were throttled.
type throttleStats struct{ ended, throttled float64 }

func (t *throttleStats) add(more throttleStats) {
	t.ended += more.ended
	t.throttled += more.throttled
}

// learn adds a round to what is kept of those before.
func (t *throttleStats) learn(weight float64, round throttleStats) {
	t.ended = evidenceMemory*t.ended + weight*round.ended
	t.throttled = evidenceMemory*t.throttled + weight*round.throttled
}

// share is the part of the requests that was throttled.
func (t throttleStats) share() float64 {
	if t.ended == 0 {
		return 0
	}
	return t.throttled / t.ended
}

// throttleStatsOf is what the counters tell of it.
func throttleStatsOf(p protocol.PrefixCounters) throttleStats {
	return throttleStats{float64(p.Accepted + p.Throttled + p.Failed), float64(p.Throttled)}
}

// evidenceMemory is the part of a prefix's evidence that is kept from one round with
// 503s to the next.
const evidenceMemory = 0.98

// evidence is how unlikely, as a negative logarithm, chance must be as the reason for an uneven
// spread of 503s, and for 503s of two groups in the same rounds.
const evidence = 6

// party is what may be throttled as one: a prefix, or all that a tenant has in a group.
type party struct {
	members []*Member
	throttleStats
	// told is the same with every request of every round in which some ended.
	told throttleStats
}

func (g *group) byMember() []party {
	var parties []party
	for _, l := range g.members {
		parties = append(parties, party{[]*Member{l}, l.throttleStats, l.told})
	}
	return parties
}

func (g *group) byTenant() []party {
	var parties []party
	of := map[string]int{}
	for _, l := range g.members {
		i, known := of[l.Tenant]
		if !known {
			i = len(parties)
			of[l.Tenant], parties = i, append(parties, party{})
		}
		parties[i].take(l)
	}
	return parties
}

func (p *party) take(l *Member) {
	p.members = append(p.members, l)
	p.throttleStats.add(l.throttleStats)
	p.told.add(l.told)
}

// mostThrottled finds the parties whose share of the 503s stands out most from their
// share of the requests, and how clearly it does. If all shared one policer, the K
// 503s would fall on them at random: the chance that a share q or more of
// them falls on parties with a share p of the requests is at most exp(-K·D(q‖p)),
// D being the relative entropy (Chernoff; Cover and Thomas, section 11.1). As the
// parties are chosen for it, that is one of 2ⁿ sets of n, of which some stands out.
func mostThrottled(parties []party) (hot []*Member, found float64) {
	byShare := slices.Clone(parties)
	slices.SortStableFunc(byShare, func(x, y party) int { return cmp.Compare(y.share(), x.share()) })
	var all, sum throttleStats
	for _, p := range byShare {
		all.ended += p.ended
		all.throttled += p.throttled
	}
	last := -1
	for i, x := range byShare[:max(0, len(byShare)-1)] {
		sum.ended += x.ended
		sum.throttled += x.throttled
		q, p := sum.throttled/all.throttled, sum.ended/all.ended
		if e := all.throttled * relativeEntropy(q, p); q > p && e > found {
			last, found = i, e
		}
	}
	for _, p := range byShare[:last+1] {
		hot = append(hot, p.members...)
	}
	return hot, found
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

// contradicted finds the prefixes of the tenant whose share of 503s the others, by the
// requests of their own that were accepted meanwhile, contradict most, if they do so
// clearly: the chance of these, were all throttled as it says, is exp(-n·D(q‖p)) at most, of
// n requests of which a share q was throttled instead of p. How many requests a tenant
// tells of does not matter, which it may make up; of the others some may always be lucky.
func contradicted(tenants []party) (hot []*Member) {
	var all throttleStats
	for _, x := range tenants {
		all.add(x.told)
	}
	most := evidence + float64(len(tenants))*math.Ln2
	for _, x := range tenants {
		others := throttleStats{all.ended - x.told.ended, all.throttled - x.told.throttled}
		p, q := min(x.told.share(), 1-scatter), others.share()
		if e := others.ended * relativeEntropy(q, p); p > max(q, heavyThrottling) && e >= most {
			hot, most = x.members, e
		}
	}
	return hot
}

// learnThrottling adds a round with 503s to the evidence. They come in bursts, which meet
// whoever sends just then, so many in one round tell no more than some.
func (g *group) learnThrottling() {
	weight := min(1, enough*float64(len(g.members))/float64(g.signal.Throttles))
	for _, l := range g.members {
		l.throttleStats.learn(weight, throttleStats{float64(l.Signal.Completions), float64(l.Signal.Throttles)})
	}
}
