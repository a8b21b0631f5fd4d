package coordination

// overtaking is how many archives numbered before it one of a priority higher by
// 1 goes before. An archive is thus overtaken by no more than overtaking times
// (q - p) later ones of priority q, p being its own: it does not starve, however
// many of them keep coming.
const overtaking = 4096

// archiveQueue is a heap: first those with the lowest number, less overtaking for
// each point of priority.
type archiveQueue []archive

func (q archiveQueue) before(i, j int) bool {
	if x, y := q[i].turn(), q[j].turn(); x != y {
		return x < y
	}
	return q[i].number < q[j].number
}

// maxPriority bounds a priority either way.
const maxPriority = 1 << 20

func (a *archive) turn() int64 { return a.number - overtaking*int64(a.priority) }

func (q *archiveQueue) push(a archive) {
	*q = append(*q, a)
	q.rise(len(*q) - 1)
}

// remove takes out the archive at a place of the heap; 0 is the first in turn.
func (q *archiveQueue) remove(i int) archive {
	a, last := (*q)[i], len(*q)-1
	(*q)[i] = (*q)[last]
	*q = (*q)[:last]
	if i < last {
		q.sink(i)
		q.rise(i)
	}
	return a
}

func (q archiveQueue) rise(child int) {
	for child > 0 {
		parent := (child - 1) / 2
		if !q.before(child, parent) {
			return
		}
		q[child], q[parent] = q[parent], q[child]
		child = parent
	}
}

func (q archiveQueue) sink(parent int) {
	for {
		child := 2*parent + 1
		if child+1 < len(q) && q.before(child+1, child) {
			child++
		}
		if child >= len(q) || !q.before(child, parent) {
			return
		}
		q[parent], q[child] = q[child], q[parent]
		parent = child
	}
}

// longest finds the largest archive among those of the highest priority.
func (q archiveQueue) longest() int {
	best := 0
	for i := range q {
		x, y := &q[i], &q[best]
		if x.priority > y.priority || x.priority == y.priority && (x.size > y.size || x.size == y.size && x.number < y.number) {
			best = i
		}
	}
	return best
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
