package fairshare

import (
	"math"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// estimate finds how much window the transfer can use: who can work on what, and how much.
func (t *Transfer) estimate(now time.Time) {
	t.demand, t.limit = 0, 0
	t.findEligible(now)
	demand, limit := 0, 0
	for _, w := range t.Ready {
		demand += min(w.Demand, w.Capacity)
		limit += w.Capacity
	}
	for _, l := range t.Prefixes {
		if l.Active {
			l.bound()
			t.demand += l.demand
			t.limit += l.limit
		}
	}
	t.demand, t.limit = min(t.demand, demand), min(t.limit, limit)
}

// findEligible lists the workers of each prefix that is not open: one that cannot
// feed all free workers, or of which a worker without a window there holds an archive.
func (t *Transfer) findEligible(now time.Time) {
	for _, l := range t.Prefixes {
		l.eligible, l.demand, l.limit, l.need = l.eligible[:0], 0, 0, 0
		l.open, l.waiting = len(t.Free) > 0 && l.Queued >= len(t.Free), false
	}
	for _, w := range t.Ready {
		for _, part := range w.Parts {
			if !w.Blocked && part.Waits() {
				part.Prefix.waiting = true
				part.Prefix.open = false
			}
		}
	}
	t.listHolders()
	for _, l := range t.Prefixes {
		switch {
		case !l.Active:
		case l.open:
			l.demand, l.limit = Unlimited/protocol.MaxPrefixes, Unlimited/protocol.MaxPrefixes
		default:
			t.admitOthers(now, l)
			l.measure()
		}
	}
	t.addBlocked()
}

// listHolders puts the workers that hold archives of a closed prefix on its list.
func (t *Transfer) listHolders() {
	for _, w := range t.Ready {
		w.holding = 0
		for _, part := range w.Parts {
			if part.Held > 0 {
				w.holding++
			}
			if l := part.Prefix; part.Held > 0 && !l.open && !w.Blocked {
				l.eligible = append(l.eligible, w)
			}
		}
	}
}

// admitOthers lets as many further workers onto a prefix as it has archives queued, and
// slots for, where some wait for one; those that have a window on it already come first.
// Where some wait, those that have nothing anywhere come before a further archive of one that
// has some.
func (t *Transfer) admitOthers(now time.Time, l *Prefix) {
	free, idle := l.Queued, 0
	if l.waiting {
		slots := min(l.Slots, l.Window)
		free = min(l.Queued, max(1, slots-len(l.eligible)))
		idle = max(free, min(l.Queued, slots-l.holders()))
	}
	most := [...]int{hasWindow: free, hasNothing: idle, hasOthers: free}
	before := len(l.eligible)
	for has, most := range most {
		for _, w := range t.Free {
			if len(l.eligible)-before >= most {
				break
			}
			part := w.part(l)
			if w.has(part, l) != has || part != nil && part.Held > 0 || !w.Accepts(now, l) {
				continue
			}
			l.eligible = append(l.eligible, w)
			w.holding = max(w.holding, 1)
		}
	}
}

// What a worker has that could be let onto a prefix: a window there, nothing at all where
// others wait, or anything else.
const (
	hasWindow = iota
	hasNothing
	hasOthers
)

func (w *Worker) has(there *Part, l *Prefix) int {
	switch {
	case there != nil && there.Window > 0:
		return hasWindow
	case l.waiting && w.holding == 0 && !w.serving:
		return hasNothing
	default:
		return hasOthers
	}
}

// holders is how many workers the eligible ones of a prefix count for, which hold archives
// of it: one that holds archives of several prefixes counts in part on each.
func (l *Prefix) holders() int {
	sum := 0.0
	for _, w := range l.eligible {
		sum += 1 / float64(w.holding)
	}
	return int(math.Ceil(sum))
}

// measure sums the demand of the eligible workers.
func (l *Prefix) measure() {
	for _, w := range l.eligible {
		demand := Unlimited
		if part := w.part(l); part != nil {
			demand = part.Demand
		}
		l.demand += min(demand, w.Capacity)
		l.limit += w.Capacity
	}
}

// bound holds a prefix to the slots that its rate can use.
func (l *Prefix) bound() {
	l.demand, l.limit = min(l.demand, l.Slots), min(l.limit, l.Slots)
}

// addBlocked makes room for the one request by which a blocked worker finds out
// that it is no longer.
func (t *Transfer) addBlocked() {
	for _, w := range t.Ready {
		if l := t.blockedPrefix(w); l != nil {
			l.demand++
			l.limit++
		}
	}
}

// blockedPrefix is where a blocked worker has its one slot: a prefix that it holds
// archives of, otherwise any.
func (t *Transfer) blockedPrefix(w *Worker) *Prefix {
	if !w.Blocked {
		return nil
	}
	for _, part := range w.Parts {
		if part.Held > 0 {
			return part.Prefix
		}
	}
	for _, l := range t.Prefixes {
		if l.Active {
			return l
		}
	}
	return nil
}
