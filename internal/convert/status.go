package convert

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// plainRecord is how long the finished archives of a transfer may be as plain ranges, in bytes.
// Those of fleets of a hundred workers are shorter, and a release that knows no others reads them.
const plainRecord = 4 << 10

// PrefixStatuses writes the progress of the prefixes. Transfer reads it back, for a new leader.
func PrefixStatuses(prefixes []protocol.PrefixProgress) []v1alpha1.PrefixStatus {
	out, plain := make([]v1alpha1.PrefixStatus, 0, len(prefixes)), 0
	for _, p := range prefixes {
		finished := p.Finished.String()
		plain += len(finished)
		out = append(out, prefixStatus(p, finished))
	}
	if plain > plainRecord {
		for i, p := range prefixes {
			out[i].FinishedArchives = ptr.To(p.Finished.Packed())
		}
	}
	return out
}

func prefixStatus(p protocol.PrefixProgress, finished string) v1alpha1.PrefixStatus {
	return v1alpha1.PrefixStatus{
		Name:                   p.Prefix,
		Archives:               ptr.To(p.Planned.Archives),
		FinishedArchives:       &finished,
		ExhaustedArchives:      optional(p.Exhausted),
		Planned:                Tally(protocol.Tally{Files: p.Planned.Files, Bytes: p.Planned.Bytes}),
		Done:                   Tally(p.Done),
		Failed:                 optionalTally(p.Failed),
		Skipped:                optionalTally(p.Skipped),
		Window:                 ptr.To(int32Of(p.Window)),
		MilliRequestsPerSecond: ptr.To(milli(p.Rate)),
		BytesPerSecond:         ptr.To(whole(p.Throughput)),
		ServiceP50Microseconds: ptr.To(p.ServiceP50.Microseconds()),
		ServiceP99Microseconds: ptr.To(p.ServiceP99.Microseconds()),
		ThrottledPerMille:      ptr.To(int32Of(int(whole(math.Min(p.ThrottledShare, 1) * 1000)))),
	}
}

// optional leaves out a zero, for which an absent value stands.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// optionalTally likewise.
func optionalTally(t protocol.Tally) *v1alpha1.Tally {
	if t == (protocol.Tally{}) {
		return nil
	}
	return Tally(t)
}

// Values of status.progress.planning.
const (
	PlanningRunning  = "Running"
	PlanningComplete = "Complete"
)

// Progress sums up the progress of a transfer.
func Progress(p protocol.Progress) *v1alpha1.Progress {
	c := p.Counts()
	out := &v1alpha1.Progress{
		Planning: PlanningRunning, BytesPerSecond: ptr.To(whole(c.Throughput)), Throughput: Bytes(whole(c.Throughput)) + "/s",
		Planned: Tally(protocol.Tally{Files: c.Planned.Files, Bytes: c.Planned.Bytes}),
		Done:    Tally(c.Done), Failed: Tally(c.Failed), Skipped: Tally(c.Skipped),
		ArchivesPlanned: ptr.To(c.Planned.Archives), ArchivesFinished: ptr.To(c.Ended),
		Summary: Bytes(c.Done.Bytes) + "/" + Bytes(c.Planned.Bytes),
	}
	if !p.Planned {
		out.Summary += "+"
		return out
	}
	out.Planning = PlanningComplete
	percent := int64(100)
	if c.Ended < c.Planned.Archives {
		ended := float64(c.Done.Bytes) + float64(c.Failed.Bytes) + float64(c.Skipped.Bytes)
		percent = int64(min(99, 100*ended/max(1, float64(c.Planned.Bytes))))
	}
	out.Percent = ptr.To(int32(percent))
	return out
}

// Remaining estimates the time until a transfer ends at its present throughput;
// false when that can't be told.
func Remaining(p *v1alpha1.Progress) (time.Duration, bool) {
	rate := ptr.Deref(p.BytesPerSecond, 0)
	if p.Planning != PlanningComplete || rate <= 0 {
		return 0, false
	}
	left := TallyFrom(p.Planned).Bytes - TallyFrom(p.Done).Bytes - TallyFrom(p.Failed).Bytes - TallyFrom(p.Skipped).Bytes
	seconds := float64(max(0, left)) / float64(rate)
	const year = 365 * 24 * 3600
	return time.Duration(math.Min(seconds, year) * float64(time.Second)), true
}

// CoordinationMetrics writes the figures that measure the coordination.
func CoordinationMetrics(m coordination.CoordinationMetrics) *v1alpha1.CoordinationMetrics {
	var events int64
	for _, g := range m.Groups {
		events += g.CongestionEvents
	}
	out := &v1alpha1.CoordinationMetrics{
		OverheadPerMille:           ptr.To(int32Of(int(whole(m.Overhead * 1000)))),
		LoadBalancePercent:         ptr.To(percent(m.LoadBalance)),
		PipelineUtilizationPercent: ptr.To(percent(m.PipelineUtilization)),
		CongestionEvents:           ptr.To(events),
		BytesPerSecond:             ptr.To(whole(m.Throughput)),
		AdaptationPerMille:         ptr.To(int32Of(int(whole(m.AdaptationRate * 1000)))),
		ArchivesMoved:              ptr.To(m.ArchivesMoved),
	}
	for _, cause := range slices.Sorted(maps.Keys(m.CongestionCauses)) {
		out.CongestionCauses = append(out.CongestionCauses,
			v1alpha1.CongestionCause{Cause: cause, Count: ptr.To(m.CongestionCauses[cause])})
	}
	if m.Baseline.Measured {
		out.ImprovementPercent = ptr.To(int32Of(int(whole((1 + m.Improvement) * 100))))
		out.LatencyReductionPercent = ptr.To(int32(math.Round(100 * math.Max(-1e6, m.LatencyReduction))))
	}
	return out
}

func percent(share float64) int32 {
	return int32(math.Round(100 * math.Max(0, math.Min(share, 1))))
}

// whole rounds a figure that is never negative; NaN counts as 0.
func whole(v float64) int64 {
	if math.IsNaN(v) || v < 0 {
		return 0
	}
	return int64(math.Min(math.Round(v), 1<<53))
}

// Bytes writes a size for people, in binary units with three digits.
func Bytes(n int64) string { return humanize.IBytesN(uint64(max(n, 0)), 3) }
