package coordination

import (
	"cmp"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// turnIntervals is how many report intervals a transfer, prefix or worker keeps its
// slots where there are fewer slots than parties. A slot that moves is idle for
// one interval, until its withdrawal is acknowledged.
const turnIntervals = 15

// laneShare is a lane's part of one tick's allocation.
type laneShare struct {
	// eligible are the workers that hold archives of the lane or can be given
	// one; open lanes have archives for every free worker and list none.
	eligible []*worker
	open     bool
	waiting  bool // some of those that hold archives have no window
	demand   int  // slots known to be of use
	limit    int  // slots that can be held
	need     int  // slots still to be placed
}

// distribute sets the target of every cell: window to tenants to transfers to prefixes
// to workers.
func (c *PipelineCoordinator) distribute(now time.Time) {
	for _, x := range c.tenants {
		x.transfers = x.transfers[:0]
	}
	for _, t := range c.transfers {
		c.boundLanes(t)
		t.prepare(now)
		if !t.coordinated() {
			t.fixWindows()
			continue
		}
		t.tenant.transfers = append(t.tenant.transfers, t)
	}
	c.divideTenants(now, c.available(now))
	// The claims are scratch of the levels below.
	for _, x := range c.tenants {
		c.divideTransfers(now, x)
	}
	for _, t := range c.transfers {
		if t.coordinated() {
			c.distributeTransfer(now, t)
		}
	}
}

// boundLanes finds how many slots the rates of a transfer's lanes can use.
func (c *PipelineCoordinator) boundLanes(t *TransferScheduler) {
	for _, l := range t.lanes {
		l.slots = unlimited
		if !c.options.Without.Has(congestion.Slots) {
			if slots, bounded := c.control.Slots(l.member, l.pace.rate); bounded {
				l.slots = slots
			}
		}
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

// prepare finds who can work on what, and how much.
func (t *TransferScheduler) prepare(now time.Time) {
	t.ready, t.free, t.demand, t.limit = t.ready[:0], t.free[:0], 0, 0
	for _, w := range t.workers {
		for _, cell := range w.cells {
			cell.target = 0
		}
		w.used, w.room = 0, 0
		if w.ready(now) && !t.spec.Suspended {
			t.ready = append(t.ready, w)
			w.measureLoad()
			if !w.blocked {
				t.free = append(t.free, w)
			}
		}
	}
	t.activate()
	t.outlook = t.look()
	t.findEligible(now)
	demand, limit := 0, 0
	for _, w := range t.ready {
		demand += min(w.demand, w.capacity())
		limit += w.capacity()
	}
	for _, l := range t.lanes {
		if l.active {
			l.share.bound(l.slots)
			t.demand += l.share.demand
			t.limit += l.share.limit
		}
	}
	t.demand, t.limit = min(t.demand, demand), min(t.limit, limit)
}

// findEligible lists the workers of each lane that is not open: one that cannot
// feed all free workers, or of which a worker without a window there holds an archive.
func (t *TransferScheduler) findEligible(now time.Time) {
	for _, l := range t.lanes {
		l.share = laneShare{
			eligible: l.share.eligible[:0],
			open:     len(t.free) > 0 && l.queued() >= len(t.free),
		}
	}
	for _, w := range t.ready {
		for _, cell := range w.cells {
			if !w.blocked && cell.waits() {
				cell.lane.share.waiting = true
				cell.lane.share.open = false
			}
		}
	}
	t.listHolders()
	for _, l := range t.lanes {
		switch {
		case !l.active:
		case l.share.open:
			l.share.demand, l.share.limit = unlimited/protocol.MaxPrefixes, unlimited/protocol.MaxPrefixes
		default:
			t.admitOthers(now, l)
			l.share.measure(l)
		}
	}
	t.addBlocked()
}

// listHolders puts the workers that hold archives of a closed lane on its list.
func (t *TransferScheduler) listHolders() {
	for _, w := range t.ready {
		for _, cell := range w.cells {
			if s := &cell.lane.share; len(cell.held) > 0 && !s.open && !w.blocked {
				s.eligible = append(s.eligible, w)
			}
		}
	}
}

// admitOthers lets as many further workers onto a lane as it has archives queued, and
// slots for, where some wait for one; those that have a window on it already come first.
func (t *TransferScheduler) admitOthers(now time.Time, l *lane) {
	free := l.queued()
	if l.share.waiting {
		free = min(free, max(1, min(l.slots, l.window)-len(l.share.eligible)))
	}
	for _, wanted := range []bool{true, false} {
		for _, w := range t.free {
			if free == 0 {
				return
			}
			cell := w.cell(l)
			has := cell != nil && cell.window > 0
			if has != wanted || cell != nil && len(cell.held) > 0 || !w.accepts(now, l) {
				continue
			}
			l.share.eligible = append(l.share.eligible, w)
			free--
		}
	}
}

// measure sums the demand of the eligible workers.
func (s *laneShare) measure(l *lane) {
	for _, w := range s.eligible {
		demand := unlimited
		if cell := w.cell(l); cell != nil {
			demand = cell.demand
		}
		s.demand += min(demand, w.capacity())
		s.limit += w.capacity()
	}
}

// bound holds a lane to the slots that its rate can use.
func (s *laneShare) bound(slots int) {
	s.demand, s.limit = min(s.demand, slots), min(s.limit, slots)
}

// addBlocked makes room for the one request by which a blocked worker finds out
// that it is no longer.
func (t *TransferScheduler) addBlocked() {
	for _, w := range t.ready {
		if l := t.blockedLane(w); l != nil {
			l.share.demand++
			l.share.limit++
		}
	}
}

// blockedLane is where a blocked worker has its one slot: a lane that it holds
// archives of, else any.
func (t *TransferScheduler) blockedLane(w *worker) *lane {
	if !w.blocked {
		return nil
	}
	for _, cell := range w.cells {
		if len(cell.held) > 0 {
			return cell.lane
		}
	}
	for _, l := range t.lanes {
		if l.active {
			return l
		}
	}
	return nil
}

// distributeTransfer divides a transfer's window over its active lanes, and
// each lane's over its workers.
func (c *PipelineCoordinator) distributeTransfer(now time.Time, t *TransferScheduler) {
	left := t.window
	for _, w := range t.ready {
		if l := t.blockedLane(w); l != nil && left > 0 {
			w.ensure(l).target = 1
			w.used = 1
			left--
		}
	}
	lanes := c.divideLanes(now, t, left)
	placed := 0
	for _, l := range lanes {
		if !l.share.open {
			placed += c.placeClosed(now, l)
		} else {
			placed += l.share.need
		}
	}
	// What a closed lane's workers could not hold goes to the open ones.
	for _, l := range lanes {
		if l.share.open {
			l.share.need += left - placed
			break
		}
	}
	c.placeOpen(now, t, lanes)
}

// divideLanes sets the need of each active lane, and lists those lanes: closed
// ones with the fewest workers first, since they have the least choice.
func (c *PipelineCoordinator) divideLanes(now time.Time, t *TransferScheduler, window int) []*lane {
	c.lanes = c.lanes[:0]
	claims := c.allocator.claims[:0]
	efficiency := t.meanEfficiency()
	for _, l := range t.lanes {
		current := l.window
		l.window = 0
		if !l.active || l.share.limit == 0 {
			if current > 0 {
				l.since = now
			}
			continue
		}
		c.lanes = append(c.lanes, l)
		claims = append(claims, claim{
			weight: t.weigh(l, efficiency), demand: float64(l.share.demand), limit: float64(l.share.limit),
			current: current, rank: rank(now, l.since, current > 0), inTurn: now.Sub(l.since) < turnIntervals*t.terms.Leisure,
		})
	}
	c.allocator.claims = claims
	c.allocator.divide(window, claims)
	for i, l := range c.lanes {
		if l.window = claims[i].share; (l.window > 0) != (claims[i].current > 0) {
			l.since = now
		}
		l.share.need = claims[i].share
	}
	slices.SortStableFunc(c.lanes, func(x, y *lane) int {
		return cmp.Or(first(!x.share.open, !y.share.open), cmp.Compare(len(x.share.eligible), len(y.share.eligible)))
	})
	return c.lanes
}

// placeClosed divides a lane's slots over the workers that have archives of it,
// evening out what each holds in all. It gives the slots placed.
func (c *PipelineCoordinator) placeClosed(now time.Time, l *lane) int {
	claims := c.allocator.claims[:0]
	for _, w := range l.share.eligible {
		claims = append(claims, w.claimOn(now, l))
	}
	c.allocator.claims = claims
	c.allocator.divide(l.share.need, claims)
	placed := 0
	for i, w := range l.share.eligible {
		if share := claims[i].share; share > 0 {
			w.ensure(l).target = share
			w.used += share
			placed += share
		}
	}
	return placed
}

// claimOn is the worker's claim on slots of a closed lane. An archive that it has begun
// keeps its slot for a turn. What has waited for as long comes first: such an archive, or
// a worker without any slot.
func (w *worker) claimOn(now time.Time, l *lane) claim {
	demand, current, serving, since := unlimited, 0, w.serving, w.since
	if cell := w.cell(l); cell != nil {
		demand, current = cell.demand, cell.window
		if len(cell.held) > 0 {
			serving, since = current > 0, cell.since
		}
	}
	claim := w.claim(now, demand, w.capacity()-w.used, current)
	claim.rank = rank(now, since, serving)
	claim.inTurn = now.Sub(since) < turnIntervals*w.transfer.terms.Leisure
	waitedATurn := current == 0 && !serving && !claim.inTurn
	if waitedATurn || current > 0 && claim.inTurn {
		claim.floor = 1
	}
	return claim
}

// claim is the worker's claim on further slots.
func (w *worker) claim(now time.Time, demand, limit, current int) claim {
	return claim{
		weight: 1, base: float64(w.used), demand: float64(min(demand, limit)), limit: float64(limit), current: current,
		rank: rank(now, w.since, w.serving), inTurn: now.Sub(w.since) < turnIntervals*w.transfer.terms.Leisure,
	}
}

// placeOpen divides the slots of the open lanes over the free workers, then matches
// lanes with workers so that as little as possible moves.
func (c *PipelineCoordinator) placeOpen(now time.Time, t *TransferScheduler, lanes []*lane) {
	need := 0
	for _, l := range lanes {
		if l.share.open {
			need += l.share.need
		}
	}
	if need <= 0 {
		return
	}
	claims := c.allocator.claims[:0]
	for _, w := range t.free {
		current, limit := 0, w.capacity()-w.used
		for _, cell := range w.cells {
			if cell.lane.share.open {
				current += cell.window
			}
		}
		claims = append(claims, w.claim(now, w.demand-w.used, limit, current))
	}
	c.allocator.claims = claims
	c.allocator.divide(need, claims)
	for i, w := range t.free {
		w.room = claims[i].share
	}
	t.match(lanes)
}

// match places the open lanes' needs into the workers' rooms: one slot for each
// lane whose archives a worker holds, then what it has, then more of that, then
// anywhere.
func (t *TransferScheduler) match(lanes []*lane) {
	t.eachOpen(func(cell *cell) int { return min(1, len(cell.held)) })
	t.eachOpen(func(cell *cell) int { return cell.window - cell.target })
	t.eachOpen(func(cell *cell) int { return min(1, cell.window) * unlimited })
	next := 0
	for _, l := range lanes {
		for l.share.open && l.share.need > 0 && next < len(t.free) {
			if w := t.free[next]; w.room > 0 {
				w.ensure(l).place(l.share.need)
			} else {
				next++
			}
		}
	}
}

// eachOpen places up to wanted slots into each cell of an open lane.
func (t *TransferScheduler) eachOpen(wanted func(*cell) int) {
	for _, w := range t.free {
		for _, cell := range w.cells {
			if w.room == 0 {
				break
			}
			if s := &cell.lane.share; s.open && s.need > 0 {
				cell.place(wanted(cell))
			}
		}
	}
}

// place moves slots from the lane's need and the worker's room into the cell.
func (c *cell) place(slots int) {
	slots = max(0, min(slots, c.lane.share.need, c.worker.room))
	c.target += slots
	c.worker.room -= slots
	c.worker.used += slots
	c.lane.share.need -= slots
}

// fixWindows sets the windows of uncoordinated work: as many on each of a few
// prefixes per worker, lanes in hand first.
func (t *TransferScheduler) fixWindows() {
	config := t.spec.Config
	t.window = 0
	for _, l := range t.lanes {
		l.window = 0
	}
	for _, w := range t.ready {
		free := config.MaxPrefixes
		for _, wanted := range []bool{true, false} {
			for i := range t.lanes {
				// Workers start at different lanes, so that every lane is worked on.
				l := t.lanes[(i+t.offset(w))%len(t.lanes)]
				cell := w.cell(l)
				has := cell != nil && len(cell.held) > 0
				if free == 0 || !l.active || has != wanted || !has && (l.queued() == 0 || w.blocked) {
					continue
				}
				w.ensure(l).fix(config.MaxConcurrentUploads)
				free--
			}
		}
	}
}

func (c *cell) fix(window int) {
	if c.worker.blocked {
		window = 1
	}
	c.target = max(0, min(window, c.worker.capacity()-c.worker.used))
	c.worker.used += c.target
	c.lane.window += c.target
	c.worker.transfer.window += c.target
}

// offset is where a worker's walk over the lanes starts.
func (t *TransferScheduler) offset(w *worker) int {
	i, _ := slices.BinarySearchFunc(t.workers, w.id, compareWorker)
	return i * max(1, t.spec.Config.MaxPrefixes)
}
