package kubectl

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
)

func newRecordCommand(a *access) *cobra.Command {
	return &cobra.Command{
		Use:   "record NAME",
		Short: "Print a scenario for the simulator that resembles a transfer, without names",
		Long: "Print a scenario for the simulator (docs/simulator.md) with the workers, prefixes, request sizes, service times\n" +
			"and limit of a transfer, for a bug report or a \"what if\". It contains no names.\n" +
			"Record a transfer while it runs: once it has ended, only counts and the mean throughput are known.\n" +
			"`make simulate SCENARIO=FILE` runs it.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			one, leases, err := a.observed(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			text, err := scenario(one.run, leases[string(one.GetUID())])
			if err == nil {
				_, err = io.WriteString(cmd.OutOrStdout(), text)
			}
			return err
		},
	}
}

const (
	// unreached is the assumed capacity of a link that is not the limit, as a multiple of the throughput.
	unreached = 10
	// simulatedFor is long enough for a law to settle.
	simulatedFor = "300s"
	// normal99 is the 99th percentile of the standard normal distribution.
	normal99 = 2.326
)

// recording is what a scenario says of a run.
type recording struct {
	limit                v1alpha1.Limit
	throughput           int64 // in bytes per second
	rate                 float64
	median, sigma        float64 // of the service time, in seconds
	partSize             int64
	workers, maxInFlight int64
	throttledPerMille    int32
}

// scenario describes a run to the simulator. Where nothing was measured its defaults hold.
func scenario(r explain.Run, leases []v1alpha1.PrefixLease) (string, error) {
	m := recording{limit: explain.Limit(r, leases), throughput: ptr.Deref(r.Progress.BytesPerSecond, 0),
		rate: float64(ptr.Deref(r.Coordination.MilliRequestsPerSecond, 0)) / 1000, workers: int64(len(leases))}
	if m.throughput <= 0 {
		return "", fmt.Errorf("%s %s has sent nothing yet: record it while data moves", strings.ToLower(r.Kind), r.Name)
	}
	m.service(r)
	m.requests(r, leases)
	if m.workers == 0 {
		m.workers = max(1, int64(ptr.Deref(r.Workers.Desired, 0)))
	}
	var out strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	add("# Recorded: %s in all, %.1f %% throttled on the worst prefix, limited by %s.", megabytes(float64(m.throughput)), float64(m.throttledPerMille)/10, m.limit)
	add("# The capacity of what was not the limit is unknown, and assumed to be %d times the throughput.", unreached)
	add("description: A transfer as it was recorded, limited by %s.", m.limit)
	add("duration: %s", simulatedFor)
	if m.median > 0 {
		add("service: {median: %.1fms, sigma: %.3f}", m.median*1000, m.sigma)
	}
	add("links:\n- {name: path, bandwidth: %s}", megabytes(float64(m.throughput)*m.width()))
	if m.policed() {
		add("partitions:\n- {name: policed, rate: %.1f/s}", m.rate)
	}
	add("transfers:\n- weight: %d\n  partSize: %dB", max(1, r.Weight), m.partSize)
	add("  prefixes: [{count: %d}]", max(1, len(r.Prefixes)))
	add("  workers: [{count: %d%s}]", m.workers, m.worker())
	return out.String(), nil
}

// policed tells whether the rate is what the destination allows.
func (m recording) policed() bool {
	return m.rate > 0 && (m.limit == v1alpha1.LimitPolicer || m.limit == v1alpha1.LimitRate)
}

// width is the capacity of the link as a multiple of the throughput.
func (m recording) width() float64 {
	if m.limit == v1alpha1.LimitPath || m.limit == explain.Ended {
		return 1
	}
	return unreached
}

// worker says what bounds each worker.
func (m recording) worker() string {
	text := ""
	if m.maxInFlight > 0 {
		text += fmt.Sprintf(", maxInFlight: %d", m.maxInFlight)
	}
	if m.limit == v1alpha1.LimitSource || m.limit == v1alpha1.LimitCPU {
		text += ", nic: " + megabytes(float64(m.throughput)/float64(m.workers))
	}
	return text
}

// service takes the distribution of service times from the prefixes, by their windows.
func (m *recording) service(r explain.Run) {
	var weights, medians, sigmas float64
	for _, p := range r.Prefixes {
		m.throttledPerMille = max(m.throttledPerMille, ptr.Deref(p.ThrottledPerMille, 0))
		p50, p99 := float64(ptr.Deref(p.ServiceP50Microseconds, 0)), float64(ptr.Deref(p.ServiceP99Microseconds, 0))
		if p50 <= 0 {
			continue
		}
		weight := float64(max(1, ptr.Deref(p.Window, 0)))
		weights += weight
		medians += weight * p50 / 1e6
		// Of a lognormal distribution, as the simulator has it.
		sigmas += weight * math.Log(max(1, p99/p50)) / normal99
	}
	if weights > 0 {
		m.median, m.sigma = medians/weights, sigmas/weights
	}
}

// requests takes their mean size and the bound of each worker from the reports.
func (m *recording) requests(r explain.Run, leases []v1alpha1.PrefixLease) {
	var bytes, accepted int64
	for _, lease := range leases {
		m.maxInFlight = max(m.maxInFlight, int64(ptr.Deref(lease.Status.MaxInFlight, 0)))
		for _, p := range lease.Status.Prefixes {
			bytes += ptr.Deref(p.Bytes, 0)
			accepted += ptr.Deref(p.Accepted, 0)
		}
	}
	if done := r.Progress.Done; accepted == 0 && done != nil {
		bytes, accepted = ptr.Deref(done.Bytes, 0), ptr.Deref(done.Files, 0)
	}
	const least, most = 1 << 10, 64 << 20 // bytes
	m.partSize = min(max(bytes/max(1, accepted), least), most)
}

// megabytes is a rate as scenarios write it.
func megabytes(perSecond float64) string { return fmt.Sprintf("%.3fMB/s", perSecond/1e6) }
