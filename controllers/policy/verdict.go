package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/policy"
)

const (
	// maxDestinations are listed in a status.
	maxDestinations = 64
	// maxRivals are named in a condition.
	maxRivals = 5
)

// verdict is what is to be said of a policy.
type verdict struct {
	policy       *v1alpha1.CoordinationPolicy
	inForce      policy.InForce
	destinations []string
	together     []string // destinations that are controlled as one by its quota key
	rivals       []string // that are as specific
	disagreement string   // with another policy that has its quota key
	invalid      error    // of a schedule
}

// judge looks at all policies together, with the destinations in use.
func judge(now time.Time, policies []v1alpha1.CoordinationPolicy, destinations []string) []verdict {
	all := make([]verdict, len(policies))
	named := make([]policy.Named, len(policies))
	index := map[string]int{}
	alike := map[policy.Match][]string{}
	together := map[string][]string{}
	for i := range policies {
		p := &policies[i]
		named[i] = convert.PolicyMatch(p)
		index[p.Name] = i
		limits, err := convert.PolicyLimits(p.Spec)
		all[i] = verdict{policy: p, inForce: policy.Resolve(now, limits), invalid: err}
		same := named[i].Canonical()
		alike[same] = append(alike[same], p.Name)
	}
	for i := range all {
		for _, rival := range alike[named[i].Canonical()] {
			all[i].contradict(rival)
		}
	}
	for _, d := range destinations {
		chosen := policy.Choose(d, named)
		for _, p := range chosen {
			v := &all[index[p.Name]]
			v.destinations = append(v.destinations, d)
			for _, rival := range chosen {
				v.contradict(rival.Name)
			}
		}
		if key := policy.QuotaKey(chosen); key != "" {
			together[key] = append(together[key], d)
		}
	}
	for i := range all {
		all[i].together = together[named[i].QuotaKey]
	}
	compare(all)
	return all
}

func (v *verdict) contradict(rival string) {
	if rival != v.policy.Name && !slices.Contains(v.rivals, rival) {
		v.rivals = append(v.rivals, rival)
	}
}

// status is what is written of the policy.
func (v *verdict) status(now time.Time) v1alpha1.CoordinationPolicyStatus {
	s := v1alpha1.CoordinationPolicyStatus{
		ObservedGeneration: ptr.To(v.policy.Generation), InForce: v.limits(),
		Destinations:       v.destinations[:min(len(v.destinations), maxDestinations)],
		ControlledTogether: v.together[:min(len(v.together), maxDestinations)],
		Conditions:         slices.Clone(v.policy.Status.Conditions),
	}
	second := metav1.NewTime(now.Truncate(time.Second))
	s.InForce.Since = &second
	if before := v.policy.Status.InForce; before != nil && sameLimits(before, s.InForce) && before.Since != nil {
		s.InForce.Since = before.Since
	}
	set := objects.ConditionSetter(&s.Conditions, v.policy.Generation, second)
	switch {
	case v.invalid != nil:
		set(v1alpha1.ConditionReady, false, v1alpha1.ReasonUnknownTimeZone, fmt.Sprintf("a limit holds always, since its schedule cannot be read: %v", v.invalid))
	case len(v.rivals) > 0:
		slices.Sort(v.rivals)
		set(v1alpha1.ConditionReady, false, v1alpha1.ReasonPoliciesContradict, fmt.Sprintf(
			"as specific as %s: the lowest limits of all hold; name an endpoint or a bucket in one, or merge them",
			strings.Join(v.rivals[:min(len(v.rivals), maxRivals)], ", ")))
	case v.disagreement != "":
		set(v1alpha1.ConditionReady, false, v1alpha1.ReasonPoliciesContradict, v.disagreement)
	default:
		set(v1alpha1.ConditionReady, true, v1alpha1.ReasonInForce, "the policy is in force as it is written")
	}
	if v.inForce.Suspended {
		set(v1alpha1.ConditionSuspended, true, v1alpha1.ReasonLimitOfZero, "a limit of zero is in force: nothing is sent or read")
	} else {
		set(v1alpha1.ConditionSuspended, false, v1alpha1.ReasonNotSuspended, "no limit of zero is in force")
	}
	return s
}

// limits are those in force, as the API has them.
func (v *verdict) limits() *v1alpha1.LimitsInForce {
	out, in := &v1alpha1.LimitsInForce{}, v.inForce
	for _, i := range in.Indices {
		l := v.policy.Spec.Limits[i]
		out.Limits = append(out.Limits, l.Name)
		lowest(&out.RequestsPerSecond, l.RequestsPerSecond)
		lowest(&out.RequestsInFlight, l.RequestsInFlight)
		if q := l.BytesPerSecond; q != nil && (out.BytesPerSecond == nil || q.Cmp(*out.BytesPerSecond) < 0) {
			out.BytesPerSecond = ptr.To(q.DeepCopy())
		}
	}
	if !in.Until.IsZero() {
		out.Until = ptr.To(metav1.NewTime(in.Until.UTC()))
	}
	return out
}

func lowest(present **int32, other *int32) {
	if other != nil && (*present == nil || *other < **present) {
		*present = ptr.To(*other)
	}
}

// switched tells that other limits are in force than the status says.
func (v *verdict) switched() bool {
	before := v.policy.Status.InForce
	return before != nil && !sameLimits(before, v.limits())
}

// sameLimits compares what holds, whatever its limits are called and until when.
func sameLimits(a, b *v1alpha1.LimitsInForce) bool {
	strip := func(l *v1alpha1.LimitsInForce) v1alpha1.LimitsInForce {
		return v1alpha1.LimitsInForce{BytesPerSecond: l.BytesPerSecond, RequestsPerSecond: l.RequestsPerSecond, RequestsInFlight: l.RequestsInFlight}
	}
	return equality.Semantic.DeepEqual(strip(a), strip(b))
}

// describe tells of limits in words.
func describe(l *v1alpha1.LimitsInForce) string {
	var parts []string
	if l.BytesPerSecond != nil {
		parts = append(parts, l.BytesPerSecond.String()+" bytes per second")
	}
	if l.RequestsPerSecond != nil {
		parts = append(parts, fmt.Sprintf("%d requests per second", *l.RequestsPerSecond))
	}
	if l.RequestsInFlight != nil {
		parts = append(parts, fmt.Sprintf("%d requests in flight", *l.RequestsInFlight))
	}
	text := "no limit"
	if len(parts) > 0 {
		text = "at most " + strings.Join(parts, ", ")
	}
	if l.Until != nil {
		text += ", until " + l.Until.UTC().Format(time.RFC3339)
	}
	return text
}
