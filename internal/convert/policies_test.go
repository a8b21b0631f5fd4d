package convert

import (
	"slices"
	"strings"
	"testing"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// governed returns a policy for a bucket, for all without a name of one.
func governed(name, bucket, quotaKey string, namespaces ...v1alpha1.NamespaceShare) v1alpha1.CoordinationPolicy {
	p := v1alpha1.CoordinationPolicy{Spec: v1alpha1.CoordinationPolicySpec{
		Match: v1alpha1.DestinationMatch{Bucket: bucket}, QuotaKey: quotaKey, Namespaces: namespaces,
	}}
	p.Name = name
	return p
}

// into returns a transfer of namespace ns into a bucket.
func into(bucket string) *workload.Workload {
	at := &v1alpha1.ArchiveTransfer{}
	at.Namespace, at.Spec.Destination.Bucket, at.Spec.Destination.Endpoint = "ns", bucket, "https://s3.example.com"
	return workload.Of(at)
}

// from returns a restore that reads from a bucket.
func from(bucket string) *workload.Workload {
	w := into(bucket)
	w.Restore = &v1alpha1.ArchiveRestore{}
	return w
}

func TestDestinationsWithOneQuotaKeyShareADomain(t *testing.T) {
	p := NewPolicies([]v1alpha1.CoordinationPolicy{governed("a", "photos", "kms"), governed("b", "films", "kms"), governed("c", "letters", "")})
	for want, workloads := range map[string][]*workload.Workload{
		"quota:kms":                   {into("photos"), into("films")},
		"quota:kms#read":              {from("photos"), from("films")},
		"s3.example.com/letters":      {into("letters")},
		"s3.example.com/letters#read": {from("letters")},
		"s3.example.com/music":        {into("music")},
	} {
		for _, w := range workloads {
			if got := p.Domain(w); got != want {
				t.Errorf("%s is of %s, want %s", w.Location.Bucket, got, want)
			}
		}
	}
}

// Nobody gets into the domain of a quota key, or to its profile, by what they call their server.
func TestNoDestinationIsCalledLikeAQuotaKey(t *testing.T) {
	p := NewPolicies([]v1alpha1.CoordinationPolicy{governed("a", "photos", "kms")})
	key := p.Domain(into("photos"))
	for _, endpoint := range []string{"http://quota:kms", "http://quota:65535/kms", "https://quota", "http://quota/kms", "quota:kms"} {
		w := into("kms")
		w.Location.Endpoint = endpoint
		for _, bucket := range []string{"kms", "quota:kms", ""} {
			w.Location.Bucket = bucket
			if got := p.Domain(w); got == key || !strings.Contains(got, "/") || ProfileName(got) == ProfileName(key) {
				t.Errorf("bucket %q of %s is of %s", bucket, endpoint, got)
			}
		}
	}
}

func TestAllPoliciesWithAQuotaKeyHoldTogether(t *testing.T) {
	p := NewPolicies([]v1alpha1.CoordinationPolicy{
		governed("z-account", "", "account"), governed("films", "films", "account"), governed("films-too", "films", "kms"),
		governed("link", "letters", "link"), governed("photos", "photos", ""),
	})
	for name, test := range map[string]struct {
		workloads []*workload.Workload
		want      []string
	}{
		"a destination by itself":                        {[]*workload.Workload{into("photos")}, []string{"photos"}},
		"all with the key":                               {[]*workload.Workload{into("music")}, []string{"films", "z-account"}},
		"and those that contradict it at a destination":  {[]*workload.Workload{into("music"), into("films")}, []string{"films", "films-too", "z-account"}},
		"none where nothing is known of the destination": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, x := range p.Holding(test.workloads) {
				got = append(got, x.Name)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%v hold, want %v", got, test.want)
			}
		})
	}
}

// What a namespace may have counts for the key as a whole, but where it may write is said for each
// destination.
func TestAccessIsToADestinationAndSharesAreOfTheKey(t *testing.T) {
	p := NewPolicies([]v1alpha1.CoordinationPolicy{
		governed("films", "films", "account", v1alpha1.NamespaceShare{Name: "ns", Access: v1alpha1.AccessDenied}),
		governed("photos", "photos", "account", v1alpha1.NamespaceShare{Name: "ns", Weight: 3}),
	})
	if by := p.DeniedBy(into("films")); by != "films" {
		t.Errorf("films is denied by %q", by)
	}
	if by := p.DeniedBy(into("photos")); by != "" {
		t.Errorf("photos is denied by %q", by)
	}
	for _, bucket := range []string{"photos", "films"} {
		if got := NamespaceShare("ns", p.Holding([]*workload.Workload{into(bucket)})); got.Weight != 3 {
			t.Errorf("the weight at %s is %d, want 3", bucket, got.Weight)
		}
	}
}

// Of policies that contradict each other the one that denies counts, whatever it is called.
func TestContradictionDenies(t *testing.T) {
	p := NewPolicies([]v1alpha1.CoordinationPolicy{
		governed("a", "photos", "", v1alpha1.NamespaceShare{Name: "ns", Access: "Allowed"}),
		governed("b", "photos", "", v1alpha1.NamespaceShare{Name: "ns", Access: v1alpha1.AccessDenied}),
	})
	if by := p.DeniedBy(into("photos")); by != "b" {
		t.Errorf("denied by %q", by)
	}
}
