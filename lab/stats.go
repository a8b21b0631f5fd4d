package lab

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/time/rate"
)

// Stats is what the lab has seen since it began or since Reset.
type Stats struct {
	Seconds float64 `json:"seconds"`
	// Total sums the partitions; its quantiles are over all requests.
	Total PartitionStats `json:"total"`
	// Partitions are sorted by name.
	Partitions []PartitionStats `json:"partitions"`
	// Operations counts requests by their S3 names, Faults those that a fault struck.
	Operations map[string]int64    `json:"operations"`
	Faults     map[FaultKind]int64 `json:"faults"`
	// Changes counts changes of the conditions, by schedule or by Set.
	Changes int `json:"changes"`
}

// PartitionStats is what one partition has seen.
type PartitionStats struct {
	// Name is the text that the partition's pattern matched.
	Name string `json:"name"`
	// Requests counts all, Throttled those answered 503 SlowDown, Failed other answers
	// from 400 up, and Lost those that were cut off without an answer.
	Requests  int64 `json:"requests"`
	Throttled int64 `json:"throttled"`
	Failed    int64 `json:"failed"`
	Lost      int64 `json:"lost"`
	// BytesIn and BytesOut count bodies, without headers.
	BytesIn  int64 `json:"bytesIn"`
	BytesOut int64 `json:"bytesOut"`
	// DataBytesIn counts the bodies of PutObject and UploadPart alone.
	DataBytesIn int64 `json:"dataBytesIn"`
	// AcceptedBytesIn counts those of them that the server has accepted.
	AcceptedBytesIn int64 `json:"acceptedBytesIn"`
	InFlight        int64 `json:"inFlight"`
	MostInFlight    int64 `json:"mostInFlight"`
	// OpenUploads counts multipart uploads neither completed nor aborted.
	OpenUploads int `json:"openUploads"`
	// P50 and P99, in seconds, of the time from the end of a request to the headers of
	// its answer, where the request was passed on.
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	// StoredP50 and StoredP99, in seconds, of the time from the first request to store
	// an object or a part to the acceptance of one: throttled attempts in between count.
	StoredP50 float64 `json:"storedP50"`
	StoredP99 float64 `json:"storedP99"`
}

const (
	// maxPartitions bounds the memory that keys of a client's choice can take.
	maxPartitions = 1000
	// maxWaiting bounds that for the objects and parts that are not stored yet.
	maxWaiting = 100_000
	// others is the partition of what comes beyond.
	others = "(others)"
	// Latencies are kept in microseconds, to two digits, up to ten minutes.
	slowestLatency = int64(10 * time.Minute / time.Microsecond)
	latencyDigits  = 2
)

// ledger polices partitions and counts what they see.
type ledger struct {
	mu         sync.Mutex
	begun      time.Time
	rules      []rule
	partitions map[string]*partition
	operations map[string]int64
	faults     map[FaultKind]int64
	uploads    map[string]string    // partition by upload ID
	waiting    map[string]time.Time // since when objects and parts want to be stored
	changes    int
}

type rule struct {
	pattern
	Partition
}

type partition struct {
	PartitionStats
	limiter   *rate.Limiter
	latencies *hdrhistogram.Histogram
	stored    *hdrhistogram.Histogram
}

func newLedger() *ledger {
	l := &ledger{uploads: map[string]string{}, waiting: map[string]time.Time{}}
	l.start()
	return l
}

// reset begins anew, and returns what has been seen until then.
func (l *ledger) reset() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.snapshot()
	l.start()
	return seen
}

// start begins to count. Requests in flight and open uploads stay counted.
func (l *ledger) start() {
	old := l.partitions
	l.begun, l.changes = time.Now(), 0
	l.partitions, l.operations, l.faults = map[string]*partition{}, map[string]int64{}, map[FaultKind]int64{}
	for name, p := range old {
		fresh := newPartition(name)
		fresh.limiter, fresh.InFlight, fresh.MostInFlight = p.limiter, p.InFlight, p.InFlight
		l.partitions[name] = fresh
	}
}

func newPartition(name string) *partition {
	return &partition{
		PartitionStats: PartitionStats{Name: name},
		limiter:        rate.NewLimiter(rate.Inf, 0),
		latencies:      hdrhistogram.New(1, slowestLatency, latencyDigits),
		stored:         hdrhistogram.New(1, slowestLatency, latencyDigits),
	}
}

// police sets the rules for requests to come.
func (l *ledger) police(partitions []Partition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules = nil
	for _, p := range partitions {
		l.rules = append(l.rules, rule{newPattern(p.Keys), p})
	}
}

// change counts a change of conditions.
func (l *ledger) change() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes++
}

// begin counts a request and says which partition it belongs to, and whether that may
// serve it.
func (l *ledger) begin(t target) (name string, admitted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.operations[t.operation]++
	p := l.find(t.key)
	p.Requests++
	p.InFlight++
	p.MostInFlight = max(p.MostInFlight, p.InFlight)
	if _, known := l.waiting[t.data()]; t.stores() && !known && len(l.waiting) < maxWaiting {
		l.waiting[t.data()] = time.Now()
	}
	if !p.limiter.Allow() {
		p.Throttled++
		return p.Name, false
	}
	return p.Name, true
}

// find returns the partition of a key under the rules in force.
func (l *ledger) find(key string) *partition {
	name, limit, burst := "", rate.Inf, 0
	for _, r := range l.rules {
		if text, ok := r.match(key); ok {
			name, limit, burst = text, rate.Limit(r.RequestsPerSecond), r.burst()
			break
		}
	}
	p := l.partitions[name]
	if p == nil {
		if len(l.partitions) >= maxPartitions {
			name = others
		}
		if p = l.partitions[name]; p == nil {
			p = newPartition(name)
			p.limiter = rate.NewLimiter(limit, burst)
			l.partitions[name] = p
		}
	}
	if p.limiter.Limit() != limit || p.limiter.Burst() != burst {
		p.limiter.SetLimit(limit)
		p.limiter.SetBurst(burst)
	}
	return p
}

// burst is a tenth of a second's requests unless given.
func (r rule) burst() int {
	if r.Burst > 0 {
		return r.Burst
	}
	return max(int(r.RequestsPerSecond/10), 1)
}

// exchange is what one request came to.
type exchange struct {
	target
	status            int
	in, out           int64
	latency           time.Duration // 0 when it was not passed on
	throttled, passed bool
	// created is the upload that the server has opened.
	created string
}

func (l *ledger) end(name string, x exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partitions[name]
	p.InFlight--
	p.BytesIn += x.in
	p.BytesOut += x.out
	if x.stores() {
		p.DataBytesIn += x.in
		if x.passed {
			p.AcceptedBytesIn += x.in
			l.store(p, x.target)
		}
	}
	switch {
	case x.status == 0:
		p.Lost++
	case x.throttled:
	case x.status >= 400:
		p.Failed++
	}
	if x.latency > 0 {
		record(p.latencies, x.latency)
	}
	if x.created != "" {
		l.uploads[x.created] = name
	}
	if x.passed && (x.operation == opCompleteUpload || x.operation == opAbortUpload) {
		delete(l.uploads, x.uploadID)
	}
}

// store records how long an object or a part has wanted to be stored.
func (l *ledger) store(p *partition, t target) {
	if since, ok := l.waiting[t.data()]; ok {
		record(p.stored, time.Since(since))
		delete(l.waiting, t.data())
	}
}

// record counts a latency; one beyond the range counts as its end.
func record(in *hdrhistogram.Histogram, d time.Duration) {
	_ = in.RecordValue(min(max(d.Microseconds(), 1), slowestLatency))
}

// throttle counts a 503 that a fault has made.
func (l *ledger) throttle(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partitions[name].Throttled++
}

func (l *ledger) strike(kind FaultKind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults[kind]++
}

func (l *ledger) stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.snapshot()
}

func (l *ledger) snapshot() Stats {
	s := Stats{
		Seconds:    time.Since(l.begun).Seconds(),
		Operations: maps.Clone(l.operations), Faults: maps.Clone(l.faults), Changes: l.changes,
	}
	open := map[string]int{}
	for _, name := range l.uploads {
		open[name]++
	}
	all := newPartition("")
	for name, p := range l.partitions {
		p.OpenUploads = open[name]
		s.Partitions = append(s.Partitions, p.snapshot())
		all.add(p)
	}
	slices.SortFunc(s.Partitions, func(a, b PartitionStats) int { return cmp.Compare(a.Name, b.Name) })
	s.Total = all.snapshot()
	return s
}

func (p *partition) snapshot() PartitionStats {
	s := p.PartitionStats
	s.P50 = float64(p.latencies.ValueAtQuantile(50)) / 1e6
	s.P99 = float64(p.latencies.ValueAtQuantile(99)) / 1e6
	s.StoredP50 = float64(p.stored.ValueAtQuantile(50)) / 1e6
	s.StoredP99 = float64(p.stored.ValueAtQuantile(99)) / 1e6
	return s
}

// add sums counters; the most in flight of all is at least that of each.
func (p *partition) add(o *partition) {
	p.Requests += o.Requests
	p.Throttled += o.Throttled
	p.Failed += o.Failed
	p.Lost += o.Lost
	p.BytesIn += o.BytesIn
	p.BytesOut += o.BytesOut
	p.DataBytesIn += o.DataBytesIn
	p.AcceptedBytesIn += o.AcceptedBytesIn
	p.InFlight += o.InFlight
	p.MostInFlight = max(p.MostInFlight, o.MostInFlight)
	p.OpenUploads += o.OpenUploads
	p.latencies.Merge(o.latencies)
	p.stored.Merge(o.stored)
}
