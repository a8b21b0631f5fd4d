package convert

import (
	"time"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/policy"
)

// PolicyMatch reads which destinations a policy governs.
func PolicyMatch(p *v1alpha1.CoordinationPolicy) policy.Named {
	return policy.Named{
		Name: p.Name, Match: policy.Match{Endpoint: p.Spec.Match.Endpoint, Bucket: p.Spec.Match.Bucket}, QuotaKey: p.Spec.QuotaKey,
	}
}

// PolicyLimits reads the limits of a policy, in their order. One whose schedule cannot be read
// holds always, and the error tells why: a limit that fails, fails closed.
func PolicyLimits(spec v1alpha1.CoordinationPolicySpec) (limits []policy.Limit, err error) {
	for _, l := range spec.Limits {
		var out policy.Limit
		if q := l.BytesPerSecond; q != nil {
			out.BytesPerSecond = ptr.To(q.AsApproximateFloat64())
		}
		if n := l.RequestsPerSecond; n != nil {
			out.RequestsPerSecond = ptr.To(float64(*n))
		}
		if n := l.RequestsInFlight; n != nil {
			out.RequestsInFlight = ptr.To(int(*n))
		}
		if l.Schedule != nil {
			schedule, failed := limitSchedule(*l.Schedule)
			if failed == nil {
				out.Schedule = &schedule
			} else if err == nil {
				err = failed
			}
		}
		limits = append(limits, out)
	}
	return limits, err
}

func limitSchedule(s v1alpha1.LimitSchedule) (out policy.Schedule, err error) {
	if out.From, err = policy.ParseTimeOfDay(s.From); err != nil {
		return out, err
	}
	if out.To, err = policy.ParseTimeOfDay(s.To); err != nil {
		return out, err
	}
	for _, day := range s.Days {
		for d := time.Sunday; d <= time.Saturday; d++ {
			if d.String() == string(day) {
				out.Days = append(out.Days, d)
			}
		}
	}
	out.Zone, err = policy.LoadZone(s.TimeZone)
	return out, err
}

// NamespaceShare finds what policies give a namespace, of those that hold for it: the first that
// gives it any counts.
func NamespaceShare(namespace string, holding []*v1alpha1.CoordinationPolicy) protocol.TenantShare {
	for _, p := range holding {
		for _, n := range p.Spec.Namespaces {
			if n.Name == namespace && (n.Weight != 0 || n.MaxSharePercent != 0) {
				return protocol.TenantShare{Weight: int(n.Weight), Most: float64(n.MaxSharePercent) / 100}
			}
		}
	}
	return protocol.TenantShare{}
}

// ApplyLaw replaces the parameters of the law by those of the first policy that sets any. The
// windows of a transfer that a policy governs are always controlled: fixed ones keep to no limit.
func ApplyLaw(c *protocol.Config, holding []*v1alpha1.CoordinationPolicy) {
	for _, p := range holding {
		c.Uncoordinated = false
		in := p.Spec.Coordination
		if in == nil {
			continue
		}
		set(&c.GlobalCongestionWindow, int(in.GlobalCongestionWindow))
		set(&c.SlowStartThreshold, int(in.SlowStartThreshold))
		set(&c.UpdateInterval, in.UpdateInterval.Duration)
		set(&c.LeaseDuration, in.LeaseDuration.Duration)
		c.LeaseDuration = max(c.LeaseDuration, leasePerUpdate*c.UpdateInterval)
		set(&c.LearningRate, float64(in.LearningRatePercent)/100)
		set(&c.BandwidthProbingRate, float64(in.BandwidthProbingRatePercent)/100)
		set(&c.RecoveryAggressiveness, float64(in.RecoveryAggressivenessPercent)/100)
		if v := in.CongestionSensitivityPercent; v != nil {
			c.CongestionSensitivity = float64(*v) / 100
		}
		return
	}
}

// leasePerUpdate is the least that a lease lasts in control intervals.
const leasePerUpdate = 3
