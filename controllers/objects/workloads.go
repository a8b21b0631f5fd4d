package objects

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// ReadWorkload reads the workload of a kind and name.
func ReadWorkload(ctx context.Context, r client.Reader, kind string, key client.ObjectKey) (*workload.Workload, error) {
	o := workload.New(kind)
	if err := r.Get(ctx, key, o); err != nil {
		return nil, err
	}
	return workload.Of(o), nil
}

// ListWorkloads lists the workloads of all kinds.
func ListWorkloads(ctx context.Context, r client.Reader) ([]*workload.Workload, error) {
	var transfers v1alpha1.ArchiveTransferList
	if err := r.List(ctx, &transfers); err != nil {
		return nil, fmt.Errorf("list ArchiveTransfers: %w", err)
	}
	var restores v1alpha1.ArchiveRestoreList
	if err := r.List(ctx, &restores); err != nil {
		return nil, fmt.Errorf("list ArchiveRestores: %w", err)
	}
	all := make([]*workload.Workload, 0, len(transfers.Items)+len(restores.Items))
	for i := range transfers.Items {
		all = append(all, workload.Of(&transfers.Items[i]))
	}
	for i := range restores.Items {
		all = append(all, workload.Of(&restores.Items[i]))
	}
	return all, nil
}
