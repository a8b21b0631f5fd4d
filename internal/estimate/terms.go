package estimate

import (
	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/prices"
)

// Terms are those on which a destination stores objects for so many months.
func Terms(d v1alpha1.Destination, months float64) prices.Terms {
	t := prices.Terms{Months: months}
	if sse := d.ServerSideEncryption; sse != nil {
		t.KMS, t.BucketKey = sse.Algorithm == "aws:kms", sse.BucketKey == "Enabled"
	}
	return t
}
