package objects

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// Field owners: each part of an object has one writer.
const (
	OwnerLifecycle   = client.FieldOwner("cargoship-lifecycle")
	OwnerCoordinator = client.FieldOwner("cargoship-coordinator")
	OwnerPolicy      = client.FieldOwner("cargoship-policy")
)

// Apply makes an object be as given by server-side apply.
func Apply(ctx context.Context, c client.Client, owner client.FieldOwner, obj client.Object) error {
	u, err := ApplyConfiguration(c, obj)
	if err != nil {
		return err
	}
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), owner, client.ForceOwnership); err != nil {
		return fmt.Errorf("apply %s %s: %w", u.GetKind(), client.ObjectKeyFromObject(obj), err)
	}
	return nil
}

// ApplyStatus writes those parts of a transfer's status that owner has. A
// transfer that is gone, or was made anew under the same name, is left alone.
func ApplyStatus(ctx context.Context, c client.Client, owner client.FieldOwner,
	at *workload.Workload, status v1alpha1.ArchiveTransferStatus,
) error {
	return ApplyStatusTo(ctx, c, owner, at, "", status)
}

// ApplyStatusTo does the same to one version of the transfer only, and fails with a
// conflict if there is a later one.
func ApplyStatusTo(ctx context.Context, c client.Client, owner client.FieldOwner,
	at *workload.Workload, version string, status v1alpha1.ArchiveTransferStatus,
) error {
	var source *v1alpha1.RestoredRun
	if owner == OwnerLifecycle && status.StartTime != nil {
		source = at.Source // which does not change once it has begun
	}
	u, err := ApplyConfiguration(c, at.WithStatus(version, status, source))
	if err != nil {
		return err
	}
	err = c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), owner, client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("write the status of %s: %w", at, err)
	}
	return nil
}

// ApplyConfiguration renders a typed object for server-side apply, without the
// empty fields that only the server fills.
func ApplyConfiguration(c client.Client, obj client.Object) (*unstructured.Unstructured, error) {
	gvk, err := apiutil.GVKForObject(obj, c.Scheme())
	if err != nil {
		return nil, fmt.Errorf("apply %T: %w", obj, err)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("apply %s %s: %w", gvk.Kind, client.ObjectKeyFromObject(obj), err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(gvk)
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	if status, ok := u.Object["status"].(map[string]any); ok && len(status) == 0 {
		delete(u.Object, "status")
	}
	return u, nil
}
