package coordination

import (
	"math/rand/v2"
	"time"
)

// The constants of the law. Those that the design leaves open were calibrated
// against the closed-loop tests of this package.
const (
	// windowFloor is the smallest window of a group, in requests.
	windowFloor = 4
	// manyThrottles without any success are an outage rather than a limit.
	manyThrottles = 10
	// enoughThrottles is how many 503s a round needs to count as congested: one
	// or two are noise.
	enoughThrottles = 3
	// heavyThrottling is the throttled share that a cut ought to have ended.
	heavyThrottling = 0.3
	// usedShare of the window or the rate must be in use for either to be what limits.
	usedShare = 0.8
	// bindingShare of the rate must be started for the rate to be what limits.
	bindingShare = 0.85
	// plateauGrowth is the growth of the accepted rate below which doubling has
	// found the path full, three rounds in a row (BBR).
	plateauGrowth = 1.25
	plateauRounds = 3
	// cutShare of the accepted rate is kept at a cut: while a policer refuses,
	// the accepted rate is its capacity, and a deep cut wastes it.
	cutShare = 0.97
	// edgeShare of the accepted rate is kept where a probe met the edge: so few
	// were refused that the accepted rate is the capacity within noise.
	edgeShare = 0.99
	// rateHeadroom times rate times latency, and windowHeadroom, is the window
	// that lets a paced rate through.
	rateHeadroom   = 1.3
	windowHeadroom = 4
	// starvedRounds without any success begin a recovery.
	starvedRounds = 3
	// recoveredRounds without throttling end it.
	recoveredRounds = 2
	// lowestRate in requests per second spaces the probes of a recovery.
	lowestRate = 0.25
	// Probing: first wait between 2 s and 16 s, later up to a minute.
	probeWaitLow  = 2 * time.Second
	probeWaitHigh = 16 * time.Second
	probeWaitMost = time.Minute
	probeStepMost = 0.5
	// halfOpenRate in requests per second follows the first success in a recovery.
	halfOpenRate = 2
	// regainShare of the threshold is where slow start begins after a recovery.
	regainShare = 0.25
	// drainAge is the age of the smallest latency at which one round is sent
	// with drainShare of the pipe, so that the queue empties and T₀ shows again.
	drainAge   = 20 * time.Second
	drainShare = 0.75
)

// Causes of transitions.
const (
	CauseThrottled   = "Throttled"
	CausePlateau     = "Plateau"
	CauseQueueGrowth = "QueueGrowth"
	CauseNoSuccess   = "NoSuccess"
	CausePersistent  = "PersistentThrottling"
	CauseClean       = "Clean"
	CauseRegained    = "ThresholdReached"
)

// Signal is what the reports of one round tell of a group. Rates are per second.
type Signal struct {
	// Started, Accepted, Throttled and Failed are rates of requests, Bytes is the
	// rate of accepted payload.
	Started, Accepted, Throttled, Failed, Bytes float64
	// Completions and Throttles count requests in the round.
	Completions, Throttles int64
	// Latency is the median duration of an accepted attempt; 0 when unknown.
	Latency time.Duration
	// InFlight is the most requests in flight at once, summed over workers.
	InFlight int
	// SenderLimited: workers with half of the window or more had too little to send.
	SenderLimited bool
}

// throttledShare is the part of all completed requests that was refused.
func (s Signal) throttledShare() float64 {
	all := s.Accepted + s.Throttled + s.Failed
	if all <= 0 {
		return 0
	}
	return s.Throttled / all
}

// Decision is what a group may do from now on.
type Decision struct {
	// Window in requests in flight.
	Window int
	// Rate in requests started per second; 0 means that only the window limits.
	Rate  float64
	State State
	// Cause says why the state changed; empty when it did not.
	Cause string
}

// GlobalCongestionController finds and follows the capacity of the path that a
// group of prefixes shares. Two actuators: the window against queueing, the
// paced rate against policing. It knows rounds only, neither workers nor leases.
type GlobalCongestionController struct {
	config Config
	rand   *rand.Rand
	path   pathModel

	begun     bool // a round has been judged
	state     State
	window    float64
	rate      float64
	threshold float64 // slow start doubles up to it whatever it measures

	good      operatingPoint // of the last round that was clean and loaded
	best      float64        // accepted rate that a doubling must exceed by a quarter
	plateau   int            // rounds in which it did not
	regaining bool           // slow start after a recovery
	cuts      int            // in this fast recovery
	settling  bool           // the next round still holds what was sent before the cut
	starved   int            // rounds with completions but no success
	clean     int            // clean rounds of this recovery
	resume    float64        // rate to return to after this recovery; 0 for none
	draining  bool           // this round empties the queue
	drained   float64        // window to return to after it
	emptied   bool           // the round before emptied the queue
	stride    float64        // next growth of the window in congestion avoidance
	probe     probe
	events    congestionEvents
}

type operatingPoint struct{ window, rate float64 }

// congestionEvents counts since the start.
type congestionEvents struct{ cuts, recoveries, probesWon, probesLost int64 }

// probe is the search for a higher rate.
type probe struct {
	active  bool
	from    float64 // the rate before
	step    float64
	wait    time.Duration
	due     time.Time
	settled float64 // accepted rate before
}

// newGlobalCongestionController gives a controller in slow start.
func newGlobalCongestionController(config Config, random *rand.Rand) *GlobalCongestionController {
	c := &GlobalCongestionController{rand: random, state: SlowStart}
	c.configure(config)
	c.window = float64(config.GlobalCongestionWindow)
	c.threshold = float64(config.SlowStartThreshold)
	return c
}

// configure takes effect from the next round on.
func (c *GlobalCongestionController) configure(config Config) {
	c.config = config
	c.path.learningRate = config.LearningRate
	if !config.AdvancedFlowControl {
		c.rate, c.resume, c.probe = 0, 0, probe{}
	}
}

// floor is the smallest window; a smaller configured start is respected.
func (c *GlobalCongestionController) floor() float64 {
	return float64(min(windowFloor, c.config.GlobalCongestionWindow))
}

// tolerated is the throttled share above which a round is congested.
func (c *GlobalCongestionController) tolerated() float64 {
	return 0.1 * (1 - c.config.CongestionSensitivity)
}

// decision is what holds now.
func (c *GlobalCongestionController) decision(cause string) Decision {
	return Decision{Window: int(c.window), Rate: c.rate, State: c.state, Cause: cause}
}

// Round takes in the signal of the round that ends at now, and decides the next.
func (c *GlobalCongestionController) Round(now time.Time, s Signal) Decision {
	if s.Completions <= 0 {
		return c.decision("") // nothing came back, so nothing is known
	}
	c.begun = true
	before := c.state
	if c.emptied != c.draining {
		c.path.latency = 0 // what was smoothed belongs to another window
		c.emptied = c.draining
	}
	c.path.observe(now, s, c.limited(s))
	cause := c.step(now, s)
	c.window = min(max(c.window, c.floor()), maxWindow)
	if c.state == before {
		cause = ""
	}
	return c.decision(cause)
}

func (c *GlobalCongestionController) step(now time.Time, s Signal) string {
	if s.Accepted > 0 {
		c.starved = 0
	} else if c.starved++; c.starved >= starvedRounds && c.state != Recovery {
		c.recover(s)
		return CauseNoSuccess
	}
	switch c.state {
	case SlowStart:
		return c.slowStart(now, s)
	case FastRecovery:
		return c.fastRecovery(now, s)
	case Recovery:
		return c.recovery(now, s)
	default:
		return c.avoidance(now, s)
	}
}

// limited tells that the workers, not the window or the rate, limited the round.
func (c *GlobalCongestionController) limited(s Signal) bool {
	windowFree := float64(s.InFlight) < usedShare*c.window || s.SenderLimited
	rateFree := c.rate == 0 || s.Started < usedShare*c.rate
	return windowFree && rateFree
}

func (c *GlobalCongestionController) congested(s Signal) bool {
	return s.Throttles >= enoughThrottles && s.throttledShare() > c.tolerated()
}

func (c *GlobalCongestionController) slowStart(now time.Time, s Signal) string {
	switch {
	case c.congested(s):
		c.window = min(c.window, c.filled())
		return c.enterFastRecovery(s)
	case c.limited(s):
		return ""
	case c.regaining:
		return c.regain(now)
	}
	c.good = operatingPoint{c.window, c.rate}
	if s.Accepted >= plateauGrowth*c.best {
		c.best, c.plateau = s.Accepted, 0
	} else {
		c.plateau++
	}
	cause := ""
	if queue := c.path.queue(c.inFlight(s)); queue > max(6, 0.3*c.window) {
		cause = CauseQueueGrowth
	} else if c.plateau >= plateauRounds {
		cause = CausePlateau
	}
	if cause == "" || c.window < c.threshold {
		c.window *= 2
		return ""
	}
	c.window = min(c.window, c.filled())
	c.avoid(now)
	return cause
}

// regain grows back, unconditionally, towards the window that was good before.
func (c *GlobalCongestionController) regain(now time.Time) string {
	growth := min(max(1+c.config.RecoveryAggressiveness, 1.1), 4)
	c.window = min(c.window*growth, c.threshold)
	if c.window < c.threshold {
		return ""
	}
	c.avoid(now)
	return CauseRegained
}

// filled is a window that fills the path and lets a little queue show.
func (c *GlobalCongestionController) filled() float64 { return 1.25*c.path.pipe() + 2 }

func (c *GlobalCongestionController) inFlight(s Signal) float64 {
	return min(c.window, float64(s.InFlight))
}

// avoid enters congestion avoidance.
func (c *GlobalCongestionController) avoid(now time.Time) {
	c.state, c.regaining = CongestionAvoidance, false
	c.plateau, c.best, c.cuts, c.stride = 0, 0, 0, 1
	c.probe = probe{step: c.config.BandwidthProbingRate, wait: probeWaitLow}
	c.scheduleProbe(now)
}

func (c *GlobalCongestionController) avoidance(now time.Time, s Signal) string {
	settling := c.settling
	c.settling = false
	switch {
	case c.congested(s) && c.probe.active:
		c.loseProbe(now, s)
		c.settling = true
		return ""
	case c.congested(s) && settling:
		return "" // still the requests of the lost probe
	case c.congested(s):
		return c.enterFastRecovery(s)
	}
	if c.draining {
		c.window, c.draining = c.drained, false
		return ""
	}
	if c.limited(s) {
		return ""
	}
	c.good = operatingPoint{c.window, c.rate}
	if c.rate > 0 && c.paced(now, s) {
		return ""
	}
	c.follow(now, s)
	return ""
}

// follow steers the window by the queue that it causes.
func (c *GlobalCongestionController) follow(now time.Time, s Signal) {
	target := c.queueTarget()
	queue := c.path.queue(c.inFlight(s))
	switch {
	case queue > target:
		c.window -= 0.7 * (queue - target/2)
		c.stride = 1
	case queue >= target/2:
		c.stride = 1
	default:
		// While no queue shows, the path may have grown by any factor.
		c.window += min(c.stride, c.window/2)
		if c.config.AdvancedFlowControl {
			c.stride = min(2*c.stride, maxWindow)
		}
	}
	if c.path.baseAge(now) > drainAge {
		c.draining, c.drained = true, c.window
		c.window = drainShare * min(c.window, max(c.path.pipe(), c.floor()))
	}
}

func (c *GlobalCongestionController) queueTarget() float64 {
	return max(4, (1-c.config.CongestionSensitivity)*c.window)
}

// paced steers the rate where a policer limits; false when the window does.
func (c *GlobalCongestionController) paced(now time.Time, s Signal) bool {
	binding := s.Started >= bindingShare*c.rate
	if !binding && c.path.queue(c.inFlight(s)) > c.queueTarget() {
		c.rate, c.probe.active = 0, false
		return false
	}
	switch {
	case c.probe.active:
		c.judgeProbe(now, s)
	case s.throttledShare() > c.tolerated()/4:
		// The edge itself: what is refused here is wasted without being congestion.
		c.rate = max(lowestRate, min(c.rate, s.Accepted))
	case binding && !now.Before(c.probe.due):
		c.raise(s)
	}
	wanted := rateHeadroom*c.rate*c.path.current() + windowHeadroom
	c.window = min(max(wanted, 0.9*c.window), 1.25*c.window)
	return true
}

// judgeProbe keeps a raised rate that was accepted, and goes on from it sooner
// and further; at the edge it keeps what was accepted and waits longer.
func (c *GlobalCongestionController) judgeProbe(now time.Time, s Signal) {
	gained := s.Accepted - c.probe.settled
	if s.Throttles > 0 {
		c.rate = min(c.rate, max(c.probe.from, s.Accepted*edgeShare))
		c.endProbe(now)
		return
	}
	if s.Started < bindingShare*c.rate && gained < c.probe.from*c.probe.step/2 {
		return // the window has not followed yet
	}
	c.events.probesWon++
	c.probe.step = min(2*c.probe.step, probeStepMost)
	c.probe.wait = probeWaitLow
	c.raise(s)
}

// raise starts the next step of a probe.
func (c *GlobalCongestionController) raise(s Signal) {
	c.probe.active, c.probe.from, c.probe.settled = true, c.rate, s.Accepted
	c.rate *= 1 + c.probe.step
}

// loseProbe returns to the rate before, or to what was accepted if that is far
// above or at all below.
func (c *GlobalCongestionController) loseProbe(now time.Time, s Signal) {
	rate := max(c.probe.from, s.Accepted*cutShare)
	if s.Accepted < c.probe.from {
		rate = s.Accepted * cutShare
	}
	c.rate = max(lowestRate, min(c.rate, rate))
	c.endProbe(now)
}

func (c *GlobalCongestionController) endProbe(now time.Time) {
	c.events.probesLost++
	c.probe.active = false
	c.probe.step = c.config.BandwidthProbingRate
	c.probe.wait = min(max(c.probe.wait, probeWaitLow)*3/2, probeWaitMost)
	c.scheduleProbe(now)
}

// scheduleProbe spreads the probes of senders that share a path.
func (c *GlobalCongestionController) scheduleProbe(now time.Time) {
	spread := max(probeWaitHigh, 2*c.probe.wait) - c.probe.wait
	c.probe.due = now.Add(c.probe.wait + time.Duration(c.rand.Float64()*float64(spread)))
}

func (c *GlobalCongestionController) enterFastRecovery(s Signal) string {
	if s.Accepted == 0 && s.Throttles >= manyThrottles {
		c.recover(s)
		return CauseNoSuccess
	}
	c.state, c.regaining, c.draining, c.cuts = FastRecovery, false, false, 0
	c.cut(s)
	return CauseThrottled
}

// cut falls back to just below what was accepted.
func (c *GlobalCongestionController) cut(s Signal) {
	c.cuts++
	c.events.cuts++
	c.settling = true
	c.probe.active = false
	latency := c.path.current()
	if c.config.AdvancedFlowControl {
		c.rate = max(lowestRate, cutShare*s.Accepted)
		c.window = min(c.window, rateHeadroom*c.rate*latency+windowHeadroom)
	} else {
		c.window = min(0.9*c.window, max(s.Accepted*latency, c.window/2))
	}
}

func (c *GlobalCongestionController) fastRecovery(now time.Time, s Signal) string {
	settling := c.settling
	c.settling = false
	switch {
	case s.Accepted == 0:
		return "" // step counts these rounds
	case !c.congested(s):
		c.avoid(now)
		return CauseClean
	case settling:
		return "" // still the requests of before the cut
	case c.cuts >= 2 || s.throttledShare() > heavyThrottling:
		c.recover(s)
		return CausePersistent
	}
	c.cut(s)
	return ""
}

// recover enters recovery: half of what was accepted, through the floor.
func (c *GlobalCongestionController) recover(s Signal) {
	c.events.recoveries++
	c.state, c.clean, c.settling = Recovery, 0, false
	c.regaining, c.draining, c.probe.active = false, false, false
	c.window = c.floor()
	if !c.config.AdvancedFlowControl {
		return
	}
	// What was accepted while refused is the capacity; without any, it is unknown
	// and what was good before is the best guess.
	c.resume = cutShare * s.Accepted
	if s.Accepted == 0 {
		c.resume = c.good.rate
	}
	c.rate = max(lowestRate, s.Accepted/2)
}

func (c *GlobalCongestionController) recovery(now time.Time, s Signal) string {
	if s.Accepted <= 0 || s.throttledShare() > c.tolerated() {
		c.clean = 0
		if c.config.AdvancedFlowControl {
			c.rate = max(lowestRate, c.rate/2)
		}
		return ""
	}
	c.clean++
	if c.clean < recoveredRounds {
		if c.config.AdvancedFlowControl {
			c.rate = max(2*c.rate, halfOpenRate)
		}
		return ""
	}
	c.state, c.best, c.plateau = SlowStart, 0, 0
	c.rate = c.resume
	c.regaining = c.good.window > 0
	c.threshold = float64(c.config.SlowStartThreshold)
	if c.regaining {
		c.threshold = max(c.floor(), 0.9*c.good.window)
		c.window = max(c.window, regainShare*c.threshold)
	}
	return CauseClean
}
