package convert

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination"
)

// Planned reads from a status how much of the inventory is known.
func Planned(s v1alpha1.ArchiveTransferStatus) []v1alpha1.PlannedPrefix {
	var out []v1alpha1.PlannedPrefix
	for _, p := range s.Prefixes {
		planned := TallyFrom(p.Planned)
		out = append(out, v1alpha1.PlannedPrefix{
			Name: p.Name, Archives: ptr.To(ptr.Deref(p.Archives, 0)), Files: ptr.To(planned.Files), Bytes: ptr.To(planned.Bytes)})
	}
	return out
}

// PrefixStatus writes what has become of a prefix: what the inventory lists,
// what had ended before this manager took over, and what the core has counted since.
func PrefixStatus(planned v1alpha1.PlannedPrefix, before v1alpha1.PrefixStatus, p coordination.PrefixProgress) v1alpha1.PrefixStatus {
	return v1alpha1.PrefixStatus{
		Name:             planned.Name,
		Archives:         ptr.To(ptr.Deref(planned.Archives, 0)),
		FinishedArchives: ptr.To(p.Finished.String()),
		Planned: Tally(coordination.Tally{
			Files: ptr.Deref(planned.Files, 0), Bytes: ptr.Deref(planned.Bytes, 0)}),
		Done:                   Tally(Sum(TallyFrom(before.Done), p.Done)),
		Failed:                 Tally(Sum(TallyFrom(before.Failed), p.Failed)),
		Skipped:                Tally(Sum(TallyFrom(before.Skipped), p.Skipped)),
		Window:                 ptr.To(int32Of(p.Window)),
		MilliRequestsPerSecond: ptr.To(milli(p.Rate)),
		BytesPerSecond:         ptr.To(whole(p.Throughput)),
		ServiceP50Microseconds: ptr.To(p.ServiceP50.Microseconds()),
		ServiceP99Microseconds: ptr.To(p.ServiceP99.Microseconds()),
		ThrottledPerMille:      ptr.To(int32Of(int(whole(math.Min(p.ThrottledShare, 1) * 1000)))),
	}
}

// Progress sums up the prefixes of a transfer.
func Progress(planning string, prefixes []v1alpha1.PrefixStatus, finished int64) *v1alpha1.Progress {
	var planned, done, failed, skipped coordination.Tally
	var archives, throughput int64
	for _, p := range prefixes {
		planned = Sum(planned, TallyFrom(p.Planned))
		done = Sum(done, TallyFrom(p.Done))
		failed = Sum(failed, TallyFrom(p.Failed))
		skipped = Sum(skipped, TallyFrom(p.Skipped))
		archives += ptr.Deref(p.Archives, 0)
		throughput += ptr.Deref(p.BytesPerSecond, 0)
	}
	out := &v1alpha1.Progress{
		Planning: planning, BytesPerSecond: ptr.To(throughput), Throughput: Bytes(throughput) + "/s",
		Planned: Tally(planned), Done: Tally(done), Failed: Tally(failed), Skipped: Tally(skipped),
		ArchivesPlanned: ptr.To(archives), ArchivesFinished: ptr.To(finished),
		Summary: Bytes(done.Bytes) + "/" + Bytes(planned.Bytes),
	}
	if planning != "Complete" {
		out.Summary += "+"
		return out
	}
	percent := int64(100)
	if finished < archives {
		percent = min(99, 100*(done.Bytes+failed.Bytes+skipped.Bytes)/max(1, planned.Bytes))
	}
	out.Percent = ptr.To(int32(percent))
	return out
}

// Remaining estimates the time until a transfer ends at its present throughput;
// false when that can't be told.
func Remaining(p *v1alpha1.Progress) (time.Duration, bool) {
	rate := ptr.Deref(p.BytesPerSecond, 0)
	if p.Planning != "Complete" || rate <= 0 {
		return 0, false
	}
	left := TallyFrom(p.Planned).Bytes - TallyFrom(p.Done).Bytes - TallyFrom(p.Failed).Bytes
	seconds := float64(max(0, left)) / float64(rate)
	const year = 365 * 24 * 3600
	return time.Duration(math.Min(seconds, year) * float64(time.Second)), true
}

// CoordinationMetrics writes what judges the coordination.
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

// Sum adds two tallies.
func Sum(a, b coordination.Tally) coordination.Tally {
	return coordination.Tally{Files: a.Files + b.Files, Bytes: a.Bytes + b.Bytes}
}

func percent(share float64) int32 {
	return int32(math.Round(100 * math.Max(0, math.Min(share, 1))))
}

// whole rounds a figure that is never negative; what is no number counts as 0.
func whole(v float64) int64 {
	if math.IsNaN(v) || v < 0 {
		return 0
	}
	return int64(math.Min(math.Round(v), 1<<53))
}

// Bytes writes a size for people, in binary units with three digits.
func Bytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for ; value >= 999.5 && unit < 5; unit++ {
		value /= 1024
	}
	digits := 2
	if value >= 99.95 {
		digits = 0
	} else if value >= 9.995 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %ciB", digits, value, "KMGTPE"[unit])
}
