package schedule

import "cargoship.dev/operator/internal/coordination/protocol"

// backlog holds the archives of a prefix that nobody holds: a range of numbers
// that were never handed out, and a queue of single ones, which came back or were
// scheduled one by one. The lowest number goes first.
type backlog struct {
	planned protocol.Planned // what the inventory lists
	single  protocol.Ranges  // numbers scheduled one by one

	// The range goes from next to limit; the numbers in apart are not to be taken from
	// it, and fresh counts the others.
	next, limit, fresh int64
	apart              protocol.Ranges
	// begun: archives below it may have been begun under an earlier leader.
	begun int64
	queue archiveQueue
	// reserved are in the reserves of workers; back came back from there, and doubtful are
	// those of them that a worker may have begun.
	reserved       int64
	back, doubtful protocol.Ranges
	// untouched are those in reserves and those that came back from there.
	untouched protocol.Ranges

	// frontier is above every number that was ever handed out, of which ended are finished.
	frontier, ended int64
}

// count of the archives that nobody holds.
func (b *backlog) count() int { return b.queue.count() + int(b.fresh) + int(b.back.Count()) }

// meanSize in bytes of the planned archives.
func (b *backlog) meanSize() int64 { return b.planned.Bytes / max(1, b.planned.Archives) }

// restore takes over what an earlier leader has recorded.
func (b *backlog) restore(r protocol.Recorded) {
	b.ended, b.frontier, b.apart = r.Finished.Count(), r.Finished.End(), r.Finished.Clone()
	b.plan(r.Planned)
	b.begun = r.Planned.Archives
}

// plan takes over what the inventory lists now: never less than before.
func (b *backlog) plan(p protocol.Planned) {
	b.fresh += p.Archives - b.limit - b.apart.CountBetween(b.limit, p.Archives)
	b.limit, b.planned = p.Archives, p
}

// schedule queues one archive with a size of its own.
func (b *backlog) schedule(u protocol.Upload) (queued bool) {
	n := u.Archive.Number
	if b.single.Add(n) {
		b.planned.Archives++
		b.planned.Files = protocol.SaturatingAdd(b.planned.Files, u.Files)
		b.planned.Bytes = protocol.SaturatingAdd(b.planned.Bytes, u.Bytes)
	}
	if !b.apart.Add(n) {
		return false
	}
	b.queue.push(archive{number: n, size: u.Bytes})
	return true
}

// withhold takes an archive that a worker holds already out of the range; false if it
// was handed out before.
func (b *backlog) withhold(n int64) bool {
	if n < b.next || b.limit > 0 && n >= b.limit || !b.apart.Add(n) {
		return false
	}
	if n < b.limit {
		b.fresh--
	}
	b.frontier = max(b.frontier, n+1)
	return true
}

// first gives the first of the range that may be handed out: beyond the frontier only where
// one more may be under way.
func (b *backlog) first(oneMore bool) (archive, bool) {
	n, ok := b.back.First()
	if !ok {
		if b.fresh == 0 {
			return archive{}, false
		}
		b.next = b.apart.AbsentFrom(b.next)
		n = b.next
		if n >= b.frontier && !oneMore {
			return archive{}, false
		}
	}
	a := archive{number: n, size: b.meanSize()}
	if n < b.begun || b.doubtful.Contains(n) {
		a.attempts, a.moves = 1, 1
	}
	return a, true
}

// underWay counts the archives between those that have ended, but for runs that nobody began.
func (b *backlog) underWay() int64 { return b.frontier - b.ended - b.reserved - b.back.Count() }

// reserve takes at most so many archives out of the range, consecutive and never begun.
func (b *backlog) reserve(count int64) (first, last int64, ok bool) {
	b.next = b.apart.AbsentFrom(b.next)
	first = b.next
	last = min(first+count, b.limit, b.apart.PresentFrom(first)) - 1
	if b.fresh == 0 || first < b.begun || last < first {
		return 0, 0, false
	}
	n := last - first + 1
	b.next, b.fresh, b.reserved = last+1, b.fresh-n, b.reserved+n
	b.frontier = max(b.frontier, b.next)
	b.untouched.AddRange(first, last)
	return first, last, true
}

// unreserve takes archives back from a reserve.
func (b *backlog) unreserve(r protocol.Ranges, doubtful bool) {
	for first, last := range r.Runs() {
		b.reserved -= last - first + 1
		b.back.AddRange(first, last)
		if doubtful {
			b.doubtful.AddRange(first, last)
		}
	}
}

// peek gives the archive that is first in turn.
func (b *backlog) peek(oneMore bool) (archive, bool) {
	a, ok := b.first(oneMore)
	if b.queue.count() == 0 {
		return a, ok
	}
	if single := b.queue.first(); !ok || single.number < a.number {
		return single, true
	}
	return a, ok
}

// take removes the archive that is first in turn, or the longest, and tells whether it
// is the first.
func (b *backlog) take(oneMore, longest bool) (a archive, first, ok bool) {
	front, inRange := b.first(oneMore)
	if b.queue.count() == 0 {
		if inRange {
			b.draw()
		}
		return front, true, inRange
	}
	a = b.queue.first()
	lowest := a.number
	if longest {
		a = b.queue.longest()
	}
	if inRange && (front.number < a.number && !longest || longest && front.longer(a)) {
		b.draw()
		return front, front.number < lowest, true
	}
	b.queue.drop(a.number)
	return a, a.number == lowest && (!inRange || a.number < front.number), true
}

// draw takes the first archive out of the range.
func (b *backlog) draw() {
	if n, ok := b.back.First(); ok {
		b.dropBack(n)
		return
	}
	b.next++
	b.fresh--
	b.frontier = max(b.frontier, b.next)
}

// dropBack takes out an archive that came back from a reserve; false if it is not there.
func (b *backlog) dropBack(number int64) bool {
	b.doubtful.Remove(number)
	return b.back.Remove(number) && b.untouched.Remove(number)
}
