package sim

import (
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/pace"
)

// bytesAhead, heldShare and the stopwatch are those of internal/upload.
const (
	bytesAhead = 100 * time.Millisecond
	heldShare  = 0.5
)

// limits are those of the policy that are in force.
func (f *fleet) limits() (in protocol.Limits) {
	for _, l := range f.scenario.Limits {
		if time.Duration(l.At) <= f.now {
			in = protocol.Limits{
				Pace:     protocol.Pace{Bytes: float64(l.Bytes), Requests: float64(l.Requests)},
				InFlight: l.InFlight, Suspended: l.Suspended,
			}
		}
	}
	return in
}

// policyPace is what a worker holds back for a policy, as upload.Gate does; bodies pass with
// their requests.
type policyPace struct {
	worker           *worker
	requests, bodies pace.Bucket
	waiting          []*prefixWork // that only the pace holds back, in turn
	due              event
	since, began     time.Duration // some prefix waits; the last report
	waited           time.Duration
}

func (p *policyPace) begin() {
	p.requests, p.bodies, p.waiting, p.waited = pace.Bucket{}, pace.Bucket{}, nil, 0
}

func (p *policyPace) set(x *worker, to protocol.Pace) {
	now := x.fleet.time(x.fleet.now)
	p.worker = x
	first := x.random.Float64
	if to == (protocol.Pace{}) {
		first = func() float64 { return 0 } // draws nothing where there is no policy
	}
	p.requests.Set(now, to.Requests, first())
	p.bodies.Set(now, to.Bytes, first()*float64(x.work.partSize))
	x.pumpWaiting()
}

func (p *policyPace) wait(now time.Time) time.Duration {
	return max(p.requests.Wait(now, 0), p.bodies.Wait(now, p.bodies.Rate()*bytesAhead.Seconds()))
}

// holds tells that a prefix has to wait for the pace, or for prefixes that do.
func (p *policyPace) holds(l *prefixWork) bool {
	f := l.worker.fleet
	wait := p.wait(f.time(f.now))
	if wait == 0 && len(p.waiting) == 0 {
		return false
	}
	if len(p.waiting) == 0 {
		p.since = f.now
	}
	if !slices.Contains(p.waiting, l) {
		p.waiting = append(p.waiting, l)
	}
	f.set(&p.due, f.now+max(wait, 1))
	return true
}

func (p *policyPace) take(now time.Time, bytes float64) {
	p.requests.Take(now, 1)
	p.bodies.Take(now, bytes)
}

// pumpWaiting lets the prefixes that wait for the pace through in turn, a request each.
func (x *worker) pumpWaiting() {
	p, f := &x.policy, x.fleet
	if len(p.waiting) == 0 {
		return
	}
	for len(p.waiting) > 0 {
		l, now := p.waiting[0], f.time(f.now)
		ok, again := l.law.Ready(now)
		if len(l.queue) == 0 || !ok || x.inFlight >= x.windows {
			if len(l.queue) > 0 && !ok && again > 0 {
				f.set(&l.paced, f.now+again)
			}
			p.waiting = p.waiting[1:]
			continue
		}
		if wait := p.wait(now); wait > 0 {
			f.set(&p.due, f.now+wait)
			return
		}
		p.waiting = append(p.waiting[1:], l)
		l.start(now)
	}
	p.waited += f.now - p.since
}

// held tells that the pace was what limited the worker since it was asked last.
func (p *policyPace) held() bool {
	if p.worker == nil {
		return false
	}
	now := p.worker.fleet.now
	waited, elapsed := p.waited, now-p.began
	if len(p.waiting) > 0 {
		waited += now - p.since
		p.since = now
	}
	p.waited, p.began = 0, now
	return elapsed > 0 && float64(waited) >= heldShare*float64(elapsed)
}
