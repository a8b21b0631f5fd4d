package coordination

import (
	"errors"
	"maps"
	"math"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// CoordinationMetrics tell how the coordination works, for the whole domain.
// Counts run from Start.
type CoordinationMetrics struct {
	Groups []GroupMetrics
	// Window is what may be in flight over all groups, Charged what workers may be
	// using of it. Learning: it is bound by what an earlier leader recorded.
	Window, Charged int
	Learning        bool
	// Latency is the median attempt of the last round; Queue is the estimate of how
	// many of the requests in flight waited.
	Latency time.Duration
	Queue   float64
	Profile protocol.NetworkProfile
	// Workers counts those known, LiveWorkers those that hold a lease.
	Workers, LiveWorkers int
	// Overhead is Withheld plus LoopShare, 1 at most.
	Overhead float64
	// Withheld is the part of the window, from 0 to 1 over about the last ten minutes,
	// that some worker wanted and none could use, because it was still charged to workers
	// that had not acknowledged its withdrawal.
	Withheld float64
	// LoopShare is the part of that time that decisions took, by what Spend was told.
	LoopShare float64
	// LoadBalance is the mean over the greatest, over the workers with windows in
	// the last round, of requests in flight per slot: 1 when all use theirs alike,
	// 1/n when one of n does all. It is the load balance efficiency of the POP
	// methodology (Performance Optimisation and Productivity, pop-coe.eu).
	LoadBalance float64
	// Fairness is Jain's index over transfers with windows of bytes per second per
	// weight: 1 when all get alike, 1/n when one of n gets all. (Jain, Chiu and
	// Hawe, DEC-TR-301, 1984.) It and LoadBalance are 0 while nothing was measured.
	Fairness float64
	// PipelineUtilization is the mean of requests in flight over the sum of the
	// granted windows in the last round, 1 at most.
	PipelineUtilization float64
	// Throughput in bytes per second is that of all workers in the last round.
	Throughput float64
	// CongestionCauses counts the changes of state that congestion caused, by cause.
	CongestionCauses map[string]int64
	// AdaptationRate tells how much the law moves the window: the mean of |Δ ln W|
	// per minute with a time constant of a minute. 0 is steady, 0.69 is a window
	// that doubles or halves each minute.
	AdaptationRate float64
	// ReportsAccepted, ReportsStale and ReportsImpossible count reports by what
	// Observe made of them; the rest was from unknown workers or epochs.
	ReportsAccepted, ReportsStale, ReportsImpossible int64
	// ArchivesFinished, Retries and OutcomesIgnored count outcomes: taken as the
	// end of an archive, put back into the queue, or neither.
	ArchivesFinished, Retries, OutcomesIgnored int64
	// LeasesExpired counts workers that fell silent for a lease lifetime.
	LeasesExpired int64
	// ArchivesMoved counts archives taken from one worker for the sake of others.
	ArchivesMoved int64
	// Baseline is what the domain gave before the law had changed anything.
	Baseline PerformanceBaseline
	// Improvement is the mean throughput since the baseline over the baseline's,
	// minus 1; LatencyReduction is 1 minus the mean latency since over the
	// baseline's, below 0 when requests take longer. Rounds in which the workers had
	// too little to send count for neither. Both are between -9 and 9, and 0 until enough
	// was measured on either side.
	Improvement, LatencyReduction float64
}

// GroupMetrics tell what the rate of a group does.
type GroupMetrics struct {
	Name  string
	State protocol.State
	// Prefixes counts those of the group.
	Prefixes int
	// Rate in requests per second, 0 for none. Granted sums the windows of its
	// prefixes, InFlight what was in flight of them at most since the report before.
	Rate              float64
	Granted, InFlight int
	// Throughput in bytes per second, Requests in accepted requests per second and
	// ThrottledShare from 0 to 1 are of the last round.
	Throughput, Requests, ThrottledShare float64
	// CongestionEvents counts cuts, Recoveries how often cuts did not help, ProbesWon
	// and ProbesLost the probes for more rate.
	CongestionEvents, Recoveries, ProbesWon, ProbesLost int64
}

// metrics gathers what CoordinationMetrics report.
type metrics struct {
	CoordinationMetrics
	withheld, offered float64 // slot-seconds
	spent, elapsed    float64 // seconds
	comparison        comparison
}

// Spend tells how long the core took to decide: the core has no clock of its own. Time
// that the caller waited for others is none of it, since data moves meanwhile.
func (c *PipelineCoordinator) Spend(d time.Duration) { c.metrics.spent += max(0, d).Seconds() }

// Metrics gives the metrics of the domain.
func (c *PipelineCoordinator) Metrics(now time.Time) CoordinationMetrics {
	c.now = now
	m := c.metrics.CoordinationMetrics
	m.Workers = len(c.ordered)
	for _, w := range c.ordered {
		if w.live(now) {
			m.LiveWorkers++
		}
	}
	m.Withheld = ratio(c.metrics.withheld, c.metrics.offered)
	m.LoopShare = ratio(c.metrics.spent, c.metrics.elapsed)
	m.Overhead = min(1, m.Withheld+m.LoopShare)
	m.Fairness = c.fairness()
	m.CongestionCauses = maps.Clone(m.CongestionCauses)
	m.Baseline, m.Improvement, m.LatencyReduction = c.metrics.comparison.result()
	m.Window, m.Learning = c.control.Bound(), c.control.Learning()
	_, m.Charged = c.grantedAndCharged()
	m.Latency, m.Queue = c.control.LastRound().Latency, c.control.Queue()
	m.Profile = c.control.Profile()
	m.Groups = c.groupMetrics()
	return m
}

func (c *PipelineCoordinator) groupMetrics() []GroupMetrics {
	groups := c.control.Groups()
	of := map[string]*GroupMetrics{}
	list := make([]GroupMetrics, len(groups))
	for i, g := range groups {
		list[i] = GroupMetrics{
			Name: g.Name, State: g.State, Rate: g.Rate, Prefixes: len(g.Members),
			Throughput: g.Signal.Bytes, Requests: g.Signal.Accepted, ThrottledShare: g.Signal.ThrottledShare(),
			CongestionEvents: g.Cuts, Recoveries: g.Recoveries, ProbesWon: g.ProbesWon, ProbesLost: g.ProbesLost,
		}
		of[g.Name] = &list[i]
	}
	for _, w := range c.ordered {
		for _, wp := range w.prefixes {
			if m := of[wp.prefix.member.Group()]; m != nil && w.transfer.coordinated() {
				m.Granted += wp.share.Window
				m.InFlight += wp.counters.MaxInFlight
			}
		}
	}
	return list
}

func (c *PipelineCoordinator) grantedAndCharged() (granted, charged int) {
	for _, w := range c.ordered {
		if w.transfer.coordinated() {
			granted += w.window()
			charged += w.lease.Charge()
		}
	}
	return granted, charged
}

// adaptationMemory is the time constant of the adaptation rate.
const adaptationMemory = time.Minute

// tick takes in the time since the tick before, and what this one decided.
func (m *metrics) tick(c *PipelineCoordinator, now time.Time) {
	m.countCauses(c.decision.Transitions)
	elapsed := now.Sub(c.ticked)
	if elapsed <= 0 {
		return
	}
	bound := c.control.Bound()
	m.forget(elapsed)
	m.elapsed += elapsed.Seconds()
	m.withheld += elapsed.Seconds() * float64(c.withheld())
	m.offered += elapsed.Seconds() * float64(bound)
	if before := m.comparison.bound; before > 0 && bound > 0 {
		moved := math.Abs(math.Log(float64(bound)/float64(before))) / elapsed.Minutes()
		weight := 1 - math.Exp(-elapsed.Seconds()/adaptationMemory.Seconds())
		m.AdaptationRate += weight * (moved - m.AdaptationRate)
	}
	m.comparison.grant(bound)
}

// costMemory is the time constant of what coordination costs.
const costMemory = 10 * time.Minute

// forget lets what was long ago count for less.
func (m *metrics) forget(elapsed time.Duration) {
	kept := math.Exp(-elapsed.Seconds() / costMemory.Seconds())
	for _, sum := range []*float64{&m.elapsed, &m.spent, &m.withheld, &m.offered} {
		*sum *= kept
	}
}

// withheld is how many slots workers should have that are not theirs yet, as others may still be
// using them.
func (c *PipelineCoordinator) withheld() int {
	charged, unmet := 0, 0 // beyond what is granted
	for _, w := range c.coordinatedWorkers() {
		window := w.window()
		charged += w.lease.Charge() - window
		unmet += max(0, w.share.Target()-window)
	}
	return min(max(0, charged), unmet)
}

func (m *metrics) countCauses(transitions []protocol.Transition) {
	for _, t := range transitions {
		switch t.Cause {
		case congestion.ReasonThrottled, congestion.ReasonQueueGrowth, congestion.ReasonNoSuccess, congestion.ReasonPersistentThrottling:
			if m.CongestionCauses == nil {
				m.CongestionCauses = map[string]int64{}
			}
			m.CongestionCauses[string(t.Cause)]++
		}
	}
}

// endRound measures how the workers used their slots in the round that ends.
func (m *metrics) endRound(c *PipelineCoordinator, now time.Time, s congestion.Signal) {
	var used, greatest, busy, windows, n float64
	m.Throughput = 0
	for _, w := range c.coordinatedWorkers() {
		m.Throughput += w.round.last.Bytes
		if window := float64(w.window()); window > 0 && !w.blocked {
			used += w.round.last.Busy / window
			greatest = max(greatest, w.round.last.Busy/window)
			busy += w.round.last.Busy
			windows += window
			n++
		}
	}
	m.LoadBalance = ratio(used, n*greatest)
	m.PipelineUtilization = min(1, ratio(busy, windows))
	m.comparison.endRound(now, s)
}

// fairness is over the transfers with windows.
func (c *PipelineCoordinator) fairness() float64 {
	var sum, squares, n float64
	for _, t := range c.transfers {
		if !t.coordinated() || t.share.Window == 0 {
			continue
		}
		x := 0.0
		for _, w := range t.workers {
			x += w.round.last.Bytes
		}
		x /= float64(t.spec.Weight)
		sum += x
		squares += x * x
		n++
	}
	return jain(sum, squares, n)
}

func jain(sum, squares, n float64) float64 {
	if squares == 0 {
		return 0
	}
	return sum * sum / (n * squares)
}

// rejected counts a report that Observe ignored.
func (m *metrics) rejected(err error) {
	switch {
	case errors.Is(err, ErrStaleReport):
		m.ReportsStale++
	case errors.Is(err, ErrImpossibleReport):
		m.ReportsImpossible++
	}
}

// ratio is 0 where nothing was measured.
func ratio(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}
