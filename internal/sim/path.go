package sim

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"cargoship.dev/operator/internal/sim/baseline"
)

// path is the way to the destination and the destination: links, partitions, and
// the time that it takes to answer.
type path struct {
	agenda
	scenario   *Scenario
	links      map[string]*link
	partitions map[string]*partition
	order      []*partition
	answers    Service // in force
	service    *rand.Rand
	throttle   *rand.Rand
	failure    *rand.Rand
	deadlines  *deadlines // of requests
}

// stream gives a source of randomness of its own for one purpose, so that what one
// controller draws more often does not change the world of the others.
func stream(seed uint64, purpose string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(purpose))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

func newPath(s *Scenario, seed uint64) *path {
	p := &path{
		scenario: s, links: map[string]*link{}, partitions: map[string]*partition{}, answers: s.Service,
		service: stream(seed, "service"), throttle: stream(seed, "refusal"), failure: stream(seed, "failure"),
	}
	p.deadlines = newDeadlines(&p.agenda, time.Duration(s.RequestTimeout))
	for _, l := range s.Links {
		p.links[l.Name] = newLink(&p.agenda, float64(l.Bandwidth))
	}
	for _, x := range s.Partitions {
		p.partitions[x.Name] = newPartition(x)
		p.order = append(p.order, p.partitions[x.Name])
	}
	return p
}

// host adds a machine to a link.
func (p *path) host(link string, nic float64) *host {
	return p.links[link].host(nic, float64(p.scenario.ConnectionRate))
}

// request is one request: admitted by its partition or throttled, its body sent,
// served, answered. A request may be used again once it has ended.
type request struct {
	path      *path
	host      *host
	partition *partition
	prefix    int // its place among the prefixes, for partitions that split by them
	size      float64
	owner     requester

	started  time.Duration
	served   time.Duration // service time; 0 when there was none
	outcome  baseline.Outcome
	inFlight int // when it began
	running  bool
	body     body
	answer   event
	deadline deadline
}

// requester is told of the end of its requests.
type requester interface{ ended(r *request) }

func (p *path) newRequest(h *host, owner requester) *request {
	r := &request{path: p, host: h, owner: owner}
	r.body.done = r.serve
	r.answer.act = r.end
	r.deadline.act = r.timeOut
	return r
}

// start sends the request.
func (r *request) start() {
	p := r.path
	r.running, r.started, r.served = true, p.now, 0
	p.deadlines.set(&r.deadline)
	switch {
	case r.partition.blackout == FaultTimeouts:
		r.partition.offered++
	case r.partition.blackout == FaultThrottling:
		r.partition.offered++
		r.throttle()
	case !r.partition.admit(p.now, r.prefix):
		r.throttle()
	default:
		r.outcome = baseline.Accepted
		r.host.send(&r.body, r.size)
	}
}

// throttle answers 503.
func (r *request) throttle() {
	s := &r.path.answers
	r.outcome = baseline.Throttled
	spread := float64(s.ThrottleMax - s.ThrottleMin)
	r.path.set(&r.answer, r.path.now+time.Duration(float64(s.ThrottleMin)+spread*r.path.throttle.Float64()))
}

// serve begins when the body has arrived.
func (r *request) serve() {
	p := r.path
	switch r.partition.blackout {
	case FaultTimeouts:
		return
	case FaultThrottling:
		r.throttle()
		return
	case FaultErrors:
		r.outcome = baseline.Failed
	}
	if share := float64(p.answers.ErrorShare); share > 0 && p.failure.Float64() < share {
		r.outcome = baseline.Failed
	}
	r.served = p.answers.draw(p.service)
	p.set(&r.answer, p.now+r.served)
}

// draw gives a service time.
func (s *Service) draw(random *rand.Rand) time.Duration {
	slow := random.Float64() < float64(s.SlowShare)
	t := float64(s.Median) * math.Exp(s.Sigma*random.NormFloat64())
	if slow {
		t = float64(s.SlowTime)
	}
	return time.Duration(t)
}

// timeOut gives the request up.
func (r *request) timeOut() {
	r.body.stop()
	r.path.cancel(&r.answer)
	r.outcome, r.served = baseline.TimedOut, 0
	r.end()
}

// drop lets the request vanish with the process that sent it.
func (r *request) drop() {
	r.body.stop()
	r.path.cancel(&r.answer)
	r.deadline.cancel()
	r.running = false
}

func (r *request) end() {
	r.deadline.cancel()
	r.running = false
	r.owner.ended(r)
}
