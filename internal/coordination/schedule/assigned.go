package schedule

import "cargoship.dev/operator/internal/coordination/protocol"

// Adopt takes over archives that an earlier leader has assigned to the worker on a prefix.
// Of two workers that were given the same archive the later one holds it.
func (c *Holdings) Adopt(assignments []protocol.Assignment) {
	l := c.prefix
	for _, a := range assignments {
		n := a.Archive.Number
		if n < 0 || n > protocol.MaxNumber || l.finished.Contains(n) {
			continue
		}
		if other := l.held[n]; other != nil {
			if other.attempts >= a.Attempt {
				continue
			}
			other.drop(l)
		} else if !l.backlog.withhold(n) && !l.backlog.queue.drop(n) {
			continue
		}
		c.worker.hold(c, archive{number: n, size: l.backlog.meanSize(), attempts: a.Attempt - 1})
		l.held[n].granted = true // since an unknown time: any outcome of it counts
	}
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
		all = append(all, protocol.Assignment{
			Archive: protocol.ArchiveID{Transfer: c.prefix.transfer.id, Prefix: c.prefix.name, Number: h.number}, Attempt: h.attempts,
		})
	}
	return all
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
