package upload

import (
	"slices"
	"strings"
	"sync"
	"time"

	"cargoship.dev/operator/internal/s3"
)

// PrefixStats are the counters of one prefix since the Meter was made, and the
// measurements of the interval since the Snapshot before. Of those the durations
// may reach further back: see Snapshot.
type PrefixStats struct {
	Prefix string
	// Started counts requests begun; each ends as Accepted, Throttled or Failed.
	Started, Accepted, Throttled, Failed int64
	// Hedged counts those of Started that were the second attempt at a request that was late.
	Hedged int64
	// Bytes counts the payload of accepted requests.
	Bytes int64
	// Busy sums the duration of all requests that ended.
	Busy time.Duration

	// MaxInFlight is the most requests in flight at once during the interval.
	MaxInFlight int
	// AttemptP50 is the median duration of an accepted request that carried data.
	AttemptP50 time.Duration
	// ServiceP50 and ServiceP99 are quantiles of the time from the last byte
	// of the request to the first of the answer, of the same requests.
	ServiceP50, ServiceP99 time.Duration
	// Measured counts the requests behind the quantiles; with 0 they are 0.
	Measured int64
	// LimitedBy is what kept the sender from more during the interval.
	LimitedBy Bottleneck

	// Newest and Before count, of all these requests, those that started under the limits
	// in force, and under the ones before.
	Newest, Before Sample
}

// Sample counts the requests that started under the limits of one grant.
type Sample struct {
	Grant                                Grant
	Started, Accepted, Throttled, Failed int64
}

// Bottleneck is what limits a sender.
type Bottleneck string

const (
	// BySource: fewer than 0.8 of the window were in flight and fewer than 0.8 of the
	// rate started, so there was too little to send.
	BySource Bottleneck = "Source"
	// ByWindow: the window was in use, whatever the rate.
	ByWindow Bottleneck = "Window"
	// ByRate: requests were paced, and the window was not in use.
	ByRate Bottleneck = "Rate"
	// ByPolicy: what was to be sent waited most of the time for the pace that a policy sets.
	ByPolicy Bottleneck = "Policy"
)

// Meter counts requests by prefix. It is safe for concurrent use.
type Meter struct {
	gate *Gate

	mu       sync.Mutex
	since    time.Time
	prefixes map[string]*prefixMeter
}

// NewMeter returns a meter that compares with the limits of gate.
func NewMeter(gate *Gate) *Meter {
	return &Meter{gate: gate, since: time.Now(), prefixes: map[string]*prefixMeter{}}
}

// Snapshot returns the stats of every prefix that was ever sent to, by name, and
// begins a new interval. What one says of durations is said again by the next until
// it has been kept for as long as that takes to be read, by the period given then or
// now: otherwise the median of the few requests that ended last could pass for that of all.
func (m *Meter) Snapshot(keep time.Duration) []PrefixStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	elapsed := now.Sub(m.since)
	m.since = now
	grant, paced := m.gate.grant(), m.gate.paceLimits()
	stats := make([]PrefixStats, 0, len(m.prefixes))
	for prefix, p := range m.prefixes {
		p.turn(grant)
		window, rate := m.gate.limit(prefix)
		s := p.snapshot(prefix, window, rate, elapsed)
		if paced {
			s.LimitedBy = ByPolicy
		}
		p.measure(&s, now, keep)
		stats = append(stats, s)
	}
	slices.SortFunc(stats, func(a, b PrefixStats) int { return strings.Compare(a.Prefix, b.Prefix) })
	return stats
}

// prefixMeter counts the requests of one prefix. The meter's mutex guards it.
type prefixMeter struct {
	// total holds the cumulative counters only.
	total         PrefixStats
	inFlight      int
	maxInFlight   int
	startedBefore int64
	rateBefore    float64
	fresh         durations
	shown         []durations // by snapshots that may not have been read, oldest first
}

// durations of the requests that ended in one interval, when a snapshot showed them,
// and how long that had to be kept to be read.
type durations struct {
	attempt, service histogram
	at               time.Time
	kept             time.Duration
}

// maxShown bounds the memory of a prefix; the newest intervals become one.
const maxShown = 8

// The share of a window or rate below which it is not what limits the sender.
const usedShare = 0.8

func (p *prefixMeter) snapshot(prefix string, window int, rate float64, elapsed time.Duration) PrefixStats {
	s := p.total
	s.Prefix = prefix
	s.MaxInFlight = p.maxInFlight
	started := float64(s.Started - p.startedBefore)
	windowUsed := float64(p.maxInFlight) >= usedShare*float64(window)
	// A cut may have grown back within the interval.
	lowest := rate
	if p.rateBefore > 0 {
		lowest = min(rate, p.rateBefore)
	}
	rateUsed := rate > 0 && started >= usedShare*lowest*elapsed.Seconds()
	switch {
	case windowUsed:
		s.LimitedBy = ByWindow
	case rateUsed:
		s.LimitedBy = ByRate
	default:
		s.LimitedBy = BySource
	}
	p.maxInFlight, p.startedBefore, p.rateBefore = p.inFlight, s.Started, rate
	return s
}

// measure sets the quantiles and begins a new interval.
func (p *prefixMeter) measure(s *PrefixStats, now time.Time, keep time.Duration) {
	p.shown = slices.DeleteFunc(p.shown, func(d durations) bool { return now.Sub(d.at) >= min(d.kept, keep) })
	all := newDurations()
	all.merge(p.fresh)
	for _, d := range p.shown {
		all.merge(d)
	}
	s.Measured = all.attempt.count()
	s.AttemptP50 = all.attempt.quantile(0.5)
	s.ServiceP50, s.ServiceP99 = all.service.quantile(0.5), all.service.quantile(0.99)
	switch last := len(p.shown) - 1; {
	case p.fresh.attempt.count() == 0:
	case len(p.shown) < maxShown:
		p.fresh.at, p.fresh.kept = now, keep
		p.shown = append(p.shown, p.fresh)
	default:
		p.shown[last].merge(p.fresh)
		p.shown[last].at, p.shown[last].kept = now, keep
	}
	p.fresh = newDurations()
}

func newDurations() durations { return durations{attempt: newHistogram(), service: newHistogram()} }

func (d durations) merge(e durations) {
	d.attempt.merge(e.attempt)
	d.service.merge(e.service)
}

// turn begins the sample of a grant with other limits than the newest.
func (p *prefixMeter) turn(grant Grant) {
	if p.total.Newest.Grant.before(grant) {
		p.total.Newest, p.total.Before = Sample{Grant: grant}, p.total.Newest
	}
}

// sample finds that of a grant; what belongs to neither counts nowhere.
func (p *prefixMeter) sample(grant Grant) *Sample {
	switch grant {
	case p.total.Newest.Grant:
		return &p.total.Newest
	case p.total.Before.Grant:
		return &p.total.Before
	}
	return &Sample{}
}

// measurement is one request being measured.
type measurement struct {
	meter  *Meter
	prefix *prefixMeter
	grant  Grant
	begun  time.Time
}

// begin counts a request on the prefix as started, under the limits of a grant.
func (m *Meter) begin(prefix string, grant Grant) measurement {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.prefixes[prefix]
	if p == nil {
		p = &prefixMeter{fresh: newDurations()}
		m.prefixes[prefix] = p
	}
	p.turn(grant)
	p.total.Started++
	p.sample(grant).Started++
	p.inFlight++
	p.maxInFlight = max(p.maxInFlight, p.inFlight)
	return measurement{meter: m, prefix: p, grant: grant, begun: time.Now()}
}

// accepted ends a request that carried bytes of data; service is 0 when it was not
// measured. Requests without data have another service time and are only counted.
func (r measurement) accepted(bytes int64, service time.Duration, data bool) {
	r.end(func(took time.Duration, of *Sample) {
		r.prefix.total.Accepted++
		of.Accepted++
		r.prefix.total.Bytes += bytes
		if data {
			r.prefix.fresh.attempt.add(took)
		}
		if data && service > 0 {
			r.prefix.fresh.service.add(service)
		}
	})
}

// answer is a request whose answer has begun.
type answer struct {
	measurement
	after time.Duration
}

// answered takes the time until a response begins. For reads this is the latency: how long
// the rest takes depends on how much was asked for and how fast it is consumed.
func (r measurement) answered() answer { return answer{r, time.Since(r.begun)} }

// read ends a request whose answer was read.
func (a answer) read(bytes int64) {
	a.end(func(_ time.Duration, of *Sample) {
		a.prefix.total.Accepted++
		of.Accepted++
		a.prefix.total.Bytes += bytes
		a.prefix.fresh.attempt.add(a.after)
		a.prefix.fresh.service.add(a.after)
	})
}

// failed ends a request that did not succeed. It stays out of the latencies: errors are
// faster, and timeouts slower, than successful requests.
func (r measurement) failed(class s3.Class) {
	r.end(func(_ time.Duration, of *Sample) {
		if class == s3.Throttled {
			r.prefix.total.Throttled++
			of.Throttled++
		} else {
			r.prefix.total.Failed++
			of.Failed++
		}
	})
}

// overtaken ends a request that was cut off since the same was answered to another. It is no
// failure: the server had not rejected it. It carried nothing, and its time would tell of less
// than it takes.
func (r measurement) overtaken() {
	r.end(func(_ time.Duration, of *Sample) {
		r.prefix.total.Accepted++
		of.Accepted++
	})
}

// hedged counts a second attempt on the prefix, on which the first has begun.
func (m *Meter) hedged(prefix string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.prefixes[prefix].total.Hedged++
}

// Hedges counts all second attempts.
func (m *Meter) Hedges() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.prefixes {
		n += p.total.Hedged
	}
	return n
}

func (r measurement) end(count func(took time.Duration, of *Sample)) {
	r.meter.mu.Lock()
	defer r.meter.mu.Unlock()
	took := time.Since(r.begun)
	r.prefix.inFlight--
	r.prefix.total.Busy += took
	count(took, r.prefix.sample(r.grant))
}
