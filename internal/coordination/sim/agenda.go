package sim

import "time"

// event is something that happens at a time; it may be set again and again.
type event struct {
	at    time.Duration
	order uint64
	place int // in the heap, from 1; 0 when it is not set
	act   func()
}

// agenda holds virtual time and what is to happen, as a heap with four branches.
// Events of the same time happen in the order in which they were set.
type agenda struct {
	now   time.Duration
	order uint64
	heap  []*event
}

const branches = 4

// set lets the event happen at a time, or now if that is past, instead of when it
// was to before.
func (a *agenda) set(e *event, at time.Duration) {
	e.at = max(at, a.now)
	a.order++
	e.order = a.order
	if e.place > 0 {
		a.down(a.up(e.place - 1))
		return
	}
	a.heap = append(a.heap, e)
	e.place = len(a.heap)
	a.up(e.place - 1)
}

// after runs act once, when a time has passed.
func (a *agenda) after(d time.Duration, act func()) { a.set(&event{act: act}, a.now+d) }

// cancel takes the event back.
func (a *agenda) cancel(e *event) {
	if e.place == 0 {
		return
	}
	i, last := e.place-1, len(a.heap)-1
	e.place = 0
	moved := a.heap[last]
	a.heap[last] = nil
	a.heap = a.heap[:last]
	if i < last {
		a.heap[i] = moved
		moved.place = i + 1
		a.down(a.up(i))
	}
}

// next lets the earliest event happen unless it is after end.
func (a *agenda) next(end time.Duration) bool {
	if len(a.heap) == 0 || a.heap[0].at > end {
		a.now = max(a.now, end)
		return false
	}
	e := a.heap[0]
	a.cancel(e)
	a.now = e.at
	e.act()
	return true
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.order < o.order }

func (a *agenda) up(i int) int {
	e := a.heap[i]
	for i > 0 {
		parent := (i - 1) / branches
		if !e.before(a.heap[parent]) {
			break
		}
		a.heap[i] = a.heap[parent]
		a.heap[i].place = i + 1
		i = parent
	}
	a.heap[i] = e
	e.place = i + 1
	return i
}

func (a *agenda) down(i int) {
	e := a.heap[i]
	for {
		first, least := branches*i+1, -1
		for child := first; child < min(first+branches, len(a.heap)); child++ {
			if least < 0 || a.heap[child].before(a.heap[least]) {
				least = child
			}
		}
		if least < 0 || !a.heap[least].before(e) {
			break
		}
		a.heap[i] = a.heap[least]
		a.heap[i].place = i + 1
		i = least
	}
	a.heap[i] = e
	e.place = i + 1
}
