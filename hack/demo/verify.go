package main

import (
	"context"
	"fmt"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/kit/product"
)

// verify compares the source with what stands where the transfer put it.
func (s *stage) verify(ctx context.Context) (product.Tally, error) {
	transfer := &v1alpha1.ArchiveTransfer{}
	if err := s.Client.Get(ctx, s.key, transfer); err != nil {
		return product.Tally{}, fmt.Errorf("look at the transfer: %w", err)
	}
	say("reading every object back")
	to := product.Location{Bucket: bucket, Prefix: transfer.Spec.Destination.Prefix}
	if s.packing == packingTar {
		return s.VerifyPacked(ctx, s.data, to)
	}
	return s.Verify(ctx, s.data, to)
}

// verifyRestored compares the source with what was restored.
func (s *stage) verifyRestored() (product.Tally, error) {
	say("comparing what was restored")
	return product.VerifyRestored(s.data, s.restored(), s.packing == packingTar)
}

// lastLine is the last line of the demo: of what was archived, restored and verified.
func lastLine(t product.Tally, took time.Duration) string {
	return fmt.Sprintf("demo: %d files, %d bytes verified in %.0f s", t.Files, t.Bytes, took.Seconds())
}
