package fairshare

import (
	"cmp"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// distributeTransfer divides a transfer's window over its active prefixes, and
// each prefix's over its workers.
func (d *Divider) distributeTransfer(now time.Time, t *Transfer) {
	left := t.Window
	for _, w := range t.Ready {
		if l := t.blockedPrefix(w); l != nil && left > 0 {
			w.ensure(l).Target = 1
			w.used = 1
			left--
		}
	}
	prefixes := d.dividePrefixes(now, t, left)
	placed := 0
	for _, l := range prefixes {
		if !l.open {
			placed += d.placeClosed(now, l)
		} else {
			placed += l.need
		}
	}
	// What a closed prefix's workers could not hold goes to the open ones.
	for _, l := range prefixes {
		if l.open {
			l.need += left - placed
			break
		}
	}
	d.placeOpen(now, t, prefixes)
}

// dividePrefixes sets the need of each active prefix, and lists those prefixes: closed
// ones with the fewest workers first, since they have the least choice.
func (d *Divider) dividePrefixes(now time.Time, t *Transfer, window int) []*Prefix {
	d.prefixes = d.prefixes[:0]
	claims := d.allocator.claims[:0]
	efficiency := t.meanEfficiency()
	for _, l := range t.Prefixes {
		current := l.Window
		l.Window = 0
		if !l.Active || l.limit == 0 {
			if current > 0 {
				l.since = now
			}
			continue
		}
		d.prefixes = append(d.prefixes, l)
		claims = append(claims, claim{
			weight: t.Weigh(l, efficiency), demand: float64(l.demand), limit: float64(l.limit),
			current: current, rank: rank(now, l.since, current > 0), inTurn: now.Sub(l.since) < TurnIntervals*t.BaseInterval,
		})
	}
	d.allocator.claims = claims
	d.allocator.divide(window, claims)
	for i, l := range d.prefixes {
		if l.Window = claims[i].share; (l.Window > 0) != (claims[i].current > 0) {
			l.since = now
		}
		l.need = claims[i].share
	}
	slices.SortStableFunc(d.prefixes, func(x, y *Prefix) int {
		return cmp.Or(first(!x.open, !y.open), cmp.Compare(len(x.eligible), len(y.eligible)))
	})
	return d.prefixes
}

// placeClosed divides a prefix's slots over the workers that have archives of it,
// evening out what each holds in all. It gives the slots placed.
func (d *Divider) placeClosed(now time.Time, l *Prefix) int {
	claims := d.allocator.claims[:0]
	for _, w := range l.eligible {
		claims = append(claims, w.claimOn(now, l))
	}
	d.allocator.claims = claims
	d.allocator.divide(l.need, claims)
	placed := 0
	for i, w := range l.eligible {
		if share := claims[i].share; share > 0 {
			w.ensure(l).Target = share
			w.used += share
			placed += share
		}
	}
	return placed
}

// claimOn is the worker's claim on slots of a closed prefix. An archive that it has begun
// keeps its slot for a turn. What has waited for as long comes first: such an archive, or
// a worker without any slot.
func (w *Worker) claimOn(now time.Time, l *Prefix) claim {
	demand, current, serving, since := Unlimited, 0, w.serving, w.since
	if part := w.part(l); part != nil {
		demand, current = part.Demand, part.Window
		if part.Held > 0 {
			serving, since = current > 0, part.since
		}
	}
	claim := w.claim(now, demand, w.Capacity-w.used, current)
	claim.rank = rank(now, since, serving)
	claim.inTurn = now.Sub(since) < TurnIntervals*w.Transfer.BaseInterval
	waitedATurn := current == 0 && !serving && !claim.inTurn
	if waitedATurn || current > 0 && claim.inTurn {
		claim.floor = 1
	}
	return claim
}

// claim is the worker's claim on further slots.
func (w *Worker) claim(now time.Time, demand, limit, current int) claim {
	return claim{
		weight: 1, base: float64(w.used), demand: float64(min(demand, limit)), limit: float64(limit), current: current,
		rank: rank(now, w.since, w.serving), inTurn: now.Sub(w.since) < TurnIntervals*w.Transfer.BaseInterval,
	}
}

// rank puts those first who have waited longest for a slot, and those who had
// one last.
func rank(now, since time.Time, serving bool) int64 {
	if serving {
		return now.UnixNano()
	}
	return since.UnixNano()
}

// Weigh gives the weight of an active prefix by the strategy.
func (t *Transfer) Weigh(l *Prefix, meanEfficiency float64) float64 {
	switch t.Strategy {
	case protocol.TCPLike:
		return l.OwnWindow
	case protocol.Adaptive:
		if l.Efficiency > 0 && meanEfficiency > 0 {
			return distinct(l.Efficiency / meanEfficiency)
		}
	}
	return 1
}

// distinct is a weight relative to the mean: none, unless it differs by half, since
// each change of a window costs its wait for acknowledgment; and never below a
// quarter of the fair share, so that a slow prefix goes on being measured.
func distinct(relative float64) float64 {
	if relative > 1/1.5 && relative < 1.5 {
		return 1
	}
	return max(0.25, relative)
}

// meanEfficiency is that of the active prefixes of which it is known.
func (t *Transfer) meanEfficiency() float64 {
	var sum, measured float64
	for _, l := range t.Prefixes {
		if l.Active && l.Efficiency > 0 {
			sum += l.Efficiency
			measured++
		}
	}
	return sum / max(measured, 1)
}
