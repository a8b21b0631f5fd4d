package coordination

import (
	"errors"
	"time"
)

// baselinePeriod is how long the baseline is measured.
const baselinePeriod = 10 * time.Second

// CoordinationMetrics tell how the coordination works, for the whole domain.
// Counts run from Start.
type CoordinationMetrics struct {
	Groups []GroupMetrics
	// Workers counts those known, LiveWorkers those that hold a lease.
	Workers, LiveWorkers int
	// Overhead is the part of the group's window, from 0 to 1 over the time since
	// Start, that nobody could use because it was still charged to workers that
	// had not acknowledged its withdrawal: the integral of charged minus granted
	// over the integral of the window.
	Overhead float64
	// LoadBalance is Jain's index over the workers with windows in the last round
	// of requests in flight per slot: 1 when all use theirs alike, 1/n when one of
	// n does all. Fairness is the same over transfers with windows, of bytes per
	// second per weight. (Jain, Chiu and Hawe, DEC-TR-301, 1984.) Both are 0 while
	// nothing was measured.
	LoadBalance, Fairness float64
	// ReportsAccepted, ReportsStale and ReportsImpossible count reports by what
	// Observe made of them; the rest was from unknown workers or epochs.
	ReportsAccepted, ReportsStale, ReportsImpossible int64
	// ArchivesFinished, Retries and OutcomesIgnored count outcomes: taken as the
	// end of an archive, put back into the queue, or neither.
	ArchivesFinished, Retries, OutcomesIgnored int64
	// LeasesExpired counts workers that fell silent for a lease lifetime.
	LeasesExpired int64
	// Baseline is what the domain gave in the first seconds of sending, and
	// Improvement the last round's throughput over it, minus 1.
	Baseline    PerformanceBaseline
	Improvement float64
}

// PerformanceBaseline is the mean over the first ten seconds from the first
// accepted request on.
type PerformanceBaseline struct {
	// Measured is false until the ten seconds are over.
	Measured bool
	// Throughput in bytes per second, RequestRate in accepted requests per second.
	Throughput, RequestRate float64
	// ThrottledShare from 0 to 1 of the completed requests.
	ThrottledShare float64
	// Latency is the mean over the requests of their workers' median attempts.
	Latency time.Duration
}

// GroupMetrics tell what a group's congestion controller does.
type GroupMetrics struct {
	Name  string
	State State
	// Window in requests in flight; Granted and Charged are what is given of it and
	// what workers may be using. Rate in requests per second, 0 for none.
	Window, Granted, Charged int
	Rate                     float64
	Learning                 bool
	// Throughput in bytes per second, Requests in accepted requests per second,
	// ThrottledShare from 0 to 1, Latency and InFlight are of the last round.
	Throughput, Requests, ThrottledShare float64
	Latency                              time.Duration
	InFlight                             int
	// Queue is the estimate of how many of the requests in flight waited.
	Queue float64
	// CongestionEvents counts cuts, Recoveries how often cuts did not help, ProbesWon
	// and ProbesLost the probes for more rate.
	CongestionEvents, Recoveries, ProbesWon, ProbesLost int64
	Profile                                             NetworkProfile
}

// metrics gathers what CoordinationMetrics report.
type metrics struct {
	CoordinationMetrics
	withheld, offered float64 // slot-seconds
	baseline          baselineSums
}

type baselineSums struct {
	from, to                              time.Time
	accepted, completed, throttled, bytes int64
	latency                               float64 // seconds times accepted requests
}

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
	if c.metrics.offered > 0 {
		m.Overhead = c.metrics.withheld / c.metrics.offered
	}
	m.Fairness = c.fairness()
	m.Baseline = c.metrics.baseline.result(now)
	if m.Baseline.Measured && m.Baseline.Throughput > 0 {
		m.Improvement = c.group.last.Bytes/m.Baseline.Throughput - 1
	}
	m.Groups = []GroupMetrics{c.groupMetrics()}
	return m
}

func (c *PipelineCoordinator) groupMetrics() GroupMetrics {
	g := c.group
	k := g.controller
	decision := k.decision("")
	granted, charged := c.grantedAndCharged()
	return GroupMetrics{
		Name: g.name, State: decision.State, Window: g.bound(), Rate: decision.Rate,
		Granted: granted, Charged: charged, Learning: g.learning,
		Throughput: g.last.Bytes, Requests: g.last.Accepted, ThrottledShare: g.last.throttledShare(),
		Latency: g.last.Latency, InFlight: g.last.InFlight, Queue: k.path.queue(k.inFlight(g.last)),
		CongestionEvents: k.events.cuts, Recoveries: k.events.recoveries,
		ProbesWon: k.events.probesWon, ProbesLost: k.events.probesLost,
		Profile: k.path.NetworkProfile,
	}
}

func (c *PipelineCoordinator) grantedAndCharged() (granted, charged int) {
	for _, w := range c.ordered {
		if w.transfer.coordinated() {
			granted += w.window()
			charged += w.lease.charge()
		}
	}
	return granted, charged
}

// tick integrates the overhead over the time since the tick before.
func (m *metrics) tick(c *PipelineCoordinator, now time.Time) {
	seconds := now.Sub(c.ticked).Seconds()
	if seconds <= 0 {
		return
	}
	granted, charged := c.grantedAndCharged()
	m.withheld += seconds * float64(max(0, charged-granted))
	m.offered += seconds * float64(c.group.bound())
}

// endRound measures how alike the workers used their slots.
func (m *metrics) endRound(c *PipelineCoordinator) {
	var sum, squares, n float64
	for _, w := range c.coordinatedWorkers() {
		if window := w.window(); window > 0 && !w.blocked {
			x := w.round.last.busy / float64(window)
			sum += x
			squares += x * x
			n++
		}
	}
	m.LoadBalance = jain(sum, squares, n)
}

// fairness is over the transfers with windows that were not short of work.
func (c *PipelineCoordinator) fairness() float64 {
	var sum, squares, n float64
	for _, t := range c.transfers {
		if !t.coordinated() || t.window == 0 {
			continue
		}
		x := 0.0
		for _, w := range t.workers {
			x += w.round.last.bytes
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

// count adds the growth of a worker's counters to the baseline.
func (m *metrics) count(now time.Time, growth PrefixCounters) {
	b := &m.baseline
	if b.from.IsZero() {
		// What this report counts was sent before.
		if growth.Accepted > 0 {
			b.from = now
		}
		return
	}
	if !now.After(b.from) || now.Sub(b.from) > baselinePeriod {
		return
	}
	b.to = now
	b.accepted += growth.Accepted
	b.completed += growth.Accepted + growth.Throttled + growth.Failed
	b.throttled += growth.Throttled
	b.bytes = saturate(b.bytes, growth.Bytes)
	b.latency += float64(growth.Accepted) * growth.latency().Seconds()
}

func (b *baselineSums) result(now time.Time) PerformanceBaseline {
	var p PerformanceBaseline
	if b.from.IsZero() || now.Sub(b.from) <= baselinePeriod {
		return p
	}
	seconds := max(b.to.Sub(b.from), time.Second).Seconds()
	p.Measured = true
	p.Throughput = float64(b.bytes) / seconds
	p.RequestRate = float64(b.accepted) / seconds
	if b.completed > 0 {
		p.ThrottledShare = float64(b.throttled) / float64(b.completed)
	}
	if b.accepted > 0 {
		p.Latency = time.Duration(b.latency / float64(b.accepted) * float64(time.Second))
	}
	return p
}
