package schedule

import (
	"slices"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Adopt takes over archives that an earlier leader has assigned to the worker on a prefix.
// Of two workers that were given the same archive the later one holds it.
func (c *Holdings) Adopt(assignments []protocol.Assignment) {
	for _, a := range assignments {
		c.adopt(a)
	}
}

// AdoptRecalled takes over what an earlier leader has recalled from the worker, by a grant before
// this one or by it: once the worker acts on this one it has let go of that.
func (c *Holdings) AdoptRecalled(assignments []protocol.Assignment, named protocol.GrantID) {
	for _, a := range assignments {
		if c.adopt(a) {
			c.recall()
			h := c.recalled[len(c.recalled)-1]
			h.recall, h.moves = named, h.attempts-1 // how many of its attempts have failed isn't known
		}
	}
}

// adopt takes over one archive, as the last that the worker holds; false if it has ended, or another
// worker was given it later.
func (c *Holdings) adopt(a protocol.Assignment) bool {
	l, n := c.prefix, a.Archive.Number
	if n < 0 || n > protocol.MaxNumber || l.finished.Contains(n) {
		return false
	}
	if other := l.held[n]; other != nil {
		if other.attempts >= a.Attempt {
			return false
		}
		other.drop(l)
	} else if !l.backlog.withhold(n) && !l.backlog.queue.drop(n) && !l.takeReserved(n) {
		return false
	}
	c.worker.hold(c, archive{number: n, size: l.backlog.meanSize(), attempts: a.Attempt - 1})
	l.held[n].granted = true // since an unknown time: any outcome of it counts
	return true
}

// takeReserved takes an archive out of whichever reserve it is in: none is put there again once it
// has been assigned.
func (l *Prefix) takeReserved(number int64) bool {
	return slices.ContainsFunc(l.transfer.workers, func(w *Worker) bool { return w.on(l).takeReserved(number) })
}

// Assigned tells that what is held is what a grant names.
func (c *Holdings) Assigned(named []protocol.Assignment) bool {
	if len(named) != len(c.held) {
		return false
	}
	for i, h := range c.held {
		if named[i].Archive.Number != h.number || named[i].Attempt != h.attempts {
			return false
		}
	}
	return true
}

// Grant adds what is held to the assignments of a grant, and notes which grant first
// names each archive.
func (c *Holdings) Grant(g protocol.GrantID, all []protocol.Assignment) []protocol.Assignment {
	for _, h := range c.held {
		if !h.granted {
			h.granted, h.first = true, g
		}
		all = append(all, c.assignment(h))
	}
	return all
}

func (c *Holdings) assignment(h *holding) protocol.Assignment {
	return protocol.Assignment{
		Archive: protocol.ArchiveID{Transfer: c.prefix.transfer.id, Prefix: c.prefix.name, Number: h.number}, Attempt: h.attempts,
	}
}

// Outstanding tells that the worker has, or has yet to give back, any archive.
func (c *Holdings) Outstanding() bool {
	return len(c.held) > 0 || len(c.recalled) > 0 || len(c.returned) > 0 || c.Reserving()
}

// Recalled gives what the worker has yet to give back, for a grant.
func (c *Holdings) Recalled() (recalled []protocol.Assignment, withdrawn protocol.Ranges) {
	for _, h := range c.recalled {
		recalled = append(recalled, c.assignment(h))
	}
	for _, r := range c.returned {
		withdrawn.AddAll(r.numbers)
	}
	return recalled, withdrawn
}

// Recall gives everything as to be given back, for the grant of a worker that shall end.
func (c *Holdings) Recall() (recalled []protocol.Assignment, withdrawn protocol.Ranges) {
	recalled, withdrawn = c.Recalled()
	for _, h := range c.held {
		if h.granted {
			recalled = append(recalled, c.assignment(h))
		}
	}
	withdrawn.AddAll(c.reserve)
	return recalled, withdrawn
}

// Withhold notes which grant is the first not to name what is recalled.
func (c *Holdings) Withhold(g protocol.GrantID) {
	c.withholdReserve(g)
	for _, h := range c.recalled {
		if h.recall == (protocol.GrantID{}) {
			h.recall = g
		}
	}
}
