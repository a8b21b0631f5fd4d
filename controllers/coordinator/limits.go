package coordinator

import (
	"context"
	"fmt"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/policy"
	"cargoship.dev/operator/internal/workload"
)

// gatherPolicies reads the CoordinationPolicies of the cluster.
func (c *Coordinator) gatherPolicies(ctx context.Context) error {
	var list v1alpha1.CoordinationPolicyList
	if err := c.Client.List(ctx, &list); err != nil {
		return fmt.Errorf("list CoordinationPolicies: %w", err)
	}
	c.policies = convert.NewPolicies(list.Items)
	return nil
}

// limits are the domain's part of what the policies allow at its destination, which what is
// read from there and what is written share. Where several policies hold, the lowest limits of
// all do.
func (d *domain) limits(now time.Time) protocol.Limits {
	var limits []policy.Limit
	for _, p := range d.holding {
		// What is wrong with a schedule is told by the policy's own reconciler.
		own, _ := convert.PolicyLimits(p.Spec)
		limits = append(limits, own...)
	}
	in := policy.Resolve(now, limits).Limits
	if in != (protocol.Limits{}) && !in.Suspended {
		own := d.core.LimitClaim()
		in = own.Part(in, d.limited, d.others(in, own))
	}
	d.limited = in
	return in
}

// others are the claims of the other domains that share its limits. One that is not under control
// yet, or no more, may be using all that this one does not.
func (d *domain) others(limits protocol.Limits, own coordination.LimitClaim) (claims []coordination.LimitClaim) {
	for name, other := range d.domains {
		switch {
		case other == d || convert.Destination(name) != convert.Destination(d.name):
		case other == nil:
			claims = append(claims, restOf(limits, own))
		default:
			claims = append(claims, other.core.LimitClaim())
		}
	}
	return claims
}

// restOf claims what a claim leaves of limits.
func restOf(limits protocol.Limits, own coordination.LimitClaim) coordination.LimitClaim {
	left := func(limit, charged float64) float64 { return max(0, limit-charged) }
	rest := protocol.Pace{
		Bytes: left(limits.Pace.Bytes, own.Charged.Bytes), Requests: left(limits.Pace.Requests, own.Charged.Requests),
	}
	return coordination.LimitClaim{Charged: rest, Used: rest, InFlight: max(0, limits.InFlight-own.InFlight)}
}

// govern has the policies that hold for the domain take the place of what a transfer asks for. It
// tells which of them denies its namespace the destination.
func (d *domain) govern(at *workload.Workload, t *protocol.Transfer) (deniedBy string) {
	deniedBy = d.policies.DeniedBy(at)
	t.Share = convert.NamespaceShare(at.Namespace, d.holding)
	t.Suspended = t.Suspended || deniedBy != ""
	convert.ApplyLaw(&t.Config, d.holding)
	return deniedBy
}
