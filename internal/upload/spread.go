package upload

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstParts is how many parts of an object are sent side by side at first, and
	// the least while it is the only one.
	firstParts = 4
	// quickPart and slowPart bound how long a part should take: as many are sent side by
	// side as make it so. What is lost with a process that is killed is what it has sent
	// within that time.
	quickPart = time.Second
	slowPart  = 2 * time.Second
	// probeEvery is how often it is measured whether more parts carry more where none is
	// done so soon, since each connection has a limit of its own.
	probeEvery = 250 * time.Millisecond
)

// spread decides how many parts of one object are sent side by side, below what the
// gate lets through. Fewer are done sooner, in the order of the object, so that
// there are some to go on with when the process is killed. It is used by one goroutine
// that begins parts, and by those that send them.
type spread struct {
	// most is what the gate lets through for this object, at present.
	most func() int
	// sent counts the bytes of parts that were handed to connections.
	sent atomic.Int64

	mu                sync.Mutex
	allowed, inFlight int
	// limited: a part waits to begin, for no other reason than allowed.
	limited bool
	// credited are the bytes of sent that parts have accounted for.
	credited int64
	// probe is the trial under way.
	probe probe
	// room tells that it may be worth to look again whether a part may begin.
	room chan struct{}
}

// probe compares what is sent before and after more parts are allowed.
type probe struct {
	// settled: what was begun last has filled the buffers on its way.
	settled bool
	// from is what was allowed before, and rate what was sent with it, in bytes per
	// second; 0 before anything was measured.
	from int
	rate float64
	// sent is what had been sent at the last measurement.
	sent int64
	at   time.Time
	// failed: more parts carried no more.
	failed bool
}

func newSpread(most func() int) *spread {
	return &spread{most: most, allowed: firstParts, room: make(chan struct{}, 1), probe: probe{at: time.Now()}}
}

// begin waits until one more part may be sent. The error is ctx's.
func (s *spread) begin(ctx context.Context) error {
	ticks := time.NewTicker(probeEvery)
	defer ticks.Stop()
	for !s.admit() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.room:
		case <-ticks.C:
			s.measure()
		}
	}
	return ctx.Err()
}

func (s *spread) admit() bool {
	most := max(1, s.most())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limited = s.inFlight >= s.allowed
	if s.limited || s.inFlight >= most {
		return false
	}
	s.inFlight++
	return true
}

// end takes in that a part of some bytes is done, and how long it took. Those that did
// not have to be sent tell nothing.
func (s *spread) end(bytes int64, took time.Duration) {
	s.mu.Lock()
	s.inFlight--
	if s.sent.Load()-s.credited >= bytes {
		s.credited += bytes
		switch {
		case took < quickPart && s.limited:
			s.allowed++
		case took > slowPart && s.probe.failed:
			s.allowed = max(firstParts, s.allowed-1)
		}
	}
	s.mu.Unlock()
	notify(s.room)
}

// measure compares what more parts carry with what fewer did. It is called every
// probeEvery while a part waits to begin.
func (s *spread) measure() {
	most := max(1, s.most())
	s.mu.Lock()
	defer s.mu.Unlock()
	p, sent, now := &s.probe, s.sent.Load(), time.Now()
	took := now.Sub(p.at)
	if took < probeEvery {
		return
	}
	rate := float64(sent-p.sent) / took.Seconds()
	p.sent, p.at = sent, now
	switch {
	case p.failed || s.allowed >= most:
	case !p.settled:
		p.settled = true
	case p.rate == 0:
		p.from, p.rate, p.settled = s.allowed, max(rate, 1), false
		s.allowed += (s.allowed + 1) / 2
	case p.gained(rate, s.allowed):
		p.from, p.rate, p.settled = s.allowed, rate, false
		s.allowed *= 2
	default:
		s.allowed, p.failed = p.from, true
	}
}

// gained says that what was added carried at least half of what as many carried before.
func (p *probe) gained(rate float64, allowed int) bool {
	return rate/p.rate-1 >= (float64(allowed)/float64(p.from)-1)/2
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// parted counts, by prefix, the objects whose parts are being sent. Its zero value is
// ready for use.
type parted struct {
	mu     sync.Mutex
	counts map[string]int
}

func (p *parted) add(prefix string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts == nil {
		p.counts = map[string]int{}
	}
	if p.counts[prefix] += n; p.counts[prefix] == 0 {
		delete(p.counts, prefix)
	}
}

// count is at least 1.
func (p *parted) count(prefix string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(1, p.counts[prefix])
}
