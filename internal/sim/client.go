package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"cargoship.dev/operator/internal/sim/baseline"
)

// client is one process of a baseline: it takes every n-th archive of each prefix,
// and sends what its limiter lets it, prefix by prefix in turn. As with an SDK, the
// caller of a part waits through its pauses: no other part takes its place.
type client struct {
	run       *run
	work      *work
	host      *host
	random    *rand.Rand
	law       baseline.Law
	limiter   baseline.Limiter
	env       baseline.Env
	share     int // of shares
	shares    int
	perPrefix int // most in flight on one prefix; 0 for no limit
	active    int // most prefixes at once; 0 for no limit
	most      int // in flight, by memory
	prefixes  []*clientPrefix
	turn      int
	inFlight  int
	waiting   int // parts to be tried again; each keeps its place in the window, and its memory
	allowed   int // parts at once
	alive     bool
	hung      bool
	next      time.Duration // when the next request may start
	pump      event
	free      []*call
	running   map[*call]bool
}

// clientPrefix is a client's work on one prefix.
type clientPrefix struct {
	prefix   *prefix
	number   int64 // of the next archive
	sending  *archive
	part     int
	open     map[*archive]int // parts that have not ended, by archive
	retries  []*call
	inFlight int
	waiting  int
}

// call is one part on its way.
type call struct {
	client     *client
	prefixWork *clientPrefix
	archive    *archive
	part       int
	tries      int
	request    *request
	timer      event
}

func newClient(r *run, w *work, g *WorkerGroup, law baseline.Law, share, shares int, name string) *client {
	c := &client{
		run: r, work: w, host: r.host(g.Link, float64(g.NIC)), law: law,
		share: share, shares: shares, most: g.MaxInFlight, random: stream(r.seed, "client "+name),
	}
	c.env = baseline.Env{
		Workers: shares, Prefixes: len(w.prefixes), PartSize: int64(w.spec.PartSize), NIC: float64(g.NIC), Rand: c.random,
	}
	c.pump.act = c.startAll
	c.begin()
	return c
}

func (c *client) begin() {
	c.alive, c.hung = true, false
	c.limiter = c.law.New(c.env)
	c.inFlight, c.waiting, c.turn = 0, 0, c.share
	c.running = map[*call]bool{}
	before := c.prefixes
	c.prefixes = nil
	for i, p := range c.work.prefixes {
		l := &clientPrefix{prefix: p, number: int64(c.share), open: map[*archive]int{}}
		if before != nil {
			// What was not done when the process ended begins again.
			l.number = before[i].first(c)
		}
		c.prefixes = append(c.prefixes, l)
	}
	c.run.set(&c.pump, c.run.now)
}

// first is the client's first archive of the prefix that has not ended.
func (l *clientPrefix) first(c *client) int64 {
	n := int64(c.share)
	for n < int64(len(l.prefix.archives)) && (l.prefix.archives[n].done || l.prefix.archives[n].failed) {
		n += int64(c.shares)
	}
	return n
}

// startAll starts what may start now, and sets when to look again.
func (c *client) startAll() {
	for c.alive && !c.hung {
		window, rate := c.limiter.Limit(c.run.time(c.run.now))
		c.allowed = min(window, c.most)
		if c.inFlight >= c.allowed {
			// A limit that grows with time alone is looked at again.
			c.lookAgain(100 * time.Millisecond)
			return
		}
		if rate > 0 && c.next > c.run.now {
			c.lookAgain(min(c.next-c.run.now, 100*time.Millisecond))
			return
		}
		k := c.take()
		if k == nil {
			return
		}
		if rate > 0 {
			c.next = max(c.next, c.run.now-catchUp) + spacing(rate)
		}
		c.start(k)
	}
}

func (c *client) lookAgain(d time.Duration) { c.run.set(&c.pump, c.run.now+d) }

// take finds the next part to send; nil when there is none.
func (c *client) take() *call {
	busy := 0
	for _, l := range c.prefixes {
		if l.busy() {
			busy++
		}
	}
	for range c.prefixes {
		l := c.prefixes[c.turn%len(c.prefixes)]
		c.turn++
		if c.perPrefix > 0 && l.inFlight >= c.perPrefix || c.active > 0 && busy >= c.active && !l.busy() {
			continue
		}
		if k := c.takeFrom(l); k != nil {
			return k
		}
	}
	return nil
}

func (l *clientPrefix) busy() bool { return l.sending != nil || len(l.open) > 0 }

func (c *client) takeFrom(l *clientPrefix) *call {
	for len(l.retries) > 0 {
		k := l.retries[0]
		l.retries = l.retries[1:]
		c.waiting--
		l.waiting--
		if !k.archive.failed {
			return k
		}
		c.settle(k)
	}
	if c.inFlight+c.waiting >= c.allowed || c.perPrefix > 0 && l.inFlight+l.waiting >= c.perPrefix {
		return nil
	}
	if l.sending == nil {
		a := l.prefix.archive(l.number)
		if a == nil {
			return nil
		}
		l.number += int64(c.shares)
		l.sending, l.part = a, 0
		a.cut()
		l.open[a] = a.parts
	}
	k := c.newCall(l, l.sending, l.part)
	if l.part++; l.part == l.sending.parts {
		l.sending = nil
	}
	return k
}

func (c *client) newCall(l *clientPrefix, a *archive, part int) *call {
	var k *call
	if last := len(c.free) - 1; last >= 0 {
		k = c.free[last]
		c.free = c.free[:last]
	} else {
		k = &call{client: c}
		k.request = c.run.newRequest(c.host, k)
		k.timer.act = k.again
	}
	k.prefixWork, k.archive, k.part, k.tries = l, a, part, 0
	k.request.partition, k.request.prefix = l.prefix.partition, l.prefix.place
	k.request.size = float64(a.partBytes(part))
	return k
}

func (c *client) start(k *call) {
	c.inFlight++
	k.prefixWork.inFlight++
	k.tries++
	c.running[k] = true
	c.limiter.Start(c.run.time(c.run.now), c.inFlight)
	c.run.record.started(k.request, c.inFlight)
	k.request.start()
}

// ended takes in the end of a request.
func (k *call) ended(r *request) {
	c := k.client
	c.inFlight--
	k.prefixWork.inFlight--
	delete(c.running, k)
	c.run.record.ended(r)
	result := baseline.Result{
		Started: c.run.time(r.started), FirstByte: r.served, Outcome: r.outcome, InFlight: r.inFlight,
	}
	if r.outcome == baseline.Accepted {
		result.Bytes = int64(r.size)
		k.archive.accept(k.part)
	}
	c.limiter.Done(c.run.time(c.run.now), result)
	switch {
	case r.outcome == baseline.Accepted || k.archive.failed:
		c.settle(k)
	case k.tries >= c.law.Attempts:
		c.fail(k)
	default:
		c.waiting++
		k.prefixWork.waiting++
		c.run.set(&k.timer, c.run.now+c.pause(k.tries))
	}
	c.startAll()
}

// fail gives the archive up: no more of its parts begin.
func (c *client) fail(k *call) {
	k.archive.fail()
	if l := k.prefixWork; l.sending == k.archive {
		l.open[k.archive] -= k.archive.parts - l.part
		l.sending = nil
	}
	c.settle(k)
}

// settle records that a part has ended for good.
func (c *client) settle(k *call) {
	l := k.prefixWork
	l.open[k.archive]--
	if l.open[k.archive] == 0 {
		delete(l.open, k.archive)
		if !k.archive.failed {
			k.archive.finish()
		}
	}
	c.free = append(c.free, k)
}

// pause is full-jitter exponential backoff of at most 20 s.
func (c *client) pause(tries int) time.Duration {
	base := c.law.Backoff
	if base == 0 {
		base = 100 * time.Millisecond
	}
	most := min(base<<min(tries-1, 20), 20*time.Second)
	return time.Duration(c.random.Int64N(int64(most))) + time.Millisecond
}

// again tries again; a call that waits while the process ends is not tried.
func (k *call) again() {
	c := k.client
	if c.prefixes[k.prefixWork.prefix.index] != k.prefixWork {
		return
	}
	k.prefixWork.retries = append(k.prefixWork.retries, k)
	c.startAll()
}

func (c *client) hang() {
	c.hung = true
	for k := range c.running {
		k.request.drop()
	}
}

func (c *client) thaw() {
	if !c.hung || !c.alive {
		return
	}
	c.hung = false
	for _, k := range c.sorted() {
		k.request.outcome, k.request.served = baseline.Failed, 0
		k.ended(k.request)
	}
	c.startAll()
}

// sorted gives the running calls in the order in which they began.
func (c *client) sorted() []*call {
	calls := make([]*call, 0, len(c.running))
	for k := range c.running {
		calls = append(calls, k)
	}
	sortCalls(calls)
	return calls
}

func (c *client) crash(after time.Duration) { c.restart(after) }

func (c *client) restart(after time.Duration) {
	if !c.alive {
		return
	}
	c.alive = false
	for _, k := range c.sorted() {
		k.request.drop()
		c.run.record.vanished()
	}
	c.run.cancel(&c.pump)
	c.run.after(max(after, time.Second), c.begin)
}

// isolate changes nothing: a baseline has nobody to talk to.
func (c *client) isolate(bool) {}

// lie likewise.
func (c *client) lie(string) {}

func sortCalls(calls []*call) {
	slices.SortFunc(calls, func(a, b *call) int {
		return cmp.Or(cmp.Compare(a.request.started, b.request.started), cmp.Compare(a.prefixWork.prefix.index, b.prefixWork.prefix.index),
			cmp.Compare(a.archive.number, b.archive.number), cmp.Compare(a.part, b.part))
	})
}

// catchUp is how far a client's starts may fall behind its rate and still be made
// up for.
const catchUp = 20 * time.Millisecond

// spacing is the time between starts at a rate, at most an hour.
func spacing(rate float64) time.Duration {
	return time.Duration(min(float64(time.Second)/rate, float64(time.Hour)))
}
