package sim

import (
	"fmt"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/pace"
	"cargoship.dev/operator/internal/sim/baseline"
)

// meter counts the requests of one prefix as internal/upload's does.
type meter struct {
	total         protocol.PrefixCounters
	used          bool
	inFlight      int
	maxInFlight   int
	startedBefore int64
	limitedBy     protocol.Bottleneck // in the interval of the last report
	fresh         durations
	shown         []durations // by reports that may not have been read, oldest first
	spare         []durations // empty ones
	withdrawn     []*attempt
}

// durations of the requests that ended between two reports, when a report showed
// them, and how long that had to stand to be read.
type durations struct {
	attempt, service *sketch
	at, stands       time.Duration
}

func (d durations) reset() {
	d.attempt.reset()
	d.service.reset()
}

// begin counts a request that starts under the limits of a grant.
func (m *meter) begin(grant protocol.GrantID) {
	m.used = true
	m.turn(grant)
	m.total.Started++
	m.total.Newest.Started++
	m.inFlight++
	m.maxInFlight = max(m.maxInFlight, m.inFlight)
}

// turn begins the sample of a grant with other limits.
func (m *meter) turn(grant protocol.GrantID) {
	if m.total.Newest.Grant != grant {
		m.total.Newest, m.total.Before = protocol.Sample{Grant: grant}, m.total.Newest
	}
}

// sample finds that of a grant; of one before both it is counted nowhere.
func (m *meter) sample(grant protocol.GrantID) *protocol.Sample {
	for _, s := range []*protocol.Sample{&m.total.Newest, &m.total.Before} {
		if s.Grant == grant {
			return s
		}
	}
	return &protocol.Sample{}
}

// end counts a request that had started under the limits of a grant.
func (m *meter) end(grant protocol.GrantID, took time.Duration, r *request) {
	m.inFlight--
	m.total.Busy += took
	sample := m.sample(grant)
	switch r.outcome {
	case baseline.Accepted:
		m.total.Accepted++
		sample.Accepted++
		m.total.Bytes += int64(r.size)
		m.fresh.attempt.add(took)
		m.fresh.service.add(r.served)
	case baseline.Throttled:
		m.total.Throttled++
		sample.Throttled++
	default:
		m.total.Failed++
		sample.Failed++
	}
}

// usedShare of a window or rate in use makes it what limits the sender.
const usedShare = 0.8

// snapshot gives the counters, and begins a new interval.
func (m *meter) snapshot(prefix string, limits pace.Limit, elapsed time.Duration) protocol.PrefixCounters {
	c := m.total
	c.Prefix = prefix
	c.MaxInFlight = m.maxInFlight
	started := float64(c.Started - m.startedBefore)
	windowUsed := float64(m.maxInFlight) >= usedShare*float64(limits.Window)
	rateUsed := limits.Rate > 0 && started >= usedShare*limits.Rate*elapsed.Seconds()
	switch {
	case windowUsed:
		m.limitedBy = protocol.ByWindow
	case rateUsed:
		m.limitedBy = protocol.ByRate
	default:
		m.limitedBy = protocol.BySource
	}
	c.SenderLimited = m.limitedBy == protocol.BySource
	m.maxInFlight, m.startedBefore = m.inFlight, c.Started
	return c
}

// measure sets the quantiles, also of what reports that may not have been read showed,
// and begins a new interval.
func (m *meter) measure(c *protocol.PrefixCounters, now, stands time.Duration) {
	for len(m.shown) > 0 && now-m.shown[0].at >= min(m.shown[0].stands, stands) {
		m.shown[0].reset()
		m.spare, m.shown = append(m.spare, m.shown[0]), m.shown[1:]
	}
	m.fresh.at, m.fresh.stands = now, stands
	m.shown = append(m.shown, m.fresh)
	all := m.take()
	for _, d := range m.shown {
		all.attempt.merge(d.attempt)
		all.service.merge(d.service)
	}
	c.AttemptP50 = all.attempt.quantile(0.5)
	c.ServiceP50, c.ServiceP99 = all.service.quantile(0.5), all.service.quantile(0.99)
	all.reset()
	m.fresh = all
}

// take gives empty durations.
func (m *meter) take() durations {
	if last := len(m.spare) - 1; last >= 0 {
		d := m.spare[last]
		m.spare = m.spare[:last]
		return d
	}
	return durations{attempt: newSketch(), service: newSketch()}
}

// interval gives the time between reports, as the agent's.
func (x *worker) interval() time.Duration {
	interval := x.reportInterval()
	interval -= time.Duration(x.random.Int64N(int64(interval)/10 + 1))
	return time.Duration(float64(interval) / (1 + x.drift))
}

// reportInterval is that of the grant, or until one says it the first.
func (x *worker) reportInterval() time.Duration {
	if x.grant.ReportInterval > 0 {
		return x.grant.ReportInterval
	}
	return protocol.FirstInterval
}

// report sends the next report, and sets when the one after it is due.
func (x *worker) report() {
	x.eager = false
	if x.fleet.api.server != nil {
		x.agent.report(x.nextReport())
		return
	}
	x.fleet.set(&x.reporting, x.fleet.now+x.interval())
	r := x.nextReport()
	x.fleet.api.putReport(x, r)
	if r.Drained {
		x.conclude()
	}
}

// farewell is how long the last report is tried for.
const farewell = 10 * time.Second

// conclude ends the process once its last report stands.
func (x *worker) conclude() {
	f := x.fleet
	if x.drained == 0 {
		x.drained = f.now
	}
	if f.api.reports[x.id].Drained || f.now-x.drained > farewell {
		x.end()
		x.dead = true
		f.manager.gone = append(f.manager.gone, x.id)
		return
	}
	x.hurry()
}

func (x *worker) nextReport() protocol.Report {
	if x.obeys() {
		x.obeyed = x.grant.ID()
	}
	now := x.fleet.now
	r := protocol.Report{
		Worker: x.id, Transfer: protocol.TransferID(x.work.spec.Name),
		Instance: fmt.Sprint(x.instance), Sequence: x.lease.send(x.clock()),
		Uptime: x.clock() - x.began, Epoch: x.obeyed.Epoch, GrantSequence: x.obeyed.Sequence,
		MaxInFlight: x.group.MaxInFlight,
		Drained:     x.grant.Drain && x.attempts == 0,
	}
	held := x.policy.held()
	for _, l := range x.prefixes {
		if l != nil && l.meter.used {
			l.meter.turn(x.limited)
			c := l.meter.snapshot(l.prefix.name, l.law.Limit(x.fleet.time(now)), now-x.lastReport)
			l.meter.measure(&c, now, x.reportInterval()*4/5)
			if held {
				c.SenderLimited, c.PolicyLimited = false, true
				l.meter.limitedBy = protocol.ByPolicy
			}
			r.Prefixes = append(r.Prefixes, c)
		}
	}
	x.steer(r.Prefixes)
	x.lastReport = now
	x.embellish(&r)
	for i := range x.finished {
		f := &x.finished[i]
		if x.obeyed.Before(f.begun) {
			continue // the manager would take it for the outcome of an earlier attempt
		}
		if f.report == 0 {
			f.report = r.Sequence
		}
		r.Finished = append(r.Finished, f.outcome)
	}
	return r
}

// obeys says that nothing is in flight any more that the newest grant withdrew.
func (x *worker) obeys() bool {
	for _, l := range x.prefixes {
		if l != nil && (l.meter.inFlight > l.limits.Window || len(l.meter.withdrawn) > 0) {
			return false
		}
	}
	return true
}

// steer takes in the latency of the interval that a report tells of.
func (x *worker) steer(prefixes []protocol.PrefixCounters) {
	var sum, weight float64
	for _, p := range prefixes {
		sum += p.AttemptP50.Seconds() * float64(p.Newest.Accepted)
		weight += float64(p.Newest.Accepted)
	}
	var latency time.Duration
	if weight > 0 {
		latency = time.Duration(sum / weight * float64(time.Second))
	}
	if !x.lease.coasts(x.clock()) {
		x.coast.Steered(latency, x.grant.CoastingWindow > 0)
		return
	}
	x.coast.Alone(latency)
	x.setLimits(false)
	x.pump()
}
