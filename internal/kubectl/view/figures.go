package view

import (
	"fmt"
	"time"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/explain"
)

// Figures are those of a run, as status prints them, for whatever else shows them. Control
// characters in them are escaped.
type Figures struct {
	Name        string `json:"name"`
	Namespace   string `json:"namespace"`
	Status      string `json:"status"`
	Percent     string `json:"percent"`
	Progress    string `json:"progress"`
	Throughput  string `json:"throughput"`
	LimitedBy   string `json:"limitedBy"`
	Window      string `json:"window"`
	Rate        string `json:"rate"`
	Throttled   string `json:"throttled"`
	State       string `json:"state"`
	Workers     string `json:"workers"`
	ETA         string `json:"eta"`
	Age         string `json:"age"`
	Done        int64  `json:"done"`
	Failed      int64  `json:"failed"`
	Skipped     int64  `json:"skipped"`
	Source      string `json:"source"`
	Destination string `json:"destination"`
}

// RunFigures are the figures of a run.
func RunFigures(item Item, now time.Time) Figures {
	r, t := item.Run, Terminal{Unicode: true}
	return Figures{
		Name: t.safe(r.Title()), Namespace: t.safe(r.Namespace), Status: phase(r, t).text, Percent: percent(r),
		Progress: t.safe(dash(r.Progress.Summary)), Throughput: t.safe(dash(r.Progress.Throughput)), LimitedBy: limitCell(item).text,
		Window: number(r.Coordination.Window), Rate: rate(r.Coordination.MilliRequestsPerSecond), Throttled: throttledCell(r).text,
		State: t.safe(dash(r.Coordination.State)), Workers: workers(r), ETA: eta(r, now), Age: age(&r.CreationTimestamp, now),
		Done: files(r.Progress.Done), Failed: files(r.Progress.Failed), Skipped: files(r.Progress.Skipped),
		Source: t.safe(r.Source), Destination: t.safe(r.Destination),
	}
}

// PrefixFigures are those of a prefix.
type PrefixFigures struct {
	Name       string `json:"name"`
	Done       string `json:"done"`
	Planned    string `json:"planned"`
	Throughput string `json:"throughput"`
	Window     string `json:"window"`
	Rate       string `json:"rate"`
	Throttled  string `json:"throttled"`
	P50        string `json:"p50"`
	P99        string `json:"p99"`
}

// ForPrefixes are the figures of the prefixes of a run.
func ForPrefixes(r explain.Run, t Terminal) []PrefixFigures {
	all := make([]PrefixFigures, len(r.Prefixes))
	for i, p := range r.Prefixes {
		all[i] = PrefixFigures{Name: t.safe(p.Name), Done: size(p.Done), Planned: size(p.Planned), Throughput: speed(p.BytesPerSecond),
			Window: number(p.Window), Rate: rate(p.MilliRequestsPerSecond), Throttled: share(p.ThrottledPerMille),
			P50: millis(p.ServiceP50Microseconds), P99: millis(p.ServiceP99Microseconds)}
	}
	return all
}

// WorkerFigures are those of a worker.
type WorkerFigures struct {
	Name      string `json:"name"`
	Window    string `json:"window"`
	InFlight  string `json:"inFlight"`
	LimitedBy string `json:"limitedBy"`
	Accepted  string `json:"accepted"`
	Throttled string `json:"throttled"`
	State     string `json:"state"`
}

// ForWorkers are the figures of workers, by their leases.
func ForWorkers(leases []v1alpha1.PrefixLease, t Terminal) []WorkerFigures {
	all := make([]WorkerFigures, len(leases))
	for i, lease := range leases {
		var window, inFlight, accepted, throttled int64
		limits := map[v1alpha1.Bottleneck]bool{}
		for _, g := range lease.Spec.Prefixes {
			window += int64(ptr.Deref(g.Window, 0))
		}
		for _, p := range lease.Status.Prefixes {
			inFlight += int64(ptr.Deref(p.MaxInFlight, 0))
			accepted += ptr.Deref(p.Accepted, 0)
			throttled += ptr.Deref(p.Throttled, 0)
			limits[p.LimitedBy] = p.LimitedBy != ""
		}
		all[i] = WorkerFigures{Name: t.safe(lease.Name), Window: fmt.Sprint(window), InFlight: fmt.Sprint(inFlight), LimitedBy: dash(words(limits)),
			Accepted: fmt.Sprint(accepted), Throttled: fmt.Sprint(throttled), State: t.safe(state(lease))}
	}
	return all
}

// Tone tells whether the phase of a run is good ("good"), or needs attention ("bad", "warn").
func Tone(r explain.Run) string {
	switch phase(r, Terminal{}).style {
	case green:
		return "good"
	case red:
		return "bad"
	case yellow:
		return "warn"
	}
	return ""
}

// share is one in thousandths, "-" for none.
func share(perThousand *int32) string {
	if perThousand == nil {
		return "-"
	}
	return perMille(*perThousand)
}

// speed is a throughput, "-" for none.
func speed(bytesPerSecond *int64) string {
	if bytesPerSecond == nil {
		return "-"
	}
	return convert.Bytes(*bytesPerSecond) + "/s"
}
