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
)

// Meter counts requests by prefix. It is safe for concurrent use.
type Meter struct {
	gate *Gate

	mu    sync.Mutex
	since time.Time
	lanes map[string]*laneMeter
}

// NewMeter returns a meter that compares with the limits of gate.
func NewMeter(gate *Gate) *Meter {
	return &Meter{gate: gate, since: time.Now(), lanes: map[string]*laneMeter{}}
}

// Snapshot returns the stats of every prefix that was ever sent to, by name, and
// begins a new interval. What one says of durations is said again by the next until
// it is so old that it was surely read, by the stands given then or now: else the
// median of the few requests that ended last could pass for that of all since.
func (m *Meter) Snapshot(stands time.Duration) []PrefixStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	elapsed := now.Sub(m.since)
	m.since = now
	grant := m.gate.grant()
	stats := make([]PrefixStats, 0, len(m.lanes))
	for prefix, l := range m.lanes {
		l.turn(grant)
		window, rate := m.gate.limit(prefix)
		s := l.snapshot(prefix, window, rate, elapsed)
		l.measure(&s, now, stands)
		stats = append(stats, s)
	}
	slices.SortFunc(stats, func(a, b PrefixStats) int { return strings.Compare(a.Prefix, b.Prefix) })
	return stats
}

// laneMeter counts the requests of one prefix. The meter's mutex guards it.
type laneMeter struct {
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
// and how long that had to stand to be read.
type durations struct {
	attempt, service histogram
	at               time.Time
	stands           time.Duration
}

// maxShown bounds the memory of a lane; the newest intervals become one.
const maxShown = 8

// The share of a window or rate below which it is not what limits the sender.
const usedShare = 0.8

func (l *laneMeter) snapshot(prefix string, window int, rate float64, elapsed time.Duration) PrefixStats {
	s := l.total
	s.Prefix = prefix
	s.MaxInFlight = l.maxInFlight
	started := float64(s.Started - l.startedBefore)
	windowUsed := float64(l.maxInFlight) >= usedShare*float64(window)
	// A cut may have grown back within the interval.
	lowest := rate
	if l.rateBefore > 0 {
		lowest = min(rate, l.rateBefore)
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
	l.maxInFlight, l.startedBefore, l.rateBefore = l.inFlight, s.Started, rate
	return s
}

// measure sets the quantiles and begins a new interval.
func (l *laneMeter) measure(s *PrefixStats, now time.Time, stands time.Duration) {
	l.shown = slices.DeleteFunc(l.shown, func(d durations) bool { return now.Sub(d.at) >= min(d.stands, stands) })
	all := l.fresh
	for i := range l.shown {
		all.merge(&l.shown[i])
	}
	s.Measured = all.attempt.total
	s.AttemptP50 = all.attempt.quantile(0.5)
	s.ServiceP50, s.ServiceP99 = all.service.quantile(0.5), all.service.quantile(0.99)
	switch last := len(l.shown) - 1; {
	case l.fresh.attempt.total == 0:
	case len(l.shown) < maxShown:
		l.fresh.at, l.fresh.stands = now, stands
		l.shown = append(l.shown, l.fresh)
	default:
		l.shown[last].merge(&l.fresh)
		l.shown[last].at, l.shown[last].stands = now, stands
	}
	l.fresh = durations{}
}

func (d *durations) merge(e *durations) {
	d.attempt.merge(&e.attempt)
	d.service.merge(&e.service)
}

// turn begins the sample of a grant with other limits than the newest.
func (l *laneMeter) turn(grant Grant) {
	if l.total.Newest.Grant.before(grant) {
		l.total.Newest, l.total.Before = Sample{Grant: grant}, l.total.Newest
	}
}

// sample finds that of a grant; what belongs to neither counts nowhere.
func (l *laneMeter) sample(grant Grant) *Sample {
	switch grant {
	case l.total.Newest.Grant:
		return &l.total.Newest
	case l.total.Before.Grant:
		return &l.total.Before
	}
	return &Sample{}
}

// measurement is one request being measured.
type measurement struct {
	meter *Meter
	lane  *laneMeter
	grant Grant
	begun time.Time
}

// begin counts a request on the prefix as started, under the limits of a grant.
func (m *Meter) begin(prefix string, grant Grant) measurement {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lanes[prefix]
	if l == nil {
		l = &laneMeter{}
		m.lanes[prefix] = l
	}
	l.turn(grant)
	l.total.Started++
	l.sample(grant).Started++
	l.inFlight++
	l.maxInFlight = max(l.maxInFlight, l.inFlight)
	return measurement{meter: m, lane: l, grant: grant, begun: time.Now()}
}

// accepted ends a request that carried bytes of data; service is 0 when it was not
// measured. Requests without data have another service time and are only counted.
func (r measurement) accepted(bytes int64, service time.Duration, data bool) {
	r.end(func(took time.Duration, of *Sample) {
		r.lane.total.Accepted++
		of.Accepted++
		r.lane.total.Bytes += bytes
		if data {
			r.lane.fresh.attempt.add(took)
		}
		if data && service > 0 {
			r.lane.fresh.service.add(service)
		}
	})
}

// answer is a request whose answer has begun.
type answer struct {
	measurement
	after time.Duration
}

// answered takes the time until an answer begins. For one who reads it is the latency: how
// long the rest takes is a matter of how much was asked for, and of who takes it in.
func (r measurement) answered() answer { return answer{r, time.Since(r.begun)} }

// read ends a request whose answer was read.
func (a answer) read(bytes int64) {
	a.end(func(_ time.Duration, of *Sample) {
		a.lane.total.Accepted++
		of.Accepted++
		a.lane.total.Bytes += bytes
		a.lane.fresh.attempt.add(a.after)
		a.lane.fresh.service.add(a.after)
	})
}

// refused ends a request that did not succeed. It stays out of the latencies:
// rejections are answered faster, and time-outs slower, than work.
func (r measurement) refused(class s3.Class) {
	r.end(func(_ time.Duration, of *Sample) {
		if class == s3.Throttled {
			r.lane.total.Throttled++
			of.Throttled++
		} else {
			r.lane.total.Failed++
			of.Failed++
		}
	})
}

func (r measurement) end(count func(took time.Duration, of *Sample)) {
	r.meter.mu.Lock()
	defer r.meter.mu.Unlock()
	took := time.Since(r.begun)
	r.lane.inFlight--
	r.lane.total.Busy += took
	count(took, r.lane.sample(r.grant))
}
