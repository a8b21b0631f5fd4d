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
	c.policies = list.Items
	return nil
}

// limits are the domain's part of what the policies allow at its destination, which what is
// read from there and what is written share. Where several policies are as specific, the lowest
// limits of all hold.
func (d *domain) limits(now time.Time) protocol.Limits {
	var limits []policy.Limit
	for _, p := range d.governing {
		// What is wrong with a schedule is told by the policy's own reconciler.
		own, _ := convert.PolicyLimits(p.Spec)
		limits = append(limits, own...)
	}
	in := policy.Resolve(now, limits).Limits
	if in != (protocol.Limits{}) && !in.Suspended {
		in = d.core.LimitClaim().Part(in, d.limited, d.others())
	}
	d.limited = in
	return in
}

// others are the claims of the other domains of the destination.
func (d *domain) others() (claims []coordination.LimitClaim) {
	for name, other := range d.domains {
		if other != nil && other != d && convert.Destination(name) == convert.Destination(d.name) {
			claims = append(claims, other.core.LimitClaim())
		}
	}
	return claims
}

// govern has the policies of the destination take the place of what a transfer asks for. It
// tells which of them denies its namespace the destination.
func (d *domain) govern(at *workload.Workload, t *protocol.Transfer) (deniedBy string) {
	t.Share, deniedBy = convert.NamespaceShare(at.Namespace, d.governing)
	t.Suspended = t.Suspended || deniedBy != ""
	convert.ApplyLaw(&t.Config, d.governing)
	return deniedBy
}
