package sim

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/sim/baseline"
)

// binWidth is the resolution of what is recorded over time.
const binWidth = 100 * time.Millisecond

// recorder records what happens in a run.
type recorder struct {
	begun, accepted, throttled, failed int64
	acceptedBytes                      float64
	attempt, service                   *sketch
	bins                               []bin
	disturbances                       []time.Duration
	inFlight                           int
	cuts                               int64         // of windows or rates by the coordinator, for congestion
	reused                             time.Duration // longest time until the slots of hung workers were used again; -1 for none
	last                               time.Duration // when the last part was accepted
	traced                             bool
	decisions                          []DecisionAt // of the coordinator, if they are traced
	// state gives the window and the rate in force.
	state func() (window int, rate float64)
	// faultManager and faultAPI let a fault of the manager or of the API happen.
	faultManager, faultAPI func(time.Duration)

	path *path
	api  *apiServer // nil where it takes no time
}

// bin is what happened in one width of time; the window, the rate and the requests
// in flight are those at its end.
type bin struct {
	bytes                        float64
	started, accepted, throttled int32
	window, inFlight             int32
	rate                         float64
}

func newRecorder(s *Scenario) *recorder {
	count := int(time.Duration(s.Duration)/binWidth) + 1
	return &recorder{
		reused: -1, attempt: newSketch(), service: newSketch(), bins: make([]bin, count),
		state: func() (int, float64) { return 0, 0 }, faultManager: func(time.Duration) {}, faultAPI: func(time.Duration) {},
	}
}

// watch samples the state at the end of each bin.
func (c *recorder) watch(r *run) {
	c.path = r.path
	r.every(binWidth, func() {
		b := c.bin(r.now - 1)
		window, rate := c.state()
		b.window, b.rate, b.inFlight = int32(min(window, 1<<30)), rate, int32(c.inFlight)
	})
}

func (c *recorder) bin(at time.Duration) *bin {
	return &c.bins[min(int(at/binWidth), len(c.bins)-1)]
}

func (c *recorder) disturbance(at time.Duration) { c.disturbances = append(c.disturbances, at) }

// started records that a request of ours began; inFlight are those of its client.
func (c *recorder) started(r *request, inFlight int) {
	r.inFlight = inFlight
	c.begun++
	c.inFlight++
	c.bin(r.path.now).started++
}

func (c *recorder) ended(r *request) {
	c.inFlight--
	b := c.bin(r.path.now)
	switch r.outcome {
	case baseline.Accepted:
		c.accepted++
		c.acceptedBytes += r.size
		c.last = r.path.now
		b.accepted++
		b.bytes += r.size
		c.attempt.add(r.path.now - r.started)
		c.service.add(r.served)
	case baseline.Throttled:
		c.throttled++
		b.throttled++
	default:
		c.failed++
	}
}

// decided records what the coordinator has decided, if a round has ended and it is traced.
func (c *recorder) decided(at time.Duration, d protocol.Decision) {
	if c.traced && d.Made() {
		c.decisions = append(c.decisions, DecisionAt{at, d})
	}
}

// vanished records that a request ended with its process.
func (c *recorder) vanished() {
	c.inFlight--
	c.failed++
}
