package sim

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// link is a link that all bodies under way share by processor sharing: each has
// the same rate unless its host's NIC or its connection bounds it lower (max-min
// fairness). Bodies of one host have one rate, so that a host needs but one
// virtual clock, and the next of its bodies to end is the one with the least tag.
type link struct {
	agenda   *agenda
	capacity float64 // bytes per second
	hosts    int
	busy     []*host // that have bodies under way, in the order of their numbers
	updated  time.Duration
	ends     event
}

// host is one machine on a link.
type host struct {
	link       *link
	number     int
	nic        float64 // bytes per second
	connection float64 // bytes per second of one body
	bodies     []*body // a heap by tag
	sent       float64 // bytes that a body would have been sent that was there always
	rate       float64 // bytes per second of each body
}

// body is what one request has to send.
type body struct {
	host  *host
	tag   float64 // of host.sent, when it has ended
	place int     // in host.bodies, from 1; 0 when it is not under way
	done  func()
}

func newLink(a *agenda, capacity float64) *link {
	l := &link{agenda: a, capacity: capacity}
	l.ends.act = l.end
	return l
}

func (l *link) host(nic, connection float64) *host {
	l.hosts++
	return &host{link: l, number: l.hosts, nic: nic, connection: connection}
}

// send begins a body; done is called when all of it has left.
func (h *host) send(b *body, bytes float64) {
	h.link.advance()
	if len(h.bodies) == 0 {
		h.link.busy = slices.Insert(h.link.busy, h.place(), h)
	}
	b.host, b.tag = h, h.sent+bytes
	h.bodies = append(h.bodies, b)
	b.place = len(h.bodies)
	h.up(b.place - 1)
	h.link.divide()
}

// stop ends a body early.
func (b *body) stop() {
	if b.place > 0 {
		b.host.link.advance()
		b.host.remove(b)
		if len(b.host.bodies) == 0 {
			at := b.host.place()
			b.host.link.busy = slices.Delete(b.host.link.busy, at, at+1)
		}
		b.host.link.divide()
	}
}

// place is where the host is, or would be, among those that have bodies under way.
func (h *host) place() int {
	at, _ := slices.BinarySearchFunc(h.link.busy, h, func(a, b *host) int { return cmp.Compare(a.number, b.number) })
	return at
}

// setCapacity and setNIC change the bandwidths, in bytes per second.
func (l *link) setCapacity(capacity float64) {
	l.advance()
	l.capacity = capacity
	l.divide()
}

func (h *host) setNIC(nic float64) {
	h.link.advance()
	h.nic = nic
	h.link.divide()
}

// advance moves the hosts' virtual clocks to now.
func (l *link) advance() {
	elapsed := (l.agenda.now - l.updated).Seconds()
	l.updated = l.agenda.now
	if elapsed == 0 {
		return
	}
	for _, h := range l.busy {
		h.sent += h.rate * elapsed
	}
}

// bound is what the host allows each of its bodies.
func (h *host) bound() float64 { return min(h.connection, h.nic/float64(len(h.bodies))) }

// divide sets the rates, and when the next body ends.
func (l *link) divide() {
	var demand, bodies float64
	for _, h := range l.busy {
		n := float64(len(h.bodies))
		h.rate = h.bound()
		demand += n * h.rate
		bodies += n
	}
	if demand > l.capacity {
		l.bind(bodies)
	}
	soonest := math.Inf(1)
	for _, h := range l.busy {
		soonest = min(soonest, (h.bodies[0].tag-h.sent)/h.rate)
	}
	if math.IsInf(soonest, 1) {
		l.agenda.cancel(&l.ends)
		return
	}
	l.agenda.set(&l.ends, l.agenda.now+time.Duration(math.Ceil(max(0, soonest)*float64(time.Second))))
}

// bind finds the level of rate that fills the link: hosts bound below it keep
// their bound.
func (l *link) bind(bodies float64) {
	level := l.capacity / bodies
	for settled := false; !settled; {
		settled = true
		left, bodies := l.capacity, 0.0
		for _, h := range l.busy {
			n := float64(len(h.bodies))
			if h.rate <= level {
				left -= n * h.rate
			} else {
				bodies += n
			}
		}
		if bodies > 0 && left/bodies > level*(1+1e-12) {
			level = left / bodies
			settled = false
		}
	}
	for _, h := range l.busy {
		h.rate = min(h.rate, level)
	}
}

// end lets all bodies end that have been sent.
func (l *link) end() {
	l.advance()
	var ended []*body
	for _, h := range l.busy {
		for len(h.bodies) > 0 && h.bodies[0].tag <= h.sent+1e-3 {
			b := h.bodies[0]
			h.remove(b)
			ended = append(ended, b)
		}
	}
	l.busy = slices.DeleteFunc(l.busy, func(h *host) bool { return len(h.bodies) == 0 })
	l.divide()
	for _, b := range ended {
		b.done()
	}
}

func (h *host) remove(b *body) {
	i, last := b.place-1, len(h.bodies)-1
	b.place = 0
	moved := h.bodies[last]
	h.bodies[last] = nil
	h.bodies = h.bodies[:last]
	if i < last {
		h.bodies[i] = moved
		moved.place = i + 1
		h.down(h.up(i))
	}
}

func (h *host) up(i int) int {
	for i > 0 && h.bodies[i].tag < h.bodies[(i-1)/2].tag {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	return i
}

func (h *host) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.bodies); child++ {
			if h.bodies[child].tag < h.bodies[least].tag {
				least = child
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

func (h *host) swap(i, j int) {
	h.bodies[i], h.bodies[j] = h.bodies[j], h.bodies[i]
	h.bodies[i].place, h.bodies[j].place = i+1, j+1
}
