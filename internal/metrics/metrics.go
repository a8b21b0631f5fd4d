package metrics

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

const namespace = "cargoship"

// Metrics are the manager's metrics. Labels are bounded by the number of transfers,
// restores and domains that exist, and of prefixes that hold windows.
type Metrics struct {
	transfers, restores     workloads
	window, rate, throttled *prometheus.GaugeVec
	service                 *prometheus.GaugeVec
	reportAge               *prometheus.GaugeVec
	requests, sent, hedged  *prometheus.CounterVec
	transitions             *prometheus.CounterVec
	ignored                 *prometheus.CounterVec
	writes                  *prometheus.CounterVec
	notified                *prometheus.CounterVec
	parked, waiting         *prometheus.GaugeVec
	policy                  *prometheus.GaugeVec
	decide, tick, wrote     *prometheus.HistogramVec
	domain                  []domainGauge

	mu           sync.Mutex
	domainCounts []domainCounter
}

// domainGauge exports one figure of a domain's coordination; nil means not measured yet.
type domainGauge struct {
	*prometheus.GaugeVec
	value func(*v1alpha1.CoordinationMetrics) *float64
}

// domainCounter continues, across leaders, what a domain's coordination counts from zero
// since its manager took control.
type domainCounter struct {
	*prometheus.CounterVec
	value func(*v1alpha1.CoordinationMetrics) *int64
	// seen is the count that has been added already, by domain.
	seen map[string]int64
}

// countOn adds what has been counted since the last call. A lower count has started again
// from zero.
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
	prefix := append([]string{"prefix"}, transfer...)
	m := &Metrics{
		transfers:   workloadGauges("transfer"),
		restores:    workloadGauges("restore"),
		window:      gauge("prefix_window_requests", "Window granted on a prefix, in requests in flight, summed over all workers.", prefix),
		rate:        gauge("prefix_rate_requests_per_second", "Paced rate granted on a prefix, summed over all workers; 0 if unpaced.", prefix),
		throttled:   gauge("prefix_throttled_ratio", "Fraction of recent requests on a prefix that were throttled.", prefix),
		service:     gauge("prefix_service_seconds", "Service time of requests on a prefix, by quantile.", append([]string{"quantile"}, prefix...)),
		reportAge:   gauge("lease_report_age_seconds", "Age of the oldest last report among a transfer's workers.", transfer),
		requests:    counter("prefix_requests_total", "Requests reported by workers on a prefix, by outcome: accepted, throttled or failed.", append([]string{"outcome"}, prefix...)),
		hedged:      counter("prefix_hedged_requests_total", "Second attempts at late requests on a prefix, as reported by workers; cargoship_prefix_requests_total includes them.", prefix),
		sent:        counter("prefix_sent_bytes_total", "Payload of the accepted requests reported by workers on a prefix.", prefix),
		transitions: counter("congestion_transitions_total", "State changes of a domain's congestion controller.", []string{"domain", "from", "to", "cause"}),
		ignored:     counter("reports_ignored_total", "Reports ignored because they were impossible, or named what the worker was not granted.", []string{"domain"}),
		writes:      counter("api_writes_total", "Writes of the coordinator to the API server, by kind of object.", []string{"kind"}),
		notified:    counter("notifications_total", "Attempts to tell a receiver of a transfer or a restore that has ended, by outcome: delivered or failed.", []string{"outcome"}),
		parked:      gauge("parked_transfers", "Transfers whose coordination failed and will be retried, by domain.", []string{"domain"}),
		waiting:     gauge("writes_waiting", "Objects that the coordinator has decided on and the API server does not hold yet, by domain.", []string{"domain"}),
		policy:      gauge("policy_limit", "Limits of a CoordinationPolicy in force, by kind: bytes_per_second, requests_per_second or requests_in_flight; absent where there is none.", []string{"policy", "kind"}),
		decide: histogram("coordinator_decide_seconds",
			"Time to process reports and decide, by domain.", []string{"domain"}),
		tick:  histogram("coordinator_tick_seconds", "Duration of a whole tick, which waits for no write, by domain.", []string{"domain"}),
		wrote: histogram("coordinator_write_seconds", "Time from a decision until the API server holds what follows from it, by domain.", []string{"domain"}),
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
	for _, g := range slices.Concat(m.transfers.all(), m.restores.all()) {
		if err := r.Register(g); err != nil {
			return nil, err
		}
	}
	for _, c := range []prometheus.Collector{m.window, m.rate, m.throttled, m.service,
		m.reportAge, m.requests, m.sent, m.hedged, m.transitions, m.ignored, m.writes, m.notified, m.parked, m.waiting, m.policy, m.decide, m.tick, m.wrote} {
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
		of("coordination_pipeline_utilization_ratio", "Mean requests in flight divided by the granted windows.",
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

// Coordination exports the figures that measure the coordination of a domain.
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

// Transfer exports the status that the coordinator writes of a transfer or restore.
func (m *Metrics) Transfer(at *workload.Workload, s v1alpha1.ArchiveTransferStatus) {
	m.of(at).coordinated(at, s)
	for _, p := range s.Prefixes {
		m.prefix([]string{p.Name, at.Namespace, at.Name, string(at.UID)}, p)
	}
}

// Lifecycle exports the status that the lifecycle reconciler writes of a transfer or
// restore, from before it begins until it has ended.
func (m *Metrics) Lifecycle(at *workload.Workload, s v1alpha1.ArchiveTransferStatus) {
	m.of(at).lifecycle(at, s)
}

// of returns the gauges of a kind of workload.
func (m *Metrics) of(at *workload.Workload) workloads {
	if at.Restore != nil {
		return m.restores
	}
	return m.transfers
}

// ReportAge exports the time since the last report of a transfer's most silent worker.
func (m *Metrics) ReportAge(at *workload.Workload, age time.Duration) {
	m.reportAge.WithLabelValues(at.Namespace, at.Name, string(at.UID)).Set(age.Seconds())
}

// Requests are the outcomes on a prefix between two reports.
type Requests struct{ Accepted, Throttled, Failed, Hedged, Bytes int64 }

// Reported counts requests that workers of a transfer have reported on a prefix.
func (m *Metrics) Reported(at *workload.Workload, prefix string, r Requests) {
	labels := []string{prefix, at.Namespace, at.Name, string(at.UID)}
	for outcome, n := range map[string]int64{"accepted": r.Accepted, "throttled": r.Throttled, "failed": r.Failed} {
		m.requests.WithLabelValues(append([]string{outcome}, labels...)...).Add(float64(max(0, n)))
	}
	m.hedged.WithLabelValues(labels...).Add(float64(max(0, r.Hedged)))
	m.sent.WithLabelValues(labels...).Add(float64(max(0, r.Bytes)))
}

func (m *Metrics) prefix(labels []string, p v1alpha1.PrefixStatus) {
	m.window.WithLabelValues(labels...).Set(float64(ptr.Deref(p.Window, 0)))
	m.rate.WithLabelValues(labels...).Set(float64(ptr.Deref(p.MilliRequestsPerSecond, 0)) / 1000)
	m.throttled.WithLabelValues(labels...).Set(float64(ptr.Deref(p.ThrottledPerMille, 0)) / 1000)
	m.service.WithLabelValues(append([]string{"0.5"}, labels...)...).Set(float64(ptr.Deref(p.ServiceP50Microseconds, 0)) / 1e6)
	m.service.WithLabelValues(append([]string{"0.99"}, labels...)...).Set(float64(ptr.Deref(p.ServiceP99Microseconds, 0)) / 1e6)
}

// Forget drops the series of a transfer or restore that is no longer under control.
func (m *Metrics) Forget(uid string) {
	by := prometheus.Labels{"uid": uid}
	for _, g := range slices.Concat(m.transfers.all(), m.restores.all(),
		[]*prometheus.GaugeVec{m.window, m.rate, m.throttled, m.service, m.reportAge}) {
		g.DeletePartialMatch(by)
	}
	m.requests.DeletePartialMatch(by)
	m.sent.DeletePartialMatch(by)
	m.hedged.DeletePartialMatch(by)
}

// Gone drops the series of a transfer or restore that does not exist, whatever its UID was.
func (m *Metrics) Gone(kind, namespace, name string) {
	gauges, label := m.transfers, "transfer"
	if kind == workload.KindRestore {
		gauges, label = m.restores, "restore"
	}
	for _, g := range gauges.all() {
		g.DeletePartialMatch(prometheus.Labels{"namespace": namespace, label: name})
	}
}

// ForgetDomain drops the series of a domain that is no longer under control.
func (m *Metrics) ForgetDomain(domain string) {
	by := prometheus.Labels{"domain": domain}
	m.transitions.DeletePartialMatch(by)
	m.ignored.DeletePartialMatch(by)
	m.parked.DeletePartialMatch(by)
	m.decide.DeletePartialMatch(by)
	m.tick.DeletePartialMatch(by)
	m.waiting.DeletePartialMatch(by)
	m.wrote.DeletePartialMatch(by)
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

// PolicyLimits shows the limits of a policy that are in force.
func (m *Metrics) PolicyLimits(policy string, l *v1alpha1.LimitsInForce) {
	m.ForgetPolicy(policy)
	if q := l.BytesPerSecond; q != nil {
		m.policy.WithLabelValues(policy, "bytes_per_second").Set(q.AsApproximateFloat64())
	}
	for kind, n := range map[string]*int32{"requests_per_second": l.RequestsPerSecond, "requests_in_flight": l.RequestsInFlight} {
		if n != nil {
			m.policy.WithLabelValues(policy, kind).Set(float64(*n))
		}
	}
}

// ForgetPolicy drops the series of a policy.
func (m *Metrics) ForgetPolicy(policy string) {
	m.policy.DeletePartialMatch(prometheus.Labels{"policy": policy})
}

// Transition counts a change of state of a domain's congestion controller.
func (m *Metrics) Transition(domain, from, to, cause string) {
	m.transitions.WithLabelValues(domain, from, to, cause).Inc()
}

// Notified counts an attempt to tell a receiver of an end.
func (m *Metrics) Notified(delivered bool) {
	outcome := "failed"
	if delivered {
		outcome = "delivered"
	}
	m.notified.WithLabelValues(outcome).Inc()
}

// IgnoredReport counts a report that was ignored as impossible.
func (m *Metrics) IgnoredReport(domain string) { m.ignored.WithLabelValues(domain).Inc() }

// Parked exports how many transfers of a domain are parked.
func (m *Metrics) Parked(domain string, n int) { m.parked.WithLabelValues(domain).Set(float64(n)) }

// Write counts a write of the coordinator to the API server.
func (m *Metrics) Write(kind string) { m.writes.WithLabelValues(kind).Inc() }

// Waiting exports how many objects of a domain are still to be written.
func (m *Metrics) Waiting(domain string, n int) { m.waiting.WithLabelValues(domain).Set(float64(n)) }

// Wrote observes how long it took to write what was decided.
func (m *Metrics) Wrote(domain string, d time.Duration) {
	m.wrote.WithLabelValues(domain).Observe(d.Seconds())
}

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
