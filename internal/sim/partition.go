package sim

import (
	"time"
)

// policer is a token bucket.
type policer struct {
	rate, depth, tokens float64
	filled              time.Duration
}

func newPolicer(rate, depth float64, now time.Duration) *policer {
	return &policer{rate: rate, depth: depth, tokens: depth, filled: now}
}

// admit takes a token, if there is one.
func (p *policer) admit(now time.Duration) bool {
	p.tokens = min(p.depth, p.tokens+p.rate*(now-p.filled).Seconds())
	p.filled = now
	if p.tokens < 1 {
		return false
	}
	p.tokens--
	return true
}

// pressureMemory is how many seconds the pressure on a partition is averaged over.
const pressureMemory = 10

// partition admits the requests of some prefixes. Under lasting pressure it splits
// in parts of the same rate each; when idle, the parts become one again.
type partition struct {
	spec     Partition
	rate     float64    // of one part, requests per second
	parts    int        // it is split into
	shards   []*policer // one, unless it was split by prefixes
	blackout string     // the kind of blackout; "" for none

	offered  int // requests in this second
	recent   [pressureMemory]int
	second   int
	pressed  time.Duration // under pressure for so long
	idle     time.Duration
	splitted bool // at its time
}

func newPartition(spec Partition) *partition {
	p := &partition{spec: spec, rate: float64(spec.Rate), parts: 1}
	p.shards = []*policer{newPolicer(p.rate, float64(spec.Depth), 0)}
	return p
}

// admit tells whether a request on a prefix, named by its place, is admitted.
func (p *partition) admit(now time.Duration, prefix int) bool {
	p.offered++
	return p.shards[prefix%len(p.shards)].admit(now)
}

// capacity is what all parts admit, in requests per second.
func (p *partition) capacity() float64 { return p.rate * float64(p.parts) }

// setRate changes the rate of each part.
func (p *partition) setRate(now time.Duration, rate float64) {
	p.rate = rate
	p.form(now, p.parts)
}

// form makes the policers of so many parts.
func (p *partition) form(now time.Duration, parts int) {
	p.parts = parts
	depth := float64(p.spec.Depth) * p.rate / float64(p.spec.Rate)
	count, rate := 1, p.rate*float64(parts)
	if s := p.spec.Split; s != nil && s.By == splitByPrefixes {
		count, rate = parts, p.rate
	} else {
		depth *= float64(parts)
	}
	depth = max(1, depth)
	for i := range count {
		if i < len(p.shards) {
			p.shards[i].admitNothing(now, rate, depth)
			continue
		}
		p.shards = append(p.shards, newPolicer(rate, 0, now))
		p.shards[i].depth = depth
	}
	p.shards = p.shards[:count]
}

// admitNothing brings the bucket up to date and changes its rate and depth.
func (p *policer) admitNothing(now time.Duration, rate, depth float64) {
	p.tokens = min(p.depth, p.tokens+p.rate*(now-p.filled).Seconds())
	p.filled, p.rate, p.depth = now, rate, depth
	p.tokens = min(p.tokens, depth)
}

const splitByPrefixes = "prefixes"

// tick judges the pressure once a second, and tells whether the parts changed.
func (p *partition) tick(now time.Duration) bool {
	p.recent[p.second%pressureMemory] = p.offered
	p.second++
	p.offered = 0
	sum := 0
	for _, n := range p.recent {
		sum += n
	}
	return p.judge(now, float64(sum)/float64(min(p.second, pressureMemory)))
}

// judge splits or merges after a second of so many requests offered.
func (p *partition) judge(now time.Duration, offered float64) bool {
	before := p.parts
	if s := p.spec.Split; s != nil {
		p.pressed += time.Second
		if offered < float64(s.Pressure)*p.capacity() {
			p.pressed = 0
		}
		due := s.After > 0 && p.pressed >= time.Duration(s.After)
		if s.At > 0 && !p.splitted && now >= time.Duration(s.At) {
			due, p.splitted = true, true
		}
		if due && p.capacity()*float64(s.Into) <= float64(s.Limit)*(1+1e-9) {
			p.pressed = 0
			p.form(now, p.parts*s.Into)
		}
	}
	if m := p.spec.Merge; m != nil && p.parts > 1 {
		p.idle += time.Second
		if offered >= float64(m.Below)*p.capacity() {
			p.idle = 0
		}
		if p.idle >= time.Duration(m.After) {
			p.idle = 0
			p.form(now, 1)
		}
	}
	return p.parts != before
}
