//go:build e2e

package chaos

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// sum is what was verified.
type sum struct {
	transfers, files int
	archives, bytes  int64
}

func (s *sum) add(o sum) {
	s.transfers += o.transfers
	s.files += o.files
	s.archives += o.archives
	s.bytes += o.bytes
}

// check checks every transfer of a stream, and that no lease is left.
func (r *run) check(ctx context.Context, s *stream) (total sum) {
	for _, at := range s.transfers {
		tally, err := r.VerifyTransfer(ctx, at, s.dir, s.location(at))
		// The worker's own verification reads everything once more.
		_, again := r.Read(ctx, "verify", s.location(at), "--read-back")
		if err := errors.Join(err, again); err != nil {
			r.t.Errorf("%s: %v", client.ObjectKeyFromObject(at), err)
			continue
		}
		total.add(sum{1, tally.Files, *at.Status.Progress.ArchivesFinished, tally.Bytes})
	}
	err := r.await(ctx, patience, func(ctx context.Context) error {
		var leases v1alpha1.PrefixLeaseList
		if err := r.Client.List(ctx, &leases, client.InNamespace(s.namespace)); err != nil {
			return err
		}
		if len(leases.Items) > 0 {
			return fmt.Errorf("%d leases are left, the first one %s", len(leases.Items), leases.Items[0].Name)
		}
		return nil
	})
	if err != nil {
		r.t.Errorf("%s: %v", s.namespace, err)
	}
	return total
}
