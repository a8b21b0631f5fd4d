package convert

import (
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// The memory that a worker plans with; see internal/upload and internal/worker, whose tests
// compare these constants with their own.
const (
	// bodyShare is the part of its memory limit, in percent, that bodies of requests may
	// take, leastBodies what they may take of the smallest limit, in bytes, and
	// requestMemory what one request takes.
	bodyShare     = 60
	leastBodies   = 16 << 20
	requestMemory = 2 << 20
)

// MostInFlight is how many requests a worker can have in flight within a memory limit in
// bytes, 0 for any number if there is no limit.
func MostInFlight(memoryLimit int64) int {
	if memoryLimit <= 0 {
		return 0
	}
	return int(min(max(memoryLimit/100*bodyShare, leastBodies)/requestMemory, math.MaxInt32))
}

// Grant writes a grant as the spec of a PrefixLease. The caller fills in TransferName, which
// the core does not know.
func Grant(g protocol.Grant) v1alpha1.PrefixLeaseSpec {
	spec := v1alpha1.PrefixLeaseSpec{
		PodUID:               string(g.Worker),
		Epoch:                g.Epoch,
		Sequence:             g.Sequence,
		AcknowledgedReport:   ptr.To(g.AcknowledgedReport),
		AcknowledgedInstance: g.Instance,
		LeaseDuration:        metav1.Duration{Duration: g.Duration},
		ReportInterval:       metav1.Duration{Duration: g.ReportInterval},
		Mode:                 v1alpha1.LeaseActive,
	}
	if g.Pace.Bytes > 0 {
		spec.BytesPerSecond = max(1, milli(g.Pace.Bytes/1000))
	}
	if g.Pace.Requests > 0 {
		spec.MilliRequestsPerSecond = max(1, milli(g.Pace.Requests))
	}
	if g.Coasting > 0 {
		spec.CoastingDuration = &metav1.Duration{Duration: g.Coasting}
	}
	setCharge(&spec, g)
	if g.CoastingWindow > g.Window() {
		spec.CoastingWindow = int32Of(g.CoastingWindow)
	}
	if g.Drain {
		spec.Mode = v1alpha1.LeaseDrain
	}
	if g.Plan {
		spec.Duty = v1alpha1.DutyPlan
	}
	for _, p := range g.Prefixes {
		spec.Prefixes = append(spec.Prefixes, prefixGrant(p))
	}
	return spec
}

// setCharge writes what is charged of the worker where that is more than the grant itself allows.
func setCharge(spec *v1alpha1.PrefixLeaseSpec, g protocol.Grant) {
	own, charged := g.Charge(), g.Charged
	if charged.Window > own.Window {
		spec.ChargedWindow = int32Of(charged.Window)
	}
	if charged.Duration > own.Duration {
		spec.ChargedLeaseDuration = &metav1.Duration{Duration: charged.Duration}
	}
	if charged.Coasting > own.Coasting {
		spec.ChargedCoastingDuration = &metav1.Duration{Duration: charged.Coasting}
	}
	if charged.Pace.Bytes > own.Pace.Bytes {
		spec.ChargedBytesPerSecond = max(1, milli(charged.Pace.Bytes/1000))
	}
	if charged.Pace.Requests > own.Pace.Requests {
		spec.ChargedMilliRequestsPerSecond = max(1, milli(charged.Pace.Requests))
	}
}

// charge reads it back, of a grant that is read otherwise.
func charge(spec v1alpha1.PrefixLeaseSpec, g protocol.Grant) protocol.Charge {
	charged := protocol.Charge{Window: int(spec.ChargedWindow), Pace: protocol.Pace{
		Bytes: unlessMost(spec.ChargedBytesPerSecond), Requests: unlessMost(spec.ChargedMilliRequestsPerSecond) / 1000,
	}}
	if spec.ChargedLeaseDuration != nil {
		charged.Duration = spec.ChargedLeaseDuration.Duration
	}
	if spec.ChargedCoastingDuration != nil {
		charged.Coasting = spec.ChargedCoastingDuration.Duration
	}
	return charged.Or(g.Charge())
}

// unlessMost is a number of the API, infinite for the largest that it takes.
func unlessMost(n int64) float64 {
	if n >= protocol.MaxCounter {
		return math.Inf(1)
	}
	return float64(n)
}

func prefixGrant(p protocol.PrefixGrant) v1alpha1.PrefixGrant {
	out := v1alpha1.PrefixGrant{
		Name: p.Prefix, Window: ptr.To(int32Of(p.Window)), Reserve: p.Reserve.String(), Withdrawn: p.Withdrawn.String(),
		Archives: assignments(p.Assignments), Recalled: assignments(p.Recalled),
	}
	if p.Rate > 0 {
		out.MilliRequestsPerSecond = ptr.To(max(1, milli(p.Rate)))
	}
	return out
}

func assignments(all []protocol.Assignment) []v1alpha1.ArchiveAssignment {
	var out []v1alpha1.ArchiveAssignment
	for _, a := range all {
		out = append(out, v1alpha1.ArchiveAssignment{Number: ptr.To(a.Archive.Number), Attempt: int32Of(a.Attempt)})
	}
	return out
}

// LeaseGrant reads a grant back from a lease, for a new leader.
func LeaseGrant(transfer protocol.TransferID, lease *v1alpha1.PrefixLease) protocol.Grant {
	spec := lease.Spec
	g := protocol.Grant{
		Worker: protocol.WorkerID(spec.PodUID), Transfer: transfer,
		Epoch: spec.Epoch, Sequence: spec.Sequence,
		AcknowledgedReport: ptr.Deref(spec.AcknowledgedReport, 0),
		Instance:           spec.AcknowledgedInstance,
		Duration:           spec.LeaseDuration.Duration,
		ReportInterval:     spec.ReportInterval.Duration,
		Drain:              spec.Mode == v1alpha1.LeaseDrain,
		Plan:               spec.Duty == v1alpha1.DutyPlan,
		Pace: protocol.Pace{
			Bytes:    float64(spec.BytesPerSecond),
			Requests: float64(spec.MilliRequestsPerSecond) / 1000,
		},
	}
	for _, p := range spec.Prefixes {
		pg := protocol.PrefixGrant{
			Prefix: p.Name, Window: int(ptr.Deref(p.Window, 0)),
			Rate:        float64(ptr.Deref(p.MilliRequestsPerSecond, 0)) / 1000,
			Assignments: assigned(transfer, p.Name, p.Archives),
			Recalled:    assigned(transfer, p.Name, p.Recalled),
		}
		// One that somebody has edited is nobody's reserve: its archives are queued.
		pg.Reserve, _ = protocol.ParseRanges(p.Reserve)
		pg.Withdrawn, _ = protocol.ParseRanges(p.Withdrawn)
		g.Prefixes = append(g.Prefixes, pg)
	}
	if spec.CoastingDuration != nil {
		g.Coasting = spec.CoastingDuration.Duration
	}
	g.CoastingWindow = int(spec.CoastingWindow)
	g.Charged = charge(spec, g)
	return g
}

func assigned(transfer protocol.TransferID, prefix string, all []v1alpha1.ArchiveAssignment) []protocol.Assignment {
	var out []protocol.Assignment
	for _, a := range all {
		out = append(out, protocol.Assignment{
			Archive: protocol.ArchiveID{Transfer: transfer, Prefix: prefix, Number: ptr.Deref(a.Number, 0)}, Attempt: int(a.Attempt),
		})
	}
	return out
}

// Report reads a worker's report from the status of its lease.
func Report(worker protocol.WorkerID, transfer protocol.TransferID, s v1alpha1.PrefixLeaseStatus) protocol.Report {
	r := protocol.Report{
		Worker: worker, Transfer: transfer, Instance: s.Instance,
		Sequence:      ptr.Deref(s.ReportSequence, 0),
		Uptime:        time.Duration(min(ptr.Deref(s.UptimeMilliseconds, 0), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond,
		Epoch:         ptr.Deref(s.ObservedEpoch, 0),
		GrantSequence: ptr.Deref(s.ObservedSequence, 0),
		MaxInFlight:   int(ptr.Deref(s.MaxInFlight, 0)),
		Blocked:       conditionTrue(s.Conditions, v1alpha1.LeaseConditionBlocked),
		Drained:       conditionTrue(s.Conditions, v1alpha1.LeaseConditionDrained),
	}
	if s.Plan != nil {
		r.Plan = planProgress(*s.Plan)
	}
	for _, p := range s.Prefixes {
		r.Prefixes = append(r.Prefixes, counters(p))
	}
	for _, f := range s.Finished {
		r.Finished = append(r.Finished, outcome(transfer, f))
	}
	return r
}

func planProgress(p v1alpha1.PlanReport) *protocol.PlanProgress {
	out := &protocol.PlanProgress{Complete: p.State == PlanningComplete}
	for _, x := range p.Prefixes {
		out.Prefixes = append(out.Prefixes, protocol.PlannedPrefix{Prefix: x.Name, Planned: protocol.Planned{
			Archives: ptr.Deref(x.Archives, 0), Files: ptr.Deref(x.Files, 0), Bytes: ptr.Deref(x.Bytes, 0),
		}})
	}
	return out
}

func counters(p v1alpha1.PrefixReport) protocol.PrefixCounters {
	out := protocol.PrefixCounters{
		Prefix:        p.Name,
		Started:       ptr.Deref(p.Started, 0),
		Accepted:      ptr.Deref(p.Accepted, 0),
		Throttled:     ptr.Deref(p.Throttled, 0),
		Failed:        ptr.Deref(p.Failed, 0),
		Bytes:         ptr.Deref(p.Bytes, 0),
		Busy:          microseconds(p.BusyMicroseconds),
		MaxInFlight:   int(ptr.Deref(p.MaxInFlight, 0)),
		AttemptP50:    microseconds(p.AttemptP50Microseconds),
		ServiceP50:    microseconds(p.ServiceP50Microseconds),
		ServiceP99:    microseconds(p.ServiceP99Microseconds),
		SenderLimited: p.LimitedBy == v1alpha1.LimitedBySource,
		PolicyLimited: p.LimitedBy == v1alpha1.LimitedByPolicy,
	}
	if len(p.Samples) > 0 {
		out.Newest = sample(p.Samples[0])
	}
	if len(p.Samples) > 1 {
		out.Before = sample(p.Samples[1])
	}
	return out
}

func sample(s v1alpha1.RequestSample) protocol.Sample {
	return protocol.Sample{
		Grant:     protocol.GrantID{Epoch: ptr.Deref(s.Epoch, 0), Sequence: ptr.Deref(s.Sequence, 0)},
		Started:   ptr.Deref(s.Started, 0),
		Accepted:  ptr.Deref(s.Accepted, 0),
		Throttled: ptr.Deref(s.Throttled, 0),
		Failed:    ptr.Deref(s.Failed, 0),
	}
}

func outcome(transfer protocol.TransferID, f v1alpha1.FinishedArchive) protocol.Outcome {
	return protocol.Outcome{
		Archive: protocol.ArchiveID{Transfer: transfer, Prefix: f.Prefix, Number: ptr.Deref(f.Number, 0)},
		Done:    TallyFrom(f.Done), Failed: TallyFrom(f.Failed), Skipped: TallyFrom(f.Skipped),
		Retry: f.Result == v1alpha1.ArchiveRetry, Reason: f.Reason, Message: f.Message,
	}
}

// TallyFrom reads a tally; an absent one is zero.
func TallyFrom(t *v1alpha1.Tally) protocol.Tally {
	if t == nil {
		return protocol.Tally{}
	}
	return protocol.Tally{Files: ptr.Deref(t.Files, 0), Bytes: ptr.Deref(t.Bytes, 0)}
}

// Tally writes a tally.
func Tally(t protocol.Tally) *v1alpha1.Tally {
	return &v1alpha1.Tally{Files: ptr.To(t.Files), Bytes: ptr.To(t.Bytes)}
}

func conditionTrue(cs []metav1.Condition, kind string) bool {
	for _, c := range cs {
		if c.Type == kind {
			return c.Status == metav1.ConditionTrue
		}
	}
	return false
}

func microseconds(v *int64) time.Duration {
	return time.Duration(min(ptr.Deref(v, 0), math.MaxInt64/1000)) * time.Microsecond
}

// milli is a rate in thousandths, bounded to what an int64 holds.
func milli(rate float64) int64 {
	return int64(math.Min(math.Round(rate*1000), 1<<53))
}

func int32Of(n int) int32 {
	return int32(min(max(n, math.MinInt32), math.MaxInt32))
}
