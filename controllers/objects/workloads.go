package objects

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// ReadWorkload reads the workload of a kind and name.
func ReadWorkload(ctx context.Context, r client.Reader, kind string, key client.ObjectKey) (*v1alpha1.Workload, error) {
	o := v1alpha1.NewWorkload(kind)
	if err := r.Get(ctx, key, o); err != nil {
		return nil, err
	}
	return v1alpha1.WorkloadOf(o), nil
}
