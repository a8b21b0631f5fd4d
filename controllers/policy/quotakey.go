package policy

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
)

// statement is what a policy says of something where only one policy with a quota key can be right:
// limits differ and the lowest holds, but of parameters and shares the first policy's hold.
type statement struct {
	of    *verdict
	about string
	value any
}

func (v *verdict) statements() (all []statement) {
	spec := v.policy.Spec
	if spec.QuotaKey == "" {
		return nil
	}
	if spec.Coordination != nil {
		all = append(all, statement{v, "coordination", *spec.Coordination})
	}
	for _, n := range spec.Namespaces {
		if n.Weight != 0 || n.MaxSharePercent != 0 {
			all = append(all, statement{v, "the share of namespace " + n.Name, [...]int32{n.Weight, n.MaxSharePercent}})
		}
	}
	return all
}

// compare finds the policies with one quota key that say different things of the same.
func compare(all []verdict) {
	byName := make([]*verdict, len(all))
	for i := range all {
		byName[i] = &all[i]
	}
	slices.SortFunc(byName, func(a, b *verdict) int { return cmp.Compare(a.policy.Name, b.policy.Name) })
	type subject struct{ quotaKey, about string }
	said := map[subject]statement{}
	for _, v := range byName {
		for _, s := range v.statements() {
			of := subject{v.policy.Spec.QuotaKey, s.about}
			first, known := said[of]
			switch {
			case !known:
				said[of] = s
			case !equality.Semantic.DeepEqual(first.value, s.value):
				first.of.disagree(v, first)
				v.disagree(first.of, first)
			}
		}
	}
}

// disagree notes that another policy with the quota key says something else, and what holds.
func (v *verdict) disagree(with *verdict, holds statement) {
	if v.disagreement == "" {
		v.disagreement = fmt.Sprintf("%s has the quota key %s too and differs in %s: what %s says holds; leave it to one of them",
			with.policy.Name, v.policy.Spec.QuotaKey, holds.about, holds.of.policy.Name)
	}
}
