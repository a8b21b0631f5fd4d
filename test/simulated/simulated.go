// Package simulated shows a run of the simulator as the objects of the API that a transfer would
// have left in a cluster at the time, for tests of what is told of it.
package simulated

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/explain"
	"cargoship.dev/operator/internal/sim"
	"cargoship.dev/operator/internal/workload"
)

// Run is what the API holds of the first transfer of a scenario, and what is true.
type Run struct {
	sim.Sight
	Object *v1alpha1.ArchiveTransfer
	Leases []v1alpha1.PrefixLease
}

// View is the run as it is explained and recorded.
func (r Run) View() explain.Run { return explain.FromWorkload(workload.Of(r.Object)) }

// Watch runs a scenario with a controller of ours, such as "adaptive", and shows it again and again.
func Watch(s *sim.Scenario, controller string, seed uint64, every time.Duration, see func(Run)) error {
	c, err := sim.FindController(controller)
	if err != nil {
		return err
	}
	return sim.Watch(s, c, seed, every, func(x sim.Sight) { see(objects(s, x)) })
}

// Figures are what the transfer of a scenario came to for a while.
type Figures struct {
	// Goodput is in bytes per second.
	Goodput float64 `json:"goodput"`
	// Throttled is the share of the requests that ended.
	Throttled float64 `json:"throttled"`
}

// Between returns what is true of a run between the first and the last of some sights of it.
func Between(first, last Run) Figures {
	ended := float64(last.Accepted + last.Throttled + last.Failed - first.Accepted - first.Throttled - first.Failed)
	return Figures{
		Goodput:   (last.Bytes - first.Bytes) / (last.At - first.At).Seconds(),
		Throttled: float64(last.Throttled-first.Throttled) / max(1, ended),
	}
}

// Median runs a scenario with the product's controller and some seeds, and returns the medians of what it came to
// between two times.
func Median(s *sim.Scenario, from, to time.Duration, seeds ...uint64) (Figures, error) {
	var goodput, throttled []float64
	for _, seed := range seeds {
		var seen []Run
		err := Watch(s, "adaptive", seed, time.Second, func(r Run) {
			if r.At >= from && r.At <= to {
				seen = append(seen, r)
			}
		})
		if err != nil {
			return Figures{}, err
		}
		if len(seen) < 2 {
			return Figures{}, fmt.Errorf("the scenario ends before %v", to)
		}
		x := Between(seen[0], seen[len(seen)-1])
		goodput, throttled = append(goodput, x.Goodput), append(throttled, x.Throttled)
	}
	slices.Sort(goodput)
	slices.Sort(throttled)
	return Figures{goodput[len(goodput)/2], throttled[len(throttled)/2]}, nil
}

// objects writes what the manager and the workers would have written.
func objects(s *sim.Scenario, x sim.Sight) Run {
	at := &v1alpha1.ArchiveTransfer{ObjectMeta: metav1.ObjectMeta{Name: "simulated"}}
	at.Spec.Weight = int32(s.Transfers[0].Weight)
	status := &at.Status
	status.ObservedGeneration = ptr.To(int64(1))
	if len(x.Progress) > 0 {
		progress := x.Progress[0]
		// Where there is more than can be sent, the plan is made as it is sent.
		progress.Planned = true
		status.Progress = convert.Progress(progress)
		status.Prefixes = convert.PrefixStatuses(progress.Prefixes)
		status.Coordination = convert.Coordination(progress, x.Snapshot, x.Metrics, x.Decision)
		if x.Limits.Suspended {
			status.Coordination.LimitedBy, status.Coordination.Reason = v1alpha1.LimitPolicy, v1alpha1.ReasonPolicySuspended
		}
	}
	status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionTrue,
		Reason: v1alpha1.ReasonTransferring, Message: "workers are archiving the source"}}
	r := Run{Sight: x, Object: at}
	for _, l := range x.Leases {
		if l.Transfer == 0 {
			r.Leases = append(r.Leases, v1alpha1.PrefixLease{
				ObjectMeta: metav1.ObjectMeta{Name: string(l.Grant.Worker)}, Spec: convert.Grant(l.Grant), Status: report(l),
			})
		}
	}
	if c := status.Coordination; c != nil {
		c.LimitedBy = cmp.Or(explain.Moving(r.View(), explain.Each(r.Leases)), c.LimitedBy)
	}
	status.Workers = &v1alpha1.WorkersStatus{Desired: ptr.To(int32(len(r.Leases)))}
	return r
}

// report writes a worker's report as the worker does.
func report(l sim.SeenLease) v1alpha1.PrefixLeaseStatus {
	r := l.Report
	if r.Instance == "" {
		return v1alpha1.PrefixLeaseStatus{}
	}
	s := v1alpha1.PrefixLeaseStatus{
		Instance: r.Instance, ReportSequence: &r.Sequence, UptimeMilliseconds: ptr.To(r.Uptime.Milliseconds()),
		ObservedEpoch: &r.Epoch, ObservedSequence: &r.GrantSequence, MaxInFlight: ptr.To(int32(r.MaxInFlight)),
	}
	for _, p := range r.Prefixes {
		s.Prefixes = append(s.Prefixes, prefixReport(p, l.LimitedBy[p.Prefix]))
	}
	if l.Phase >= lease.Coasting && l.Grant.Epoch > 0 {
		s.Conditions = append(s.Conditions, metav1.Condition{Type: v1alpha1.LeaseConditionDegraded, Status: metav1.ConditionTrue,
			Reason: v1alpha1.ReasonLeaseExpired})
	}
	return s
}

func prefixReport(p protocol.PrefixCounters, by protocol.Bottleneck) v1alpha1.PrefixReport {
	r := v1alpha1.PrefixReport{
		Name: p.Prefix, Started: &p.Started, Accepted: &p.Accepted, Throttled: &p.Throttled, Failed: &p.Failed, Bytes: &p.Bytes,
		BusyMicroseconds: ptr.To(p.Busy.Microseconds()), MaxInFlight: ptr.To(int32(p.MaxInFlight)), LimitedBy: v1alpha1.Bottleneck(by),
	}
	if p.ServiceP50 > 0 {
		r.AttemptP50Microseconds = ptr.To(p.AttemptP50.Microseconds())
		r.ServiceP50Microseconds = ptr.To(p.ServiceP50.Microseconds())
		r.ServiceP99Microseconds = ptr.To(p.ServiceP99.Microseconds())
	}
	return r
}
