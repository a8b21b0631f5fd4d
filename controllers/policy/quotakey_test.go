package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
)

// keyed returns a policy with a quota key for a bucket, for all without a name of one.
func keyed(name, bucket, quotaKey string, namespaces ...v1alpha1.NamespaceShare) v1alpha1.CoordinationPolicy {
	p := v1alpha1.CoordinationPolicy{Spec: v1alpha1.CoordinationPolicySpec{
		Match: v1alpha1.DestinationMatch{Bucket: bucket}, QuotaKey: quotaKey, Namespaces: namespaces,
	}}
	p.Name = name
	return p
}

func TestAPolicyTellsWhatIsControlledTogether(t *testing.T) {
	policies := []v1alpha1.CoordinationPolicy{
		keyed("photos", "photos", "kms"), keyed("films", "films", "kms"), keyed("all", "", ""), keyed("films-too", "films", "link"),
	}
	together := map[string][]string{}
	for _, v := range judge(time.Now(), policies, []string{"s3/films", "s3/letters", "s3/photos"}) {
		together[v.policy.Name] = v.status(time.Now()).ControlledTogether
	}
	for name, want := range map[string][]string{
		"photos": {"s3/films", "s3/photos"}, "films": {"s3/films", "s3/photos"}, "all": nil, "films-too": nil,
	} {
		if !slices.Equal(together[name], want) {
			t.Errorf("by %s are controlled together %v, want %v", name, together[name], want)
		}
	}
}

func TestPoliciesWithOneQuotaKeyDisagree(t *testing.T) {
	share := func(weight, most int32) v1alpha1.NamespaceShare {
		return v1alpha1.NamespaceShare{Name: "team", Weight: weight, MaxSharePercent: most}
	}
	denied := v1alpha1.NamespaceShare{Name: "team", Access: v1alpha1.AccessDenied}
	lawOf := func(p v1alpha1.CoordinationPolicy, rate int32) v1alpha1.CoordinationPolicy {
		p.Spec.Coordination = &v1alpha1.LawParameters{LearningRatePercent: rate}
		return p
	}
	for name, test := range map[string]struct {
		policies []v1alpha1.CoordinationPolicy
		want     []string // who is told, and of what
	}{
		"on a weight": {
			[]v1alpha1.CoordinationPolicy{keyed("b", "b", "kms", share(2, 0)), keyed("a", "a", "kms", share(1, 0))},
			[]string{"a: b ", "a: the share of namespace team", "a: what a says holds", "b: a ", "b: what a says holds"},
		},
		"on a part": {
			[]v1alpha1.CoordinationPolicy{keyed("a", "a", "kms", share(1, 50)), keyed("b", "b", "kms", share(1, 0))},
			[]string{"a: team", "b: team"},
		},
		"on parameters": {
			[]v1alpha1.CoordinationPolicy{lawOf(keyed("a", "a", "kms"), 5), lawOf(keyed("b", "b", "kms"), 6)},
			[]string{"a: coordination", "b: coordination"},
		},
		"not where they say the same": {
			[]v1alpha1.CoordinationPolicy{lawOf(keyed("a", "a", "kms", share(3, 0)), 5), lawOf(keyed("b", "b", "kms", share(3, 0)), 5)}, nil,
		},
		"not on access, which is to a destination": {
			[]v1alpha1.CoordinationPolicy{keyed("a", "a", "kms", denied), keyed("b", "b", "kms", share(3, 0))}, nil,
		},
		"not of other keys": {
			[]v1alpha1.CoordinationPolicy{keyed("a", "a", "kms", share(1, 0)), keyed("b", "b", "link", share(2, 0))}, nil,
		},
		"not without a key": {
			[]v1alpha1.CoordinationPolicy{keyed("a", "a", "", share(1, 0)), keyed("b", "b", "", share(2, 0))}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			told := map[string]string{}
			for _, v := range judge(time.Now(), test.policies, nil) {
				if v.disagreement != "" {
					told[v.policy.Name] = v.disagreement
				}
			}
			for _, want := range test.want {
				name, text, _ := strings.Cut(want, ": ")
				if !strings.Contains(told[name], text) {
					t.Errorf("%s is told %q, want %q in it", name, told[name], text)
				}
			}
			if test.want == nil && len(told) > 0 {
				t.Errorf("told: %v", told)
			}
		})
	}
}
