package schedule

import "cargoship.dev/operator/internal/coordination/protocol"

// backlog holds the archives of a prefix that nobody holds: a range of numbers
// that were never handed out, and a heap of single ones, which came back or were
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
	heap  archiveHeap

	// frontier is above every number that was ever handed out, of which ended are finished.
	frontier, ended int64
}

// count of the archives that nobody holds.
func (b *backlog) count() int { return len(b.heap) + int(b.fresh) }

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
	b.heap.push(archive{number: n, size: u.Bytes})
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

// first gives the first of the range that may be handed out: beyond the frontier no
// more than most archives are under way at once.
func (b *backlog) first(most int64) (archive, bool) {
	if b.fresh == 0 {
		return archive{}, false
	}
	b.next = b.apart.AbsentFrom(b.next)
	if b.next >= b.frontier && b.frontier-b.ended >= most {
		return archive{}, false
	}
	a := archive{number: b.next, size: b.meanSize()}
	if b.next < b.begun {
		a.attempts, a.moves = 1, 1
	}
	return a, true
}

// peek gives the archive that is first in turn.
func (b *backlog) peek(most int64) (archive, bool) {
	a, ok := b.first(most)
	if len(b.heap) > 0 && (!ok || b.heap[0].number < a.number) {
		return b.heap[0], true
	}
	return a, ok
}

// take removes the archive that is first in turn, or the longest, and tells whether it
// is the first.
func (b *backlog) take(most int64, longest bool) (a archive, first, ok bool) {
	front, inRange := b.first(most)
	if len(b.heap) == 0 {
		if inRange {
			b.draw()
		}
		return front, true, inRange
	}
	place := 0
	if longest {
		place = b.heap.longest()
	}
	a = b.heap[place]
	if inRange && (front.number < a.number && !longest || longest && front.longer(a)) {
		b.draw()
		return front, front.number < b.heap[0].number, true
	}
	return b.heap.remove(place), place == 0 && (!inRange || a.number < front.number), true
}

// draw takes the first archive out of the range.
func (b *backlog) draw() {
	b.next++
	b.fresh--
	b.frontier = max(b.frontier, b.next)
}
