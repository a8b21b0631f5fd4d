package congestion

import (
	"math/rand/v2"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// enough of a kind are no accident: rounds in a row without growth (BBR), with twice the
	// queue that there should be or without any success; 503s in a round; rounds in which two
	// groups were throttled together; lengths of a round in which a worker is not heard of.
	enough = 3
	// scatter is the share by which two measurements of the same may differ.
	scatter = 0.1
	// firstStep is the share from which what grows begins: in three doublings it is there.
	firstStep = 1.0 / 8
	// outdated is the age at which what was measured has to be measured anew, or is given up.
	outdated = 2 * time.Minute
	// manyThrottles without any success are an outage rather than a limit.
	manyThrottles = 10
	// bindingShare of a window or a rate must be in use for it to be what limits.
	bindingShare = 0.85
	// exceptions is the share of requests that may fail where all is well, or be accepted in an
	// outage.
	exceptions = 0.1
	// heavyThrottling is the throttled share that a cut ought to have ended, and that no honest
	// tenant has for long.
	heavyThrottling = 1. / 3
)

// GlobalCongestionController finds and follows the capacity of one destination. It
// has two actuators. The path to the destination is shared by all prefixes, and
// what it cannot carry queues: one window holds the queue small. What throttles
// requests is a policer, of which the destination has one for each of its partitions:
// a rate for every group of prefixes that share one keeps below it. The
// controller knows rounds only, neither workers nor leases.
type GlobalCongestionController struct {
	config  protocol.Config
	rand    *rand.Rand
	without Mechanism

	path   pathModel
	window windowLaw
	groups []*group // the first is the one that prefixes begin in
	named  int      // groups ever made
	begun  bool     // a round has been judged
	// memory is the profile of the destination of before.
	memory    *protocol.NetworkProfile
	measured  bool   // something was accepted at some time
	slackened bool   // the window did not limit that round
	last      Signal // of the round before
	// remembered are the groups of prefixes that an earlier leader recorded.
	remembered map[protocol.Member]*group

	// The round that goes on.
	began                  time.Time
	completions, throttles int64
	tenants, known         int           // that requests of were reported, and in all
	latencies              latencySketch // scratch

	// limit is the most in flight that a policy allows.
	limit int

	// While learning, the window is bounded by what was recorded and adopted.
	learning bool
	until    time.Time
	recorded int
	adopted  int
}

// NewGlobalCongestionController gives a controller in slow start, with one group; it is
// told which parts of the law to do without.
func NewGlobalCongestionController(config protocol.Config, random *rand.Rand, without Mechanism) *GlobalCongestionController {
	c := &GlobalCongestionController{rand: random, without: without, recorded: protocol.MaxWindow, limit: protocol.MaxWindow}
	c.window.state = protocol.SlowStart
	c.addGroup()
	c.Configure(config)
	return c
}

// Config is that of the law at present.
func (c *GlobalCongestionController) Config() protocol.Config { return c.config }

// Configure takes effect from the next round on. A controller that has judged
// nothing yet begins at the configured window.
func (c *GlobalCongestionController) Configure(config protocol.Config) {
	c.config = config
	c.path.learningRate = config.LearningRate
	if !c.begun {
		c.window.size = float64(c.first(config.GlobalCongestionWindow))
		c.window.threshold = float64(config.SlowStartThreshold)
	}
	if !config.AdvancedFlowControl {
		for _, g := range c.groups {
			g.rate.free()
		}
		c.window.resume = 0
	}
}

// Limit bounds what may be granted, by a policy; the law keeps the window that it has found.
func (c *GlobalCongestionController) Limit(window int) { c.limit = window }

// Window is what the law has found.
func (c *GlobalCongestionController) Window() int { return int(c.window.size) }

// Undrained is by how much Bound would be larger if no drain went on: 1 where none does.
func (c *GlobalCongestionController) Undrained() float64 {
	w := &c.window
	if !w.draining || c.learning {
		return 1
	}
	before := min(w.drained, 2*w.size, float64(c.limit))
	return max(1, before/w.size)
}

// Bound is the largest sum of windows that may be granted. While the coordinator learns what an
// earlier one granted, workers that appear share a window's floor.
func (c *GlobalCongestionController) Bound() int {
	window := min(int(c.window.size), c.limit)
	if c.learning {
		window = min(window, min(c.recorded, c.adopted)+WindowFloor)
	}
	return window
}

// Adopt tells of a window that an earlier leader has granted and that holds still.
func (c *GlobalCongestionController) Adopt(window int) { c.adopted += window }

// Learn bounds the window by what was recorded and adopted, until a time.
func (c *GlobalCongestionController) Learn(until time.Time) {
	c.learning = true
	if until.After(c.until) {
		c.until = until
	}
}

// EndLearning ends what Learn began, once its time is over.
func (c *GlobalCongestionController) EndLearning(now time.Time) {
	if c.learning && !now.Before(c.until) {
		c.learning = false
	}
}

// Learning tells that the window is bounded so.
func (c *GlobalCongestionController) Learning() bool { return c.learning }

// Starting tells that slow start goes on.
func (c *GlobalCongestionController) Starting() bool { return c.window.state == protocol.SlowStart }

// Begun tells that a round was judged, or an earlier leader's state taken over.
func (c *GlobalCongestionController) Begun() bool { return c.begun }

// Latency of the path at present is in seconds; 0 when nothing was measured.
func (c *GlobalCongestionController) Latency() float64 { return c.path.current() }

// BaseLatency is the smallest, of requests that wait in no queue.
func (c *GlobalCongestionController) BaseLatency() float64 { return c.path.base() }

// LastRound is the signal of the round before.
func (c *GlobalCongestionController) LastRound() Signal { return c.last }

// Queue is about how many requests of that round waited.
func (c *GlobalCongestionController) Queue() float64 { return c.queue(c.last) }

func (c *GlobalCongestionController) queue(s Signal) float64 { return c.path.queue(c.inFlight(s)) }

// Profile is what was learned of the path.
func (c *GlobalCongestionController) Profile() protocol.NetworkProfile { return c.path.NetworkProfile }

// Round judges the round that ends at now: the signal of all groups together, and
// those that their members hold.
func (c *GlobalCongestionController) Round(now time.Time, s Signal) protocol.Decision {
	if s.Completions <= 0 {
		return c.undecided(now, s)
	}
	c.begun, c.measured, c.slackened = true, c.measured || s.Accepted > 0, c.slack(s)
	c.window.observeDrain(&c.path)
	c.path.observe(now, s, c.idle(s))
	c.regroup(now)
	d := c.observed(s)
	d.Window.Reason = c.steer(now, s)
	starved, regained := c.setRates(now, s, d.Groups)
	if reason, answered := c.answerOutage(now, s, starved, regained); answered {
		d.Window.Reason = reason
	}
	c.last = s
	c.conclude(now, &d)
	return d
}

// setRates judges the round of each group. It tells that some group has fallen into an outage without
// 503s which says something of the path, and that some has come back from one.
func (c *GlobalCongestionController) setRates(now time.Time, s Signal, decisions []protocol.GroupDecision) (starved, regained bool) {
	view := c.view(s)
	for i, g := range c.groups {
		reason := ReasonRatesDisabled
		g.policed = g.rate.polices()
		if c.config.AdvancedFlowControl {
			reason = g.rate.round(now, g.signal, view)
			starved = starved || reason == ReasonNoSuccess && g.signal.Throttles == 0 && c.speaks(g, s)
			regained = regained || reason == ReasonRegained
		}
		decisions[i].Reason = reason
	}
	return starved, regained
}

// speaks tells that what becomes of the group tells of the path: where there are several
// tenants, one's requests may fail for reasons of its own, or be said to.
func (c *GlobalCongestionController) speaks(g *group, s Signal) bool {
	return c.tenants < 2 || g.signal.Busy >= s.Busy/2
}

// state is that of the group's rate, or where nothing polices it, of the window.
func (c *GlobalCongestionController) state(g *group) protocol.State {
	if g.rate.polices() {
		return g.rate.state
	}
	return c.window.state
}

// view is what the rates are told of the path.
func (c *GlobalCongestionController) view(s Signal) pathView {
	return pathView{
		config: c.config, rand: c.rand, without: c.without, idle: c.idle(s),
		queued:   c.queue(s) > c.queueTarget(),
		measured: c.measured,
	}
}

// idle tells that the workers had too little to send, or were not allowed to send more.
func (c *GlobalCongestionController) idle(s Signal) bool {
	return s.PolicyLimited || s.SenderLimited && c.slack(s)
}

// slack tells that the window is not what limited the round.
func (c *GlobalCongestionController) slack(s Signal) bool {
	return float64(s.InFlight) < bindingShare*c.window.size
}

func (c *GlobalCongestionController) inFlight(s Signal) float64 {
	return min(c.window.size, float64(s.InFlight))
}

// FastReporting tells that the next reports are worth having soon.
func (c *GlobalCongestionController) FastReporting(now time.Time) bool {
	if c.without.Has(Haste) {
		return false
	}
	if c.window.fastReporting() && !c.slackened {
		return true
	}
	for _, g := range c.groups {
		if g.rate.fastReporting(now, c.config.UpdateInterval) {
			return true
		}
	}
	return false
}
