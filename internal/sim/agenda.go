package sim

import "time"

// event is something that happens at a time; it may be set again and again.
type event struct {
	at    time.Duration
	place int // in the heap, from 1; 0 when it is not set
	act   func()
}

// agenda holds virtual time and what is to happen, as a heap with four branches.
// Events of the same time happen in the order in which they were set.
type agenda struct {
	now   time.Duration
	order uint64
	heap  []slot
}

// slot is an event in the heap, with what it is ordered by at hand.
type slot struct {
	at    time.Duration
	order uint64
	event *event
}

const branches = 4

// set lets the event happen at a time, or now if that is past, instead of when it
// was to before.
func (a *agenda) set(e *event, at time.Duration) { a.place(e, max(at, a.now), a.turn()) }

// turn is the next place in the order of events of the same time.
func (a *agenda) turn() uint64 {
	a.order++
	return a.order
}

// place lets the event happen at a time that is not past, in its turn.
func (a *agenda) place(e *event, at time.Duration, order uint64) {
	e.at = at
	if e.place > 0 {
		s := &a.heap[e.place-1]
		s.at, s.order = at, order
		a.down(a.up(e.place - 1))
		return
	}
	a.heap = append(a.heap, slot{at, order, e})
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
	a.heap[last] = slot{}
	a.heap = a.heap[:last]
	if i < last {
		a.heap[i] = moved
		moved.event.place = i + 1
		a.down(a.up(i))
	}
}

// next lets the earliest event happen unless it is after end.
func (a *agenda) next(end time.Duration) bool {
	if len(a.heap) == 0 || a.heap[0].at > end {
		a.now = max(a.now, end)
		return false
	}
	s := a.heap[0]
	a.cancel(s.event)
	a.now = s.at
	s.event.act()
	return true
}

func (s slot) before(o slot) bool { return s.at < o.at || s.at == o.at && s.order < o.order }

func (a *agenda) up(i int) int {
	s := a.heap[i]
	for i > 0 {
		parent := (i - 1) / branches
		if !s.before(a.heap[parent]) {
			break
		}
		a.heap[i] = a.heap[parent]
		a.heap[i].event.place = i + 1
		i = parent
	}
	a.heap[i] = s
	s.event.place = i + 1
	return i
}

func (a *agenda) down(i int) {
	s := a.heap[i]
	for {
		first, least := branches*i+1, -1
		for child := first; child < min(first+branches, len(a.heap)); child++ {
			if least < 0 || a.heap[child].before(a.heap[least]) {
				least = child
			}
		}
		if least < 0 || !a.heap[least].before(s) {
			break
		}
		a.heap[i] = a.heap[least]
		a.heap[i].event.place = i + 1
		i = least
	}
	a.heap[i] = s
	s.event.place = i + 1
}

// deadlines are events that happen a fixed time after they are set, and hardly ever
// do. They come in the order in which they were set, so a list holds them, and the
// agenda the first alone, or one before it that was canceled since.
type deadlines struct {
	agenda *agenda
	length time.Duration
	ends   deadline // before the first and after the last
	due    event
	placed uint64 // the turn of the deadline that due stands for
}

type deadline struct {
	at           time.Duration
	order        uint64
	before, next *deadline
	act          func()
}

func newDeadlines(a *agenda, length time.Duration) *deadlines {
	d := &deadlines{agenda: a, length: length}
	d.ends.before, d.ends.next = &d.ends, &d.ends
	d.due.act = d.happen
	return d
}

// set lets a deadline that is not set happen when the time has passed.
func (d *deadlines) set(e *deadline) {
	e.at, e.order = d.agenda.now+d.length, d.agenda.turn()
	e.before, e.next = d.ends.before, &d.ends
	e.before.next, d.ends.before = e, e
	if d.due.place == 0 {
		d.stand(e)
	}
}

// stand puts a deadline into the agenda.
func (d *deadlines) stand(e *deadline) {
	d.placed = e.order
	d.agenda.place(&d.due, e.at, e.order)
}

// cancel takes the deadline back, if it is set.
func (e *deadline) cancel() {
	if e.next != nil {
		e.before.next, e.next.before = e.next, e.before
		e.before, e.next = nil, nil
	}
}

// happen lets the first deadline happen, unless that in the agenda was canceled.
func (d *deadlines) happen() {
	e := d.ends.next
	due := e != &d.ends && e.order == d.placed
	if due {
		e.cancel()
	}
	if first := d.ends.next; first != &d.ends {
		d.stand(first)
	}
	if due {
		e.act()
	}
}
