package coordination

import (
	"time"

	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// In a fleet that is large for its budget of reports, some workers are active: they hold the
// window, and report so often that the law can follow. The others hold no slots and report only
// often enough to keep their leases. The fewer are active the faster is the law, so a large fleet
// begins with few, each with as many slots as it can use. Once slow start has ended they become
// more, as it could be they that carry no more, and not the path: in the end all are, if
// there are slots for all.
const (
	// A report of a large fleet's worker costs three requests rather than the five that the budget
	// is made for, so those of idle workers, which are half as many as it allows, cost this part
	// of what they count.
	idleCost = 0.6
	// activeGrowth is how many times as many workers become active as hold slots. Slots move to one
	// when it listens, so a few at a time are idle.
	activeGrowth = 2
	// spareSlots times the window is what active workers can use, so that the next doubling finds
	// workers that listen.
	spareSlots = 2
	// awaitedFor is how long, from the first report of a transfer's workers on, nobody who does not listen
	// takes the place of those that are to be active and were not heard yet.
	awaitedFor = 5 * time.Second
)

// large tells that the fleet is so large that not all of its workers can report every second.
func (c *PipelineCoordinator) large() bool { return len(c.workers) > c.options.ReportsPerSecond }

// idleInterval is between the reports of idle workers, 0 where there are none.
func (c *PipelineCoordinator) idleInterval() time.Duration {
	if !c.large() {
		return 0
	}
	return c.idleOf(len(c.workers))
}

// idleOf is the same of so many workers: in steps of half a second, so that the coming of a worker
// does not rewrite the grant of every other.
func (c *PipelineCoordinator) idleOf(workers int) time.Duration {
	return max(protocol.LargeInterval, time.Duration(workers*4/c.options.ReportsPerSecond)*time.Second/2)
}

// expected counts the workers of all transfers once those are there that they are to have.
func (c *PipelineCoordinator) expected() int {
	n := 0
	for _, t := range c.transfers {
		if n += len(t.workers); !t.removed && !t.spec.Suspended {
			n += max(0, t.spec.Workers-len(t.workers))
		}
	}
	return n
}

// fastest is between the reports of active workers where they report as often as the budget allows.
func (c *PipelineCoordinator) fastest() time.Duration {
	reports, active := float64(c.options.ReportsPerSecond), len(c.workers)
	if idle := c.idleInterval(); idle > 0 {
		active = max(c.active, c.fewest(len(c.workers)))
		reports -= idleCost * float64(len(c.workers)-active) / idle.Seconds()
	}
	const step = shortestInterval
	return (time.Duration(float64(active)*float64(time.Second)/reports) + step - 1) / step * step
}

// stretched is the interval that the number of active workers asks for where nothing is in haste,
// 0 for none. One that is no shorter than usual is that of a large fleet, which reads less often.
func (c *PipelineCoordinator) stretched() time.Duration {
	if fastest := c.fastest(); c.large() && fastest >= protocol.DefaultConfig().UpdateInterval {
		return max(protocol.LargeInterval, fastest)
	}
	return 0
}

// terms are those of the worker's lease. What it was told before counts until it has acknowledged
// what it is told now.
func (w *worker) terms() lease.Terms {
	t := w.transfer.terms
	if idle := max(w.transfer.idle, t.BaseInterval); !w.active && !w.awaited && w.transfer.idle > 0 {
		if w.unheard() { // its lease may be opened with it, long before the last of them has come
			idle = max(idle, w.transfer.opening)
		}
		t.Interval, t.BaseInterval = idle, idle
	}
	if t.BaseInterval = max(t.BaseInterval, w.lease.Interval()); t.BaseInterval > w.transfer.terms.BaseInterval {
		t.Duration = leaseDuration(t)
		t.Lifetime = protocol.Lifetime(t.Duration)
	}
	return t
}

// takesPart tells that the worker is one of those that slots are divided over.
func (w *worker) takesPart() bool {
	return w.active && w.listens || w.blocked || w.work.Held() > 0
}

// serves tells that the worker has slots or shall have some.
func (w *worker) serves() bool { return w.window() > 0 || w.share.Target() > 0 }

// fewest is how many of so many workers are active at least: as many as can report every second.
func (c *PipelineCoordinator) fewest(workers int) int {
	return max(1, int((1-idleCost/2)*float64(c.options.ReportsPerSecond*workers)/float64(len(c.workers))))
}

// chooseActive chooses the workers that are active.
func (c *PipelineCoordinator) chooseActive(now time.Time) {
	c.active = 0
	for _, t := range c.transfers {
		if c.large() && t.coordinated() {
			t.chooseActive(now, c.fewest(len(t.workers)), c.control.Starting())
		} else {
			for _, w := range t.workers {
				w.active, w.listens, w.awaited = true, true, false
			}
		}
		for _, w := range t.workers {
			if w.active {
				c.active++
			}
		}
	}
}

// chooseActive chooses those of a transfer: first who holds something, then who listens, and of
// these who was active before.
func (t *transfer) chooseActive(now time.Time, fewest int, starting bool) {
	awaited, count, slots := t.await(now, fewest), 0, 0
	choose := func(w *worker) {
		if count++; !w.blocked {
			slots += min(w.capacity(), w.share.Demand)
		}
		w.active, w.listens = true, w.hearsSoon()
	}
	holders := 0
	for i := range t.candidates {
		t.candidates[i] = t.candidates[i][:0]
	}
	for _, w := range t.workers {
		was, serves, ready := w.active, w.serves(), w.ready(now)
		if serves && ready {
			holders++
		}
		w.active, w.listens = false, false
		switch {
		case serves || w.work.Held() > 0:
			choose(w)
		case ready && !w.blocked:
			turn := turn(was, w.hearsSoon())
			t.candidates[turn] = append(t.candidates[turn], w)
		}
	}
	wanted := fewest
	if !starting {
		wanted = max(fewest, min(t.share.Window, activeGrowth*holders))
	}
	for turn, candidates := range t.candidates {
		if turn == len(t.candidates)/2 { // these and the next do not listen
			count += awaited
		}
		for _, w := range candidates {
			if count < wanted || slots < spareSlots*t.share.Window {
				choose(w)
			}
		}
	}
}

// turn orders the candidates: who listens, and of these and of the others who was active before.
func turn(was, listens bool) int {
	n := 0
	if !listens {
		n += 2
	}
	if !was {
		n++
	}
	return n
}

// hearsSoon tells that the worker looks at its lease as often as active ones do: it waits for its first
// grant, or acts on one of theirs. A lease may have been opened with the interval of a smaller fleet.
func (w *worker) hearsSoon() bool {
	t := w.transfer
	most := t.terms.BaseInterval + 1
	if !w.lease.Opened() {
		most = max(most, t.idle)
	}
	return !w.lease.Held() || w.lease.Interval() < most
}

// await chooses who of those that were never heard is to be active, where too few are: their leases
// are not opened before, so that they look for a grant as soon as they have reported. It gives how
// many of them to wait for.
func (t *transfer) await(now time.Time, fewest int) int {
	missing, awaited, heard := fewest, 0, false
	for _, w := range t.workers {
		if w.awaited || w.active && w.ready(now) {
			missing--
		}
		w.awaited = w.awaited && w.unheard()
		heard = heard || w.lease.Reported()
	}
	for _, w := range t.workers {
		if missing > 0 && !w.awaited && w.unheard() && !w.lease.Grant().Opens() {
			w.awaited = true
			missing--
		}
		if w.awaited {
			awaited++
		}
	}
	if heard && t.heard.IsZero() {
		t.heard = now
	}
	if now.Sub(t.heard) >= awaitedFor {
		return 0
	}
	return awaited
}

// unheard tells that no report of the worker was ever taken in, by this leader or one before.
func (w *worker) unheard() bool {
	return !w.lease.Reported() && w.lease.Instance() == "" && !w.leaving()
}
