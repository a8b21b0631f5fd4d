package convert

import (
	"testing"

	"cargoship.dev/operator/api/v1alpha1"
)

func TestTransfersToOneBucketShareADomain(t *testing.T) {
	plain := v1alpha1.Location{Bucket: "archive", Region: "us-east-1"}
	explicit := v1alpha1.Location{Bucket: "archive", Region: "us-east-1", Endpoint: "https://S3.us-east-1.amazonaws.com:443/"}
	other := v1alpha1.Location{Bucket: "other", Region: "us-east-1"}
	if a, b := Domain(plain), Domain(explicit); a != b {
		t.Errorf("one bucket has the domains %q and %q", a, b)
	}
	if a, b := Domain(plain), Domain(other); a == b {
		t.Errorf("two buckets share the domain %q", a)
	}
}
