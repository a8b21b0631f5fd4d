package metrics

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

const namespace = "cargoship"

// Metrics are the manager's metrics. Labels are bounded by the number of
// transfers and domains that exist, and of prefixes that hold windows.
type Metrics struct {
	bytes, files            *prometheus.GaugeVec
	throughput              *prometheus.GaugeVec
	window, rate, throttled *prometheus.GaugeVec
	service                 *prometheus.GaugeVec
	workers                 *prometheus.GaugeVec
	condition, state, limit *prometheus.GaugeVec
	failures, reportAge     *prometheus.GaugeVec
	requests, sent          *prometheus.CounterVec
	transitions             *prometheus.CounterVec
	ignored                 *prometheus.CounterVec
	writes                  *prometheus.CounterVec
	parked                  *prometheus.GaugeVec
	decide, tick            *prometheus.HistogramVec
	domain                  []domainGauge

	mu           sync.Mutex
	domainCounts []domainCounter
}

// domainGauge shows one figure of a domain's coordination; nil is one not measured yet.
type domainGauge struct {
	*prometheus.GaugeVec
	value func(*v1alpha1.CoordinationMetrics) *float64
}

// domainCounter counts on what a domain's coordination has counted since its manager took
// control.
type domainCounter struct {
	*prometheus.CounterVec
	value func(*v1alpha1.CoordinationMetrics) *int64
	// seen is the count that has been added already, by domain.
	seen map[string]int64
}

// countOn adds what has been counted since the last call. A lower count has begun anew.
func (c domainCounter) countOn(domain string, count int64) {
	if count < c.seen[domain] {
		c.seen[domain] = 0
	}
	c.WithLabelValues(domain).Add(float64(count - c.seen[domain]))
	c.seen[domain] = count
}

// New creates the metrics and registers them.
func New(r prometheus.Registerer) (*Metrics, error) {
	transfer := []string{"namespace", "transfer", "uid"}
	outcome := append([]string{"outcome"}, transfer...)
	prefix := append([]string{"prefix"}, transfer...)
	m := &Metrics{
		bytes:       gauge("transfer_bytes", "Bytes of a transfer by outcome: planned, done, failed or skipped.", outcome),
		files:       gauge("transfer_files", "Files of a transfer by outcome: planned, done, failed or skipped.", outcome),
		throughput:  gauge("transfer_throughput_bytes_per_second", "Current throughput of a transfer, summed over its workers.", transfer),
		window:      gauge("prefix_window_requests", "Window granted on a prefix, in requests in flight, summed over all workers.", prefix),
		rate:        gauge("prefix_rate_requests_per_second", "Paced rate granted on a prefix, summed over all workers; 0 if unpaced.", prefix),
		throttled:   gauge("prefix_throttled_ratio", "Fraction of recent requests on a prefix that were throttled.", prefix),
		service:     gauge("prefix_service_seconds", "Service time of requests on a prefix, by quantile.", append([]string{"quantile"}, prefix...)),
		workers:     gauge("transfer_workers", "Workers of a transfer by state: desired, leased, blocked or failed.", append([]string{"state"}, transfer...)),
		condition:   gauge("transfer_condition", "Conditions of a transfer: 1 if true, 0 otherwise.", append([]string{"condition"}, transfer...)),
		state:       gauge("transfer_congestion_state", "1 for the current congestion control state of a transfer's first prefix; other states are absent.", append([]string{"state"}, transfer...)),
		limit:       gauge("transfer_limited_by", "1 for what limits a transfer now, as in status.coordination.limitedBy; others are absent.", append([]string{"limit"}, transfer...)),
		failures:    gauge("transfer_failed_archives", "Archives with failed files, by reason: those listed in the status, 32 at most.", append([]string{"reason"}, transfer...)),
		reportAge:   gauge("lease_report_age_seconds", "Age of the oldest last report among a transfer's workers.", transfer),
		requests:    counter("prefix_requests_total", "Requests reported by workers on a prefix, by outcome: accepted, throttled or failed.", append([]string{"outcome"}, prefix...)),
		sent:        counter("prefix_sent_bytes_total", "Payload of the accepted requests reported by workers on a prefix.", prefix),
		transitions: counter("congestion_transitions_total", "State changes of a domain's congestion controller.", []string{"domain", "from", "to", "cause"}),
		ignored:     counter("reports_ignored_total", "Reports ignored because they were impossible, or named what the worker was not granted.", []string{"domain"}),
		writes:      counter("api_writes_total", "Writes of the coordinator to the API server, by kind of object.", []string{"kind"}),
		parked:      gauge("parked_transfers", "Transfers whose coordination failed and will be retried, by domain.", []string{"domain"}),
		decide: histogram("coordinator_decide_seconds",
			"Time to process reports and decide, by domain.", []string{"domain"}),
		tick: histogram("coordinator_tick_seconds", "Duration of a whole tick, including API writes, by domain.", []string{"domain"}),
	}
	m.domain, m.domainCounts = domainGauges(), domainCounters()
	for _, g := range m.domain {
		if err := r.Register(g); err != nil {
			return nil, err
		}
	}
	for _, c := range m.domainCounts {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	for _, c := range []prometheus.Collector{m.bytes, m.files, m.throughput, m.window, m.rate, m.throttled, m.service,
		m.workers, m.condition, m.state, m.limit, m.failures, m.reportAge, m.requests, m.sent, m.transitions, m.ignored, m.writes, m.parked, m.decide, m.tick} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// domainGauges measure how well coordination works.
func domainGauges() []domainGauge {
	of := func(name, help string, value func(*v1alpha1.CoordinationMetrics) *float64) domainGauge {
		return domainGauge{gauge(name, help, []string{"domain"}), value}
	}
	return []domainGauge{
		of("coordination_overhead_ratio", "Fraction of the window in demand but unusable until a withdrawal was acknowledged, plus fraction of the time spent deciding; over about ten minutes.",
			func(m *v1alpha1.CoordinationMetrics) *float64 { return scaled(m.OverheadPerMille, 1000) }),
		of("coordination_load_balance_ratio", "Mean divided by maximum of the workers' requests in flight per slot.",
			func(m *v1alpha1.CoordinationMetrics) *float64 { return scaled(m.LoadBalancePercent, 100) }),
		of("coordination_pipeline_usage_ratio", "Mean requests in flight divided by the granted windows.",
			func(m *v1alpha1.CoordinationMetrics) *float64 { return scaled(m.PipelineUtilizationPercent, 100) }),
		of("coordination_throughput_bytes_per_second", "Throughput of all transfers into the domain.",
			func(m *v1alpha1.CoordinationMetrics) *float64 { return scaled(m.BytesPerSecond, 1) }),
		of("coordination_adaptation_per_minute", "Mean absolute change of the logarithm of the window per minute.",
			func(m *v1alpha1.CoordinationMetrics) *float64 { return scaled(m.AdaptationPerMille, 1000) }),
		of("coordination_improvement_ratio", "Mean throughput since the baseline divided by the baseline, 10 at most; absent if too little was measured.",
			func(m *v1alpha1.CoordinationMetrics) *float64 { return scaled(m.ImprovementPercent, 100) }),
		of("coordination_latency_reduction_ratio", "1 minus mean latency since the baseline divided by the baseline, -9 at least; absent if too little was measured.",
			func(m *v1alpha1.CoordinationMetrics) *float64 { return scaled(m.LatencyReductionPercent, 100) }),
	}
}

// scaled is a whole number of the API as a part of unit; nil stays nil.
func scaled[T int32 | int64](n *T, unit float64) *float64 {
	if n == nil {
		return nil
	}
	return ptr.To(float64(*n) / unit)
}

// domainCounters count what the coordination has done.
func domainCounters() []domainCounter {
	of := func(name, help string, value func(*v1alpha1.CoordinationMetrics) *int64) domainCounter {
		return domainCounter{counter(name, help, []string{"domain"}), value, map[string]int64{}}
	}
	return []domainCounter{
		of("coordination_archives_moved_total", "Archives reassigned from one worker to another to balance the load.",
			func(m *v1alpha1.CoordinationMetrics) *int64 { return m.ArchivesMoved }),
		of("coordination_congestion_cuts_total", "Reductions of the domain's window or rate.",
			func(m *v1alpha1.CoordinationMetrics) *int64 { return m.CongestionEvents }),
	}
}

// Coordination shows what judges the coordination of a domain.
func (m *Metrics) Coordination(domain string, c *v1alpha1.CoordinationMetrics) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, counter := range m.domainCounts {
		if v := counter.value(c); v != nil {
			counter.countOn(domain, *v)
		}
	}
	for _, g := range m.domain {
		if v := g.value(c); v != nil {
			g.WithLabelValues(domain).Set(*v)
		}
	}
}

// Transfer shows the status that the coordinator writes of a transfer.
func (m *Metrics) Transfer(at *workload.Workload, s v1alpha1.ArchiveTransferStatus) {
	ids := []string{at.Namespace, at.Name, string(at.UID)}
	if p := s.Progress; p != nil {
		for outcome, t := range map[string]*v1alpha1.Tally{
			"planned": p.Planned, "done": p.Done, "failed": p.Failed, "skipped": p.Skipped} {
			if t != nil {
				m.bytes.WithLabelValues(append([]string{outcome}, ids...)...).Set(float64(ptr.Deref(t.Bytes, 0)))
				m.files.WithLabelValues(append([]string{outcome}, ids...)...).Set(float64(ptr.Deref(t.Files, 0)))
			}
		}
		m.throughput.WithLabelValues(ids...).Set(float64(ptr.Deref(p.BytesPerSecond, 0)))
	}
	if w := at.Status.Workers; w != nil {
		for state, n := range map[string]*int32{"desired": w.Desired, "leased": w.Leased, "blocked": w.Blocked, "failed": w.Failed} {
			m.workers.WithLabelValues(append([]string{state}, ids...)...).Set(float64(ptr.Deref(n, 0)))
		}
	}
	for _, p := range s.Prefixes {
		m.prefix(append([]string{p.Name}, ids...), p)
	}
	m.judgment(at, s, ids)
}

// judgment shows the conditions of a transfer, the state of its control and why
// archives have failed.
func (m *Metrics) judgment(at *workload.Workload, s v1alpha1.ArchiveTransferStatus, ids []string) {
	for _, c := range slices.Concat(at.Status.Conditions, s.Conditions) {
		value := 0.
		if c.Status == metav1.ConditionTrue {
			value = 1
		}
		m.condition.WithLabelValues(append([]string{c.Type}, ids...)...).Set(value)
	}
	uid := prometheus.Labels{"uid": string(at.UID)}
	m.state.DeletePartialMatch(uid)
	if s.Coordination != nil && s.Coordination.State != "" {
		m.state.WithLabelValues(append([]string{s.Coordination.State}, ids...)...).Set(1)
	}
	m.limit.DeletePartialMatch(uid)
	if s.Coordination != nil && s.Coordination.LimitedBy != "" {
		m.limit.WithLabelValues(append([]string{string(s.Coordination.LimitedBy)}, ids...)...).Set(1)
	}
	m.failures.DeletePartialMatch(uid)
	for _, f := range s.Failures {
		m.failures.WithLabelValues(append([]string{f.Reason}, ids...)...).Inc()
	}
}

// ReportAge shows how long ago the most silent worker of a transfer has reported.
func (m *Metrics) ReportAge(at *workload.Workload, age time.Duration) {
	m.reportAge.WithLabelValues(at.Namespace, at.Name, string(at.UID)).Set(age.Seconds())
}

// Requests are what workers have done on a prefix between two reports.
type Requests struct{ Accepted, Throttled, Failed, Bytes int64 }

// Reported counts requests that workers of a transfer have reported on a prefix.
func (m *Metrics) Reported(at *workload.Workload, prefix string, r Requests) {
	labels := []string{prefix, at.Namespace, at.Name, string(at.UID)}
	for outcome, n := range map[string]int64{"accepted": r.Accepted, "throttled": r.Throttled, "failed": r.Failed} {
		m.requests.WithLabelValues(append([]string{outcome}, labels...)...).Add(float64(max(0, n)))
	}
	m.sent.WithLabelValues(labels...).Add(float64(max(0, r.Bytes)))
}

func (m *Metrics) prefix(labels []string, p v1alpha1.PrefixStatus) {
	m.window.WithLabelValues(labels...).Set(float64(ptr.Deref(p.Window, 0)))
	m.rate.WithLabelValues(labels...).Set(float64(ptr.Deref(p.MilliRequestsPerSecond, 0)) / 1000)
	m.throttled.WithLabelValues(labels...).Set(float64(ptr.Deref(p.ThrottledPerMille, 0)) / 1000)
	m.service.WithLabelValues(append([]string{"0.5"}, labels...)...).Set(float64(ptr.Deref(p.ServiceP50Microseconds, 0)) / 1e6)
	m.service.WithLabelValues(append([]string{"0.99"}, labels...)...).Set(float64(ptr.Deref(p.ServiceP99Microseconds, 0)) / 1e6)
}

// Forget drops the series of a transfer that is no longer under control.
func (m *Metrics) Forget(uid string) {
	by := prometheus.Labels{"uid": uid}
	for _, g := range []*prometheus.GaugeVec{m.bytes, m.files, m.throughput, m.window, m.rate, m.throttled, m.service, m.workers,
		m.condition, m.state, m.limit, m.failures, m.reportAge} {
		g.DeletePartialMatch(by)
	}
	m.requests.DeletePartialMatch(by)
	m.sent.DeletePartialMatch(by)
}

// ForgetDomain drops the series of a domain that is no longer under control.
func (m *Metrics) ForgetDomain(domain string) {
	by := prometheus.Labels{"domain": domain}
	m.transitions.DeletePartialMatch(by)
	m.ignored.DeletePartialMatch(by)
	m.parked.DeletePartialMatch(by)
	m.decide.DeletePartialMatch(by)
	m.tick.DeletePartialMatch(by)
	for _, g := range m.domain {
		g.DeletePartialMatch(by)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.domainCounts {
		c.DeletePartialMatch(by)
		delete(c.seen, domain)
	}
}

// Transition counts a change of state of a domain's congestion controller.
func (m *Metrics) Transition(domain, from, to, cause string) {
	m.transitions.WithLabelValues(domain, from, to, cause).Inc()
}

// IgnoredReport counts a report that was not believed.
func (m *Metrics) IgnoredReport(domain string) { m.ignored.WithLabelValues(domain).Inc() }

// Parked shows how many transfers of a domain are parked.
func (m *Metrics) Parked(domain string, n int) { m.parked.WithLabelValues(domain).Set(float64(n)) }

// Write counts a write of the coordinator to the API server.
func (m *Metrics) Write(kind string) { m.writes.WithLabelValues(kind).Inc() }

// Tick observes the time to decide and the time of the whole tick.
func (m *Metrics) Tick(domain string, decide, whole time.Duration) {
	m.decide.WithLabelValues(domain).Observe(decide.Seconds())
	m.tick.WithLabelValues(domain).Observe(whole.Seconds())
}

func gauge(name, help string, labels []string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func counter(name, help string, labels []string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histogram(name, help string, labels []string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), // 0.5 ms to 4 s
	}, labels)
}
