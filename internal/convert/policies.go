package convert

import (
	"cmp"
	"slices"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/policy"
	"cargoship.dev/operator/internal/workload"
)

// Policies are the CoordinationPolicies of a cluster, as they are asked for destinations. They
// remember the answers, so they are not safe for concurrent use.
type Policies struct {
	byName map[string]*v1alpha1.CoordinationPolicy
	named  []policy.Named
	chosen map[string][]policy.Named // by destination
}

// NewPolicies returns the policies of a list, which nobody may change afterwards.
func NewPolicies(list []v1alpha1.CoordinationPolicy) *Policies {
	p := &Policies{byName: map[string]*v1alpha1.CoordinationPolicy{}, chosen: map[string][]policy.Named{}}
	for i := range list {
		p.byName[list[i].Name] = &list[i]
		p.named = append(p.named, PolicyMatch(&list[i]))
	}
	slices.SortFunc(p.named, func(a, b policy.Named) int { return cmp.Compare(a.Name, b.Name) })
	return p
}

// governing gives the policies that govern a destination, by name.
func (p *Policies) governing(destination string) []policy.Named {
	chosen, known := p.chosen[destination]
	if !known {
		chosen = policy.Choose(destination, p.named)
		p.chosen[destination] = chosen
	}
	return chosen
}

// Domain names what is controlled together with a workload: all that goes in its direction to the
// same bucket or, if policies give that a quota key, to any with the key.
func (p *Policies) Domain(w *workload.Workload) string {
	if key := policy.QuotaKey(p.governing(Domain(w.Location))); key != "" {
		return directed(quotaDomain+key, w)
	}
	return OwnDomain(w)
}

// Holding gives the policies that hold for all workloads of one domain, by name: those that govern
// one of their destinations, and all others with its quota key.
func (p *Policies) Holding(workloads []*workload.Workload) (holding []*v1alpha1.CoordinationPolicy) {
	names, keys := map[string]bool{}, map[string]bool{}
	for _, w := range workloads {
		governing := p.governing(Domain(w.Location))
		keys[policy.QuotaKey(governing)] = true
		for _, n := range governing {
			names[n.Name] = true
		}
	}
	for _, n := range p.named {
		if names[n.Name] || n.QuotaKey != "" && keys[n.QuotaKey] {
			holding = append(holding, p.byName[n.Name])
		}
	}
	return holding
}

// DeniedBy names a policy that denies the namespace of a workload its destination, "" if none
// does. Only those that govern the destination itself are asked, also where it is controlled
// together with others; of several that contradict each other any may deny.
func (p *Policies) DeniedBy(w *workload.Workload) string {
	for _, n := range p.governing(Domain(w.Location)) {
		for _, share := range p.byName[n.Name].Spec.Namespaces {
			if share.Name == w.Namespace && share.Access == v1alpha1.AccessDenied {
				return n.Name
			}
		}
	}
	return ""
}
