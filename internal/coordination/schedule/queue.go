package schedule

import (
	"cmp"
	"slices"
)

// archiveQueue holds archives that wait, the one with the lowest number first.
type archiveQueue struct {
	rising []archive   // each came with a higher number than the one before it, as scheduled ones do
	others archiveHeap // mostly came back
}

func (q *archiveQueue) count() int { return len(q.rising) + len(q.others) }

func (q *archiveQueue) push(a archive) {
	if last := len(q.rising) - 1; last >= 0 && a.number < q.rising[last].number {
		q.others.push(a)
		return
	}
	q.rising = append(q.rising, a)
}

// first gives the one that is first in turn of a queue that is not empty.
func (q *archiveQueue) first() archive {
	if len(q.others) == 0 || len(q.rising) > 0 && q.rising[0].number < q.others[0].number {
		return q.rising[0]
	}
	return q.others[0]
}

// longest finds the largest archive of a queue that is not empty.
func (q *archiveQueue) longest() archive {
	best := q.first()
	for _, a := range q.rising {
		if a.longer(best) {
			best = a
		}
	}
	for _, a := range q.others {
		if a.longer(best) {
			best = a
		}
	}
	return best
}

// drop takes out an archive by its number; false if it is not there.
func (q *archiveQueue) drop(number int64) bool {
	switch { // mostly it is one that is first, which is found and taken out at once
	case len(q.rising) > 0 && q.rising[0].number == number:
		q.rising = q.rising[1:]
		return true
	case len(q.others) > 0 && q.others[0].number == number:
		q.others.remove(0)
		return true
	}
	i, rising := slices.BinarySearchFunc(q.rising, number, func(a archive, n int64) int { return cmp.Compare(a.number, n) })
	if !rising {
		return q.others.drop(number)
	}
	q.rising = slices.Delete(q.rising, i, i+1)
	return true
}

// archiveHeap is a heap, the archive with the lowest number first.
type archiveHeap []archive

func (q *archiveHeap) push(a archive) {
	*q = append(*q, a)
	q.rise(len(*q) - 1)
}

// remove takes out the archive at a place of the heap; 0 is the first in turn.
func (q *archiveHeap) remove(i int) archive {
	a, last := (*q)[i], len(*q)-1
	(*q)[i] = (*q)[last]
	*q = (*q)[:last]
	if i < last {
		q.sink(i)
		q.rise(i)
	}
	return a
}

// drop takes out an archive by its number; false if it is not there.
func (q *archiveHeap) drop(number int64) bool {
	i := slices.IndexFunc(*q, func(a archive) bool { return a.number == number })
	if i >= 0 {
		q.remove(i)
	}
	return i >= 0
}

func (q archiveHeap) rise(child int) {
	for child > 0 {
		parent := (child - 1) / 2
		if q[parent].number <= q[child].number {
			return
		}
		q[child], q[parent] = q[parent], q[child]
		child = parent
	}
}

func (q archiveHeap) sink(parent int) {
	for {
		child := 2*parent + 1
		if child+1 < len(q) && q[child+1].number < q[child].number {
			child++
		}
		if child >= len(q) || q[parent].number <= q[child].number {
			return
		}
		q[parent], q[child] = q[child], q[parent]
		parent = child
	}
}

// longer tells that a is larger than other, or as large and before it in turn.
func (a archive) longer(other archive) bool {
	return a.size > other.size || a.size == other.size && a.number < other.number
}

const (
	// tailArchives for each worker are what counts as the last few of a prefix: the
	// longest of them go first (Graham's LPT rule: the makespan stays within 4/3 of
	// the optimum), so that none of them begins last. Before, they go in the order of
	// their numbers, so that the set of finished ones stays a few ranges.
	tailArchives = 4
	// maxTail bounds them in all, and how many may be taken before the first in turn.
	maxTail = 256
)

func (t *TransferScheduler) tail() int { return min(tailArchives*len(t.free), maxTail) }
