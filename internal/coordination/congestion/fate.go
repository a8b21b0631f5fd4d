package congestion

import (
	"cmp"
	"math"
	"slices"

	"cargoship.dev/operator/internal/coordination/protocol"
)

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

// share is the part of the requests that was refused.
func (f fate) share() float64 {
	if f.ended == 0 {
		return 0
	}
	return f.refused / f.ended
}

// fateOf is what the counters tell of it.
func fateOf(p protocol.PrefixCounters) fate {
	return fate{float64(p.Accepted + p.Throttled + p.Failed), float64(p.Throttled)}
}

// fateMemory is the part of a prefix's evidence that is kept from one round with
// refusals to the next.
const fateMemory = 0.98

// fateRound is how many refusals one round can count for, by prefix.
const fateRound = 2.5

// fateEvidence is how unlikely, as a negative logarithm, chance must be as the
// reason for an uneven spread of refusals.
const fateEvidence = 6

// party is what may share fate as one: a prefix, or all that a tenant has in a group.
type party struct {
	members []*Member
	fate
	// told is the same with every request of every round in which some ended.
	told fate
}

func (g *group) byMember() []party {
	var parties []party
	for _, l := range g.members {
		parties = append(parties, party{[]*Member{l}, l.fate, l.told})
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
	p.fate.add(l.fate)
	p.told.add(l.told)
}

// unevenest finds the parties whose share of the refusals stands out most from their
// share of the requests, and how clearly it does. If all shared one policer, the K
// refusals would fall on them at random: the chance that a share q or more of
// them falls on parties with a share p of the requests is at most exp(-K·D(q‖p)),
// D being the relative entropy (Chernoff; Cover and Thomas, section 11.1). As the
// parties are chosen for it, that is one of 2ⁿ sets of n, of which some stands out.
func unevenest(parties []party) (hot []*Member, evidence float64) {
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
		hot = append(hot, p.members...)
	}
	return hot, evidence
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

// contradicted finds the prefixes of the tenant whose share of refusals the others, by the
// requests of their own that were accepted meanwhile, contradict most, if they do so
// clearly: the chance of these, were all refused as it says, is exp(-n·D(q‖p)) at most, of
// n requests of which a share q was refused instead of p. How many requests a tenant
// tells of does not matter, which it may make up.
func contradicted(tenants []party) (hot []*Member) {
	var all fate
	for _, x := range tenants {
		all.add(x.told)
	}
	most := fateEvidence + float64(len(tenants))*math.Ln2
	for _, x := range tenants {
		others := fate{all.ended - x.told.ended, all.refused - x.told.refused}
		p, q := min(x.told.share(), mostRefused), others.share()
		if e := others.ended * relativeEntropy(q, p); p > max(q, leastRefused) && e >= most {
			hot, most = x.members, e
		}
	}
	return hot
}

const (
	// leastRefused is the share of refusals below which a tenant is left with the others:
	// the law keeps the share of honest ones far below.
	leastRefused = 1. / 3
	// mostRefused bounds what a tenant is compared by: of the others some may always be lucky.
	mostRefused = 0.95
)

// learnFates adds a round with refusals to the evidence. They come in bursts, which meet
// whoever sends just then, so many in one round tell no more than some.
func (g *group) learnFates() {
	weight := min(1, fateRound*float64(len(g.members))/float64(g.signal.Throttles))
	for _, l := range g.members {
		l.fate.learn(weight, fate{float64(l.Signal.Completions), float64(l.Signal.Throttles)})
	}
}
