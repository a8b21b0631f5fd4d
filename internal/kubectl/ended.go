package kubectl

import (
	"context"
	"fmt"

	"cargoship.dev/operator/api/v1alpha1"
)

// Ended returns the transfer of a name, which must have ended.
func (c Commands) Ended(ctx context.Context, name string) (*v1alpha1.ArchiveTransfer, error) {
	cluster, err := c.access.open()
	if err != nil {
		return nil, err
	}
	at, err := cluster.transfer(ctx, name)
	if err != nil {
		return nil, err
	}
	if at.Status.CompletionTime == nil {
		return nil, fmt.Errorf("report on transfer %s: it has not ended: see kubectl cargoship status %s", name, name)
	}
	return at, nil
}
