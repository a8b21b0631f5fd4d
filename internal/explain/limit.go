package explain

import (
	"iter"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
)

// Limits of a run that does not move at all. Those of a run that moves are the constants of
// v1alpha1.Limit, which the coordinator records.
const (
	// Ended: the run is over.
	Ended v1alpha1.Limit = "Ended"
	// Suspended: spec.suspend is true.
	Suspended v1alpha1.Limit = "Suspended"
	// Queue: a job queue, such as Kueue, holds the workers' Job.
	Queue v1alpha1.Limit = "Queue"
	// Quota: the namespace's quota or another rule of the cluster rejects the pods.
	Quota v1alpha1.Limit = "Quota"
	// Workers: the pods are not running yet.
	Workers v1alpha1.Limit = "Workers"
	// Budget: it would cost more than spec.budget.
	Budget v1alpha1.Limit = "Budget"
	// Finishing: everything is sent, and the last pod checks and closes the run.
	Finishing v1alpha1.Limit = "Finishing"
	// Blocked: somebody has to fix what the condition names.
	Blocked v1alpha1.Limit = "Blocked"
	// NoLeader: no manager renews the leases.
	NoLeader v1alpha1.Limit = "NoLeader"
	// Unknown: nothing has been reported yet.
	Unknown v1alpha1.Limit = "Unknown"
)

// Limits of a worker's processors and memory.
const (
	// cpuUsed is the share of its CPU limit above which CPU limits a worker.
	cpuUsed = 0.9
	// majority is the share of the granted requests in flight that decides.
	majority = 0.5
)

// Limit says in one word what limits a run now. The leases are those of its workers.
func Limit(r Run, leases []v1alpha1.PrefixLease) v1alpha1.Limit {
	if r.Ended() {
		return Ended
	}
	if held := holds(r); held != "" {
		return held
	}
	v := survey(r, Each(leases))
	switch {
	case v.reporting > 0 && v.expired == v.reporting:
		return NoLeader
	case v.reporting == 0:
		return Workers
	}
	return v.limit(r)
}

// Moving says what limits a run that moves, for the leading manager; empty if no report tells.
func Moving(r Run, leases iter.Seq[*v1alpha1.PrefixLease]) v1alpha1.Limit {
	if limit := survey(r, leases).limit(r); limit != Unknown {
		return limit
	}
	return ""
}

// Each gives the leases of a list.
func Each(leases []v1alpha1.PrefixLease) iter.Seq[*v1alpha1.PrefixLease] {
	return func(yield func(*v1alpha1.PrefixLease) bool) {
		for i := range leases {
			if !yield(&leases[i]) {
				return
			}
		}
	}
}

// holds is what keeps a run from moving, by its conditions.
func holds(r Run) v1alpha1.Limit {
	if r.Suspended {
		return Suspended
	}
	if r.Is(v1alpha1.ConditionSuspended) {
		return Queue
	}
	c := meta.FindStatusCondition(r.Conditions, v1alpha1.ConditionProgressing)
	switch {
	case c == nil:
		return NoLeader // no manager has written a status
	case c.Reason == v1alpha1.ReasonWorkersPending || c.Reason == "Unschedulable":
		return Workers
	case c.Reason == v1alpha1.ReasonFinishing || c.Reason == v1alpha1.ReasonBinding:
		return Finishing
	case c.Status == metav1.ConditionTrue:
		return ""
	case c.Reason == v1alpha1.ReasonBudgetExceeded:
		return Budget
	case c.Reason == v1alpha1.ReasonPodsRejected && strings.Contains(c.Message, "quota"):
		return Quota
	}
	return Blocked
}

// view sums up what the workers report.
type view struct {
	// reporting counts the workers that have reported, expired those whose lease has expired.
	reporting, expired int
	// slots sums the granted requests in flight on prefixes with a report; by splits them
	// by the limit that the worker reports.
	slots int64
	by    map[v1alpha1.Bottleneck]int64
	// full counts the slots of workers at their memory bound, busy those of workers without
	// CPU to spare.
	full, busy int64
	// cpu is the highest CPU use of a worker, in thousandths of a processor.
	cpu int64
}

func survey(r Run, leases iter.Seq[*v1alpha1.PrefixLease]) view {
	v := view{by: map[v1alpha1.Bottleneck]int64{}}
	for lease := range leases {
		if lease.Status.Instance == "" || lease.Spec.Mode == v1alpha1.LeaseDrain {
			continue
		}
		v.reporting++
		if meta.IsStatusConditionTrue(lease.Status.Conditions, v1alpha1.LeaseConditionDegraded) {
			v.expired++
		}
		v.add(r, lease)
	}
	return v
}

// add counts the slots of one worker.
func (v *view) add(r Run, lease *v1alpha1.PrefixLease) {
	var slots int64
	for i := range lease.Spec.Prefixes {
		g := &lease.Spec.Prefixes[i]
		n := int64(ptr.Deref(g.Window, 0))
		if by := said(lease, g.Name); by != "" {
			v.by[by] += n
			slots += n
		}
	}
	v.slots += slots
	if most := int64(ptr.Deref(lease.Status.MaxInFlight, 0)); most > 0 && slots >= most {
		v.full += slots
	}
	cpu := ptr.Deref(lease.Status.MilliCPU, 0)
	v.cpu = max(v.cpu, cpu)
	if r.CPULimit > 0 && float64(cpu) >= cpuUsed*float64(r.CPULimit) {
		v.busy += slots
	}
}

// said is what limits a prefix by a worker's report. It has few, those granted first.
func said(lease *v1alpha1.PrefixLease, prefix string) v1alpha1.Bottleneck {
	for i := range lease.Status.Prefixes {
		if p := &lease.Status.Prefixes[i]; p.Name == prefix {
			return p.LimitedBy
		}
	}
	return ""
}

// limit is what limits most of the granted requests in flight.
func (v view) limit(r Run) v1alpha1.Limit {
	most := majority * float64(v.slots)
	window := float64(v.by[v1alpha1.LimitedByWindow])
	switch {
	case r.Coordination.Reason == reasonPolicySuspended:
		return v1alpha1.LimitPolicy
	case v.slots == 0:
		return Unknown
	case float64(v.by[v1alpha1.LimitedByPolicy]) > most, r.Coordination.Reason == reasonPolicyLimited && window > most:
		return v1alpha1.LimitPolicy
	case float64(v.busy) > most:
		return v1alpha1.LimitCPU
	case outage(r):
		// The workers send little, so they say that they have little to send.
		return v1alpha1.LimitOutage
	case float64(v.by[v1alpha1.LimitedBySource]) >= most, r.Coordination.Reason == reasonSenderLimited:
		return v1alpha1.LimitSource
	case window >= float64(v.by[v1alpha1.LimitedByRate]) && !paced(r):
		return v.windowLimit(r)
	case throttledBefore(r):
		return v1alpha1.LimitPolicer
	}
	return v1alpha1.LimitRate
}

// outage tells whether hardly anything succeeds. Recovery from throttling that persists is none.
func outage(r Run) bool {
	c := r.Coordination
	return c.State == stateRecovery && c.Reason != causePersistentThrottling && c.Reason != reasonStillThrottled
}

// paced tells whether the coordinator finds that a rate is the limit. The workers alone can't tell:
// a window follows what a rate lets be in flight, so that both are in use.
func paced(r Run) bool {
	by := r.Coordination.LimitedBy
	return by == v1alpha1.LimitRate || by == v1alpha1.LimitPolicer || r.Coordination.Reason == reasonRateLimited
}

// windowLimit is what keeps the window from being larger.
func (v view) windowLimit(r Run) v1alpha1.Limit {
	switch {
	case float64(v.full) > majority*float64(v.slots):
		return v1alpha1.LimitMemory
	case r.Fixed:
		return v1alpha1.LimitWindow
	case throttledNow(r) || r.Coordination.State == stateFastRecovery:
		return v1alpha1.LimitPolicer
	case r.Coordination.State == stateRecovery:
		return v1alpha1.LimitPolicer
	case r.Coordination.State == stateAvoidance:
		return v1alpha1.LimitPath
	}
	return v1alpha1.LimitWindow
}

// States and causes as the coordinator names them.
const (
	stateAvoidance    = "CongestionAvoidance"
	stateFastRecovery = "FastRecovery"
	stateRecovery     = "Recovery"

	reasonRateLimited     = "RateLimited"
	reasonSenderLimited   = "SenderLimited"
	reasonStillThrottled  = "StillThrottled"
	reasonPolicyLimited   = "PolicyLimited"
	reasonPolicySuspended = v1alpha1.ReasonPolicySuspended

	causeThrottled            = "Throttled"
	causePersistentThrottling = "PersistentThrottling"
)

func throttledNow(r Run) bool {
	return r.Is(v1alpha1.ConditionThrottled) || worst(r).ThrottledPerMille != nil && *worst(r).ThrottledPerMille > 0
}

// throttledBefore tells whether the rate was learned from throttled requests.
func throttledBefore(r Run) bool {
	return throttledNow(r) || causes(r, causeThrottled)+causes(r, causePersistentThrottling) > 0
}

// causes counts the changes of state of one cause.
func causes(r Run, cause string) int64 {
	if m := r.Coordination.Metrics; m != nil {
		for _, c := range m.CongestionCauses {
			if c.Cause == cause {
				return ptr.Deref(c.Count, 0)
			}
		}
	}
	return 0
}

// worst is the prefix that is throttled most.
func worst(r Run) v1alpha1.PrefixStatus {
	var out v1alpha1.PrefixStatus
	for _, p := range r.Prefixes {
		if out.Name == "" || ptr.Deref(p.ThrottledPerMille, 0) > ptr.Deref(out.ThrottledPerMille, 0) {
			out = p
		}
	}
	return out
}
