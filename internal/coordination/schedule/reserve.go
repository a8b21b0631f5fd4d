package schedule

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// reserveTime is for how long a worker's reserve lasts at its present speed.
	reserveTime = time.Hour
	// largestReserve is the most archives in one.
	largestReserve = 1 << 20
	// reserveRuns bounds the runs of consecutive numbers of one reserve, and what is withdrawn of it
	// at a time.
	reserveRuns = 4
	// reserveBits is what a run of largestReserve takes in the record.
	reserveBits = 41
)

// returned are archives that no grant names any more as a worker's reserve, since recall; it
// has yet to let go of them.
type returned struct {
	numbers protocol.Ranges
	recall  protocol.GrantID
}

// Reserve brings the worker's reserves up to date: archives that it may go on with while
// nobody leads.
func (w *Worker) Reserve() {
	for _, c := range w.holdings {
		c.sizeReserve()
	}
}

// sizeReserve lets a reserve grow or shrink by half at once, lest it be written anew at every
// tick. All reserves of a prefix hold at most half of what nobody has been assigned, so that
// the last archives are nobody's reserve.
func (c *Holdings) sizeReserve() {
	l := c.prefix
	have := c.reserve.Count()
	fair := (l.backlog.fresh + l.backlog.reserved) / int64(2*max(1, l.sharing))
	if c.Window == 0 || fair < 2*int64(l.transfer.Config.PipelineDepth) || l.transfer.record.free < 0 {
		fair = 0
	}
	switch want := min(fair*3/4, c.hourly()); {
	case have > fair && len(c.returned) < reserveRuns: // it was less than three quarters, and the rest has been sent
		c.giveUp(c.reserve.CutLast(fair / 2))
	case 2*have < want && c.reserve.Spans() < reserveRuns:
		if first, last, ok := l.reserve(want - have); ok {
			c.reserve.AddRange(first, last)
		}
	}
}

// hourly is how many archives of the prefix the worker sends in reserveTime.
func (c *Holdings) hourly() int64 {
	w := c.worker
	if w.transfer.Config.CoastingTime == 0 || w.granting == 0 {
		return 0
	}
	share := float64(c.Window) / float64(w.granting)
	return int64(min(share*w.speed*reserveTime.Seconds()/c.prefix.meanSize(), largestReserve))
}

// giveUp leaves archives out of the reserve from the next grant on.
func (c *Holdings) giveUp(numbers protocol.Ranges) {
	if numbers.Count() > 0 {
		c.returned = append(c.returned, returned{numbers: numbers})
	}
}

// withholdReserve notes which grant is the first not to name what is given up.
func (c *Holdings) withholdReserve(g protocol.GrantID) {
	for i := range c.returned {
		if r := &c.returned[i]; r.recall == (protocol.GrantID{}) {
			r.recall = g
		}
	}
}

// yieldReserve queues what the worker has let go of.
func (c *Holdings) yieldReserve(acts protocol.GrantID) {
	kept := c.returned[:0]
	for _, r := range c.returned {
		if r.recall == (protocol.GrantID{}) || acts.Before(r.recall) {
			kept = append(kept, r)
			continue
		}
		c.prefix.backlog.unreserve(r.numbers, c.coasted)
	}
	c.returned = kept
}

// releaseReserve queues all of it: the worker is lost, or may be, and may have begun some.
func (c *Holdings) releaseReserve() {
	c.prefix.backlog.unreserve(c.reserve, true)
	for _, r := range c.returned {
		c.prefix.backlog.unreserve(r.numbers, true)
	}
	c.reserve, c.returned = protocol.Ranges{}, nil
}

// takeReserved takes an archive out of the worker's reserve that it has ended.
func (c *Holdings) takeReserved(number int64) bool {
	if c == nil {
		return false
	}
	taken := c.reserve.Remove(number)
	for i := range c.returned {
		taken = taken || c.returned[i].numbers.Remove(number)
	}
	if taken {
		c.coasted = true
		c.prefix.backlog.reserved--
		c.prefix.backlog.untouched.Remove(number)
	}
	return taken
}

// Reserving tells that it has a reserve.
func (c *Holdings) Reserving() bool { return c.reserve.Spans() > 0 }

// ReserveDue tells that the reserve that a grant names is worth a new grant: it was empty, or
// some of it is given up, which others wait for. One that grows is in the next grant that is
// written for something else.
func (c *Holdings) ReserveDue(named protocol.Ranges) bool {
	for _, r := range c.returned {
		if r.recall == (protocol.GrantID{}) {
			return true
		}
	}
	return named.Count() == 0 && c.reserve.Count() > 0
}

// Reserved gives the reserve, for a grant.
func (c *Holdings) Reserved() protocol.Ranges { return c.reserve.Clone() }

// AdoptReserve takes over a reserve that an earlier leader has granted. The worker may have
// begun some of it.
func (c *Holdings) AdoptReserve(numbers protocol.Ranges) { c.adoptReserve(numbers, &c.reserve) }

// AdoptWithdrawn takes over what that leader has withdrawn from its reserve, by a grant before this
// one or by it.
func (c *Holdings) AdoptWithdrawn(numbers protocol.Ranges, named protocol.GrantID) {
	r := returned{recall: named}
	if c.adoptReserve(numbers, &r.numbers); r.numbers.Count() > 0 {
		c.returned = append(c.returned, r)
	}
}

func (c *Holdings) adoptReserve(numbers protocol.Ranges, into *protocol.Ranges) {
	c.coasted = true
	for first, last := range numbers.Runs() {
		for n := first; n <= min(last, first+largestReserve, c.prefix.backlog.limit-1); n++ {
			if !c.prefix.finished.Contains(n) && c.prefix.held[n] == nil && c.prefix.backlog.withhold(n) {
				into.Add(n)
				c.prefix.backlog.reserved++
				c.prefix.backlog.untouched.Add(n)
			}
		}
	}
}
