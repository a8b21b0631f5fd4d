package ui

import (
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/kubectl/view"
)

// sampledWorkers is how many workers of a run have curves: those that come first by name.
// More lines than that tell nothing, and each takes memory for as long as the page is served.
const sampledWorkers = 64

// meter turns the cumulative counters of a worker into rates.
type meter struct {
	instance                           string
	sequence, uptime                   int64 // of the last report
	bytes, answered, throttled         int64 // by then
	bytesPerSecond, percent            float64
	knowsBytesPerSecond, knowsThrottle bool
}

// next is the meter after a look at the worker's lease. Without a new report it stays as it
// is; after a new process of the worker nothing is known until its second report.
func (m meter) next(lease *v1alpha1.PrefixLease) meter {
	s := lease.Status
	if s.Instance == m.instance && ptr.Deref(s.ReportSequence, 0) == m.sequence {
		return m
	}
	n := meter{instance: s.Instance, sequence: ptr.Deref(s.ReportSequence, 0), uptime: ptr.Deref(s.UptimeMilliseconds, 0)}
	for _, p := range s.Prefixes {
		n.bytes += ptr.Deref(p.Bytes, 0)
		n.throttled += ptr.Deref(p.Throttled, 0)
		n.answered += ptr.Deref(p.Accepted, 0) + ptr.Deref(p.Throttled, 0) + ptr.Deref(p.Failed, 0)
	}
	if n.instance != m.instance || n.uptime <= m.uptime || n.bytes < m.bytes {
		return n
	}
	n.bytesPerSecond = float64(n.bytes-m.bytes) / (float64(n.uptime-m.uptime) / 1000)
	n.knowsBytesPerSecond = true
	if answered := n.answered - m.answered; answered > 0 {
		n.percent, n.knowsThrottle = 100*float64(n.throttled-m.throttled)/float64(answered), true
	}
	return n
}

// measure brings the meters of a run's workers up to date.
func measure(meters map[string]meter, leases []v1alpha1.PrefixLease) map[string]meter {
	next := make(map[string]meter, len(leases))
	for i := range leases {
		next[leases[i].Name] = meters[leases[i].Name].next(&leases[i])
	}
	return next
}

// figures are those of one scope and name, to which a sample adds.
type figures struct {
	sample map[Key]float64
	scope  Scope
	name   string
}

func (f figures) add(m Metric, value float64) { f.sample[Key{f.scope, f.name, m}] = value }

func scaled[T int32 | int64](f figures, m Metric, value *T, unit float64) {
	if value != nil {
		f.add(m, float64(*value)/unit)
	}
}

// paced adds a rate; none and 0 mean that requests are not paced.
func paced(f figures, milliRequestsPerSecond *int64) {
	if ptr.Deref(milliRequestsPerSecond, 0) > 0 {
		scaled(f, Rate, milliRequestsPerSecond, milli)
	}
}

// Units of the API in those of metrics.
const (
	milli     = 1000 // thousandths of a request per second, microseconds in a millisecond
	permille  = 10   // thousandths in a percent
	unchanged = 1
)

// sampleOf takes the figures of a run: as its status has them, and those of workers from
// their leases.
func sampleOf(item view.Item, meters map[string]meter) map[Key]float64 {
	r, sample := item.Run, map[Key]float64{}
	whole := figures{sample, Whole, ""}
	scaled(whole, Throughput, r.Progress.BytesPerSecond, unchanged)
	scaled(whole, Window, r.Coordination.Window, unchanged)
	paced(whole, r.Coordination.MilliRequestsPerSecond)
	scaled(whole, Done, doneBytes(r.Progress.Done), unchanged)
	var worst *int32
	for _, p := range r.Prefixes {
		one := figures{sample, ByPrefix, cli.Printable(p.Name)}
		scaled(one, Throughput, p.BytesPerSecond, unchanged)
		scaled(one, Window, p.Window, unchanged)
		paced(one, p.MilliRequestsPerSecond)
		scaled(one, Throttled, p.ThrottledPerMille, permille)
		scaled(one, Done, doneBytes(p.Done), unchanged)
		scaled(one, P50, p.ServiceP50Microseconds, milli)
		scaled(one, P99, p.ServiceP99Microseconds, milli)
		if p.ThrottledPerMille != nil && *p.ThrottledPerMille >= ptr.Deref(worst, 0) {
			worst = p.ThrottledPerMille
		}
	}
	scaled(whole, Throttled, worst, permille)
	slowest(whole, r.Prefixes)
	for i := range item.Leases[:min(len(item.Leases), sampledWorkers)] {
		sampleWorker(sample, &item.Leases[i], meters[item.Leases[i].Name])
	}
	return sample
}

func doneBytes(t *v1alpha1.Tally) *int64 { return ptr.Deref(t, v1alpha1.Tally{}).Bytes }

// slowest takes the latency of the prefix with the longest median for that of the run, as
// explain does.
func slowest(whole figures, prefixes []v1alpha1.PrefixStatus) {
	var p v1alpha1.PrefixStatus
	for _, other := range prefixes {
		if ptr.Deref(other.ServiceP50Microseconds, 0) > ptr.Deref(p.ServiceP50Microseconds, 0) {
			p = other
		}
	}
	scaled(whole, P50, p.ServiceP50Microseconds, milli)
	scaled(whole, P99, p.ServiceP99Microseconds, milli)
}

// sampleWorker adds what a worker is granted and what it has reported.
func sampleWorker(sample map[Key]float64, lease *v1alpha1.PrefixLease, m meter) {
	one := figures{sample, ByWorker, cli.Printable(lease.Name)}
	var window, rate int64
	for _, g := range lease.Spec.Prefixes {
		window += int64(ptr.Deref(g.Window, 0))
		rate += ptr.Deref(g.MilliRequestsPerSecond, 0)
	}
	one.add(Window, float64(window))
	paced(one, &rate)
	if m.knowsBytesPerSecond {
		one.add(Throughput, m.bytesPerSecond)
	}
	one.add(Done, float64(m.bytes))
	if m.knowsThrottle {
		one.add(Throttled, m.percent)
	}
	var p v1alpha1.PrefixReport
	for _, other := range lease.Status.Prefixes {
		if ptr.Deref(other.ServiceP50Microseconds, 0) > ptr.Deref(p.ServiceP50Microseconds, 0) {
			p = other
		}
	}
	scaled(one, P50, p.ServiceP50Microseconds, milli)
	scaled(one, P99, p.ServiceP99Microseconds, milli)
}
