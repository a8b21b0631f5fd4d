package fairshare

import "math"

// Paced is a party to a limit per second: a worker of a domain, or a domain of a policy.
type Paced struct {
	// Weight is its share relative to others, above 0, and Demand the most that it can use.
	Weight, Demand float64
	// Most is what it may have at most, 0 for any part of the limit.
	Most float64
	// Granted is what it was given last, Charged the most that it may be using still, infinite
	// where it was given no limit.
	Granted, Charged float64
	// Deaf parties are told nothing now, and may go on with what they are charged.
	Deaf bool

	// Rate is what it is given.
	Rate float64
}

// paceSlack is how far the sum of rates that are kept may lie below the limit.
const paceSlack = 0.01

// Limit divides a limit over the parties, weighted and by demand, so that what they may be
// using never sums to more than it, but for what they were given before there was a limit as
// low: what one is to have more than before is given once others are known to have less.
func Limit(limit float64, parties []*Paced) {
	free, capacity := limit, limit
	for _, p := range parties {
		free -= p.Charged
		if p.Deaf {
			capacity -= p.Charged
		}
	}
	targets := target(max(0, capacity), parties)
	wanted := 0.0
	for i, p := range parties {
		if !p.Deaf {
			wanted += max(0, targets[i]-p.Charged)
		}
	}
	part := 1.0
	if wanted > 0 {
		part = min(1, max(0, free)/wanted)
	}
	for i, p := range parties {
		switch {
		case p.Deaf:
			p.Rate = p.Granted
		case targets[i] <= p.Charged:
			p.Rate = targets[i]
		default:
			p.Rate = p.Charged + part*(targets[i]-p.Charged)
		}
	}
}

// target is what each party should have.
func target(capacity float64, parties []*Paced) []float64 {
	claims := make([]claim, len(parties))
	for i, p := range parties {
		if claims[i] = (claim{weight: max(p.Weight, math.SmallestNonzeroFloat32), demand: min(p.Demand, capacity), limit: capacity}); p.Deaf {
			claims[i].demand, claims[i].limit = 0, 0
		} else if p.Most > 0 {
			claims[i].demand, claims[i].limit = min(claims[i].demand, p.Most), min(capacity, p.Most)
		}
	}
	var a allocator
	a.fill(capacity, claims)
	targets := make([]float64, len(parties))
	sum, kept := 0.0, 0.0
	for i, p := range parties {
		targets[i] = claims[i].fair
		sum += targets[i]
		if kept += targets[i]; near(targets[i], p.Granted) {
			kept += p.Granted - targets[i]
		}
	}
	// Every change costs a write: what differs little is kept, where all together it does.
	if kept > sum || kept < (1-paceSlack)*sum {
		return targets
	}
	for i, p := range parties {
		if near(targets[i], p.Granted) {
			targets[i] = p.Granted
		}
	}
	return targets
}

func near(target, granted float64) bool { return math.Abs(target-granted) <= hysteresis*granted }
