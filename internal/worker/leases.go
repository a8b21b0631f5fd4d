package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	fieldOwner    = "cargoship-worker"
	leaseResource = "prefixleases"
)

// Leases is the worker's own lease at the API server; *LeaseClient is one.
type Leases interface {
	// Read returns the lease as it is.
	Read(ctx context.Context) (*v1alpha1.PrefixLease, error)
	// Report writes the status of the lease, and returns the lease.
	Report(ctx context.Context, status v1alpha1.PrefixLeaseStatus) (*v1alpha1.PrefixLease, error)
}

// LeaseClient patches the status of one PrefixLease; it needs no other permission.
// A right to get or watch would hold for every lease of the namespace, since
// Kubernetes authorizes reads by account. Patches pass admission, which knows the
// pod, and are answered with the whole lease: so they are how a worker reads, too.
type LeaseClient struct {
	rest rest.Interface
	key  types.NamespacedName
	// interval is between reports by the last answer, 0 before the first one.
	interval atomic.Int64
}

// NewLeaseClient returns a client for the lease of that name.
func NewLeaseClient(config *rest.Config, key types.NamespacedName) (*LeaseClient, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register API types: %w", err)
	}
	config = rest.CopyConfig(config)
	config.GroupVersion = &v1alpha1.GroupVersion
	config.APIPath = "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.UserAgent = fieldOwner
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make client for the API server %s: %w", config.Host, err)
	}
	return &LeaseClient{rest: client, key: key}, nil
}

// Read implements Leases. It patches nothing, which the server does not store.
func (c *LeaseClient) Read(ctx context.Context) (*v1alpha1.PrefixLease, error) {
	lease, err := c.patch(ctx, types.MergePatchType, []byte("{}"))
	if err != nil {
		return nil, fmt.Errorf("read PrefixLease %s: %w", c.key, err)
	}
	return lease, nil
}

// Report implements Leases.
func (c *LeaseClient) Report(ctx context.Context, status v1alpha1.PrefixLeaseStatus) (*v1alpha1.PrefixLease, error) {
	body, err := json.Marshal(appliedStatus{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "PrefixLease"},
		Metadata: appliedMetadata{Name: c.key.Name, Namespace: c.key.Namespace},
		Status:   status,
	})
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	lease, err := c.patch(ctx, types.ApplyPatchType, body)
	if err != nil {
		return nil, fmt.Errorf("write report into PrefixLease %s: %w", c.key, err)
	}
	return lease, nil
}

func (c *LeaseClient) patch(ctx context.Context, kind types.PatchType, body []byte) (*v1alpha1.PrefixLease, error) {
	ctx, cancel := context.WithTimeout(ctx, protocol.CallTimeout(time.Duration(c.interval.Load())))
	defer cancel()
	request := c.rest.Patch(kind).Namespace(c.key.Namespace).Resource(leaseResource).
		Name(c.key.Name).SubResource("status").Param("fieldManager", fieldOwner).Body(body)
	if kind == types.ApplyPatchType {
		request.Param("force", "true")
	}
	lease := &v1alpha1.PrefixLease{}
	err := request.Do(ctx).Into(lease)
	if err == nil {
		c.interval.Store(int64(lease.Spec.ReportInterval.Duration))
	}
	return lease, err
}

// appliedStatus is what the worker owns of its lease.
type appliedStatus struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        appliedMetadata            `json:"metadata"`
	Status          v1alpha1.PrefixLeaseStatus `json:"status"`
}

type appliedMetadata struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}
