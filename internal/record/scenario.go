package record

import (
	"fmt"
	"math"
	"strings"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
)

const (
	// unreached is the assumed capacity of what is not the limit, as a multiple of what was used of it.
	unreached = 10
	// duration is that of the scenario: long enough for a law to settle.
	duration = "300s"
	// usualRate is what a destination admits by default in the simulator, in requests per second.
	usualRate = 3500
	// slowTimes is how often the median slow requests take, as in the simulator by default.
	slowTimes = 42
	// normal99 is the 99th percentile of the standard normal distribution.
	normal99 = 2.326
	// leastPart and mostPart bound the mean request, in bytes.
	leastPart, mostPart = 1 << 10, 64 << 20
	// longestArchive is how long the parts of one archive take to come from a slow source, in seconds,
	// and mostParts is how many an archive of the simulator may have.
	longestArchive, mostParts = 1, 10_000
)

// recording is what a scenario says of a run.
type recording struct {
	limit                v1alpha1.Limit
	throughput           float64 // in bytes per second
	requests             float64 // accepted, per second
	rate                 float64 // what was asked for, or what the coordinator takes for the limit if it is more
	throttled, failed    float64 // shares of all requests
	median, sigma        float64 // of the service time, in seconds
	body                 float64 // the mean time of a request beside the service time, in seconds
	partSize             float64
	prefixes             int
	workers, maxInFlight int64
	limits               string // those of a policy
}

// Scenario describes to the simulator what a run did between the first and the last of some
// looks at it, or if there is one only, what its workers did since they began. Where nothing was
// measured the defaults of the simulator hold.
func Scenario(sights ...Sight) (string, error) {
	before, after := Sight{}, sights[len(sights)-1]
	if len(sights) > 1 {
		before = sights[0]
	}
	r := after.Run
	m := recording{limit: explain.Limit(r, after.Leases), prefixes: max(1, len(r.Prefixes)), workers: int64(len(after.Leases))}
	m.figures(measure(before, after), r)
	if m.throughput <= 0 {
		return "", fmt.Errorf("%s %s sends nothing: record it while data moves", strings.ToLower(r.Kind), r.Name)
	}
	m.rate = max(m.requests/(1-min(m.throttled, 0.9)), granted(sights))
	m.service(sights)
	m.policy(after.Leases)
	for _, lease := range after.Leases {
		m.maxInFlight = max(m.maxInFlight, int64(ptr.Deref(lease.Status.MaxInFlight, 0)))
	}
	if m.workers == 0 {
		m.workers = max(1, int64(ptr.Deref(r.Workers.Desired, 0)))
	}
	return m.write(r), nil
}

// figures takes what was measured, or what the status says if no worker reported.
func (m *recording) figures(x measured, r explain.Run) {
	files, bytes := x.accepted, x.bytes
	if x.over > 0 {
		m.throughput, m.requests = x.bytes, x.accepted
		m.throttled, m.failed = x.throttled/max(1e-9, x.ended()), x.failed/max(1e-9, x.ended())
		m.body = x.busy / max(1e-9, x.ended())
	} else {
		m.throughput = float64(ptr.Deref(r.Progress.BytesPerSecond, 0))
		done := ptr.Deref(r.Progress.Done, v1alpha1.Tally{})
		files, bytes = float64(ptr.Deref(done.Files, 0)), float64(ptr.Deref(done.Bytes, 0))
	}
	m.partSize = min(max(bytes/max(1e-9, files), leastPart), mostPart)
	if m.requests == 0 {
		m.requests = m.throughput / m.partSize
	}
}

// service takes the distribution of service times from the prefixes, by their windows. It is a
// lognormal one, as the simulator has it.
func (m *recording) service(sights []Sight) {
	var weights, medians, sigmas float64
	for _, s := range sights {
		for _, p := range s.Run.Prefixes {
			p50, p99 := float64(ptr.Deref(p.ServiceP50Microseconds, 0)), float64(ptr.Deref(p.ServiceP99Microseconds, 0))
			if p50 <= 0 {
				continue
			}
			weight := float64(max(1, ptr.Deref(p.Window, 0)))
			weights += weight
			medians += weight * p50 / 1e6
			sigmas += weight * math.Log(max(1, p99/p50)) / normal99
		}
	}
	if weights > 0 {
		m.median, m.sigma = medians/weights, sigmas/weights
		m.body = max(0, m.body-m.median*math.Exp(m.sigma*m.sigma/2))
	}
}

// policy takes the limits that a policy has set, if they are what limits.
func (m *recording) policy(leases []v1alpha1.PrefixLease) {
	if m.limit != v1alpha1.LimitPolicy {
		return
	}
	var bytes, milli, inFlight int64
	for _, lease := range leases {
		for _, p := range lease.Spec.Prefixes {
			inFlight += int64(ptr.Deref(p.Window, 0))
		}
		bytes += lease.Spec.BytesPerSecond
		milli += lease.Spec.MilliRequestsPerSecond
	}
	m.limits = "at: 0s"
	if bytes > 0 {
		m.limits += ", bytes: " + megabytes(float64(bytes))
	}
	if milli > 0 {
		m.limits += fmt.Sprintf(", requests: %.1f/s", float64(milli)/1000)
	}
	if bytes+milli == 0 {
		m.limits += fmt.Sprintf(", inFlight: %d", max(1, inFlight))
	}
}

// write writes the scenario.
func (m recording) write(r explain.Run) string {
	var out strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	add("# Recorded: %s in all, %.2f %% of the requests throttled, limited by %s.", megabytes(m.throughput), 100*m.throttled, m.limit)
	add("# The capacity of what was not the limit is unknown, and assumed to be %d times what was used of it.", unreached)
	if r.Fixed {
		add("# Its windows are fixed: simulate it with --controller adaptive:uncoordinated=true,maxConcurrentUploads=%d.", ptr.Deref(r.Coordination.Window, 1))
	}
	add("description: A transfer as it was recorded, limited by %s.", m.limit)
	add("duration: %s", duration)
	if m.median > 0 {
		add("service: {median: %.1fms, sigma: %.3f, slowTime: %.0fms, errorShare: %.4f}", m.median*1000, m.sigma, m.median*1000*slowTimes, m.errors())
	}
	if rate := m.connection(); rate > 0 {
		add("connectionRate: %s", megabytes(rate))
	}
	add("links:\n- {name: path, bandwidth: %s}", megabytes(m.throughput*m.width()))
	add("partitions:\n- {name: destination, rate: %.1f/s}", m.admitted())
	if m.limits != "" {
		add("limits:\n- {%s}", m.limits)
	}
	add("transfers:\n- weight: %d\n  partSize: %.0fB", max(1, r.Weight), m.partSize)
	if m.limit == v1alpha1.LimitSource {
		add("%s", m.arrivals())
	}
	add("  prefixes: [{count: %d}]", m.prefixes)
	add("  workers: [{count: %d%s}]", m.workers, m.worker())
	return out.String()
}

// errors is the share of requests that fail, unless that is an outage, which passes.
func (m recording) errors() float64 {
	if m.limit == v1alpha1.LimitOutage {
		return 0
	}
	return m.failed
}

// connection is the rate of one connection, 0 if it can't be told: on a full path a body waits for
// the others.
func (m recording) connection() float64 {
	if m.body <= 0 || m.median <= 0 || m.limit == v1alpha1.LimitPath {
		return 0
	}
	return m.partSize / m.body
}

// width is the capacity of the path as a multiple of the throughput.
func (m recording) width() float64 {
	if m.limit == v1alpha1.LimitPath || m.limit == explain.Ended {
		return 1 / (1 - min(m.errors(), 0.9)) // bodies of requests that fail have passed it, too
	}
	return unreached
}

// admitted is what the destination admits, in requests per second. Where that is not the limit it
// is not so low that a burst is throttled.
func (m recording) admitted() float64 {
	if m.limit == v1alpha1.LimitPolicer || m.limit == v1alpha1.LimitRate {
		return m.rate
	}
	return max(m.requests*unreached, usualRate)
}

// arrivals let archives appear as fast as the source gave them.
func (m recording) arrivals() string {
	parts := min(max(1, math.Round(m.requests*longestArchive/float64(m.prefixes))), mostParts)
	every := parts * float64(m.prefixes) / m.requests
	return fmt.Sprintf("  archiveParts: %.0f\n  arrivals: [{at: 0s, archives: %d, every: %.4fs, until: %s}]", parts, m.prefixes, every, duration)
}

// worker says what bounds each worker.
func (m recording) worker() string {
	text := ""
	if m.maxInFlight > 0 {
		text += fmt.Sprintf(", maxInFlight: %d", m.maxInFlight)
	}
	if m.limit == v1alpha1.LimitCPU {
		text += ", nic: " + megabytes(m.throughput/float64(m.workers))
	}
	return text
}

// megabytes is a rate as scenarios write it.
func megabytes(perSecond float64) string { return fmt.Sprintf("%.3fMB/s", perSecond/1e6) }
