package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"cargoship.dev/operator/api/v1alpha1"
)

const (
	fieldOwner    = "cargoship-worker"
	leaseResource = "prefixleases"
	// callTimeout bounds a call to the API server, in time for the next report.
	callTimeout = 5 * time.Second
	// watchTimeout is how long the server holds one watch.
	watchTimeout = 5 * time.Minute
	// watchAgainAfter and watchAgainMost bound the pause before a watch that
	// failed is begun again.
	watchAgainAfter = 500 * time.Millisecond
	watchAgainMost  = 5 * time.Second
)

// Leases is the worker's own lease at the API server; *LeaseClient is one.
type Leases interface {
	// Watch calls handle, from one goroutine, with the lease as it is and as it
	// changes, and with nil when it is deleted, until ctx ends.
	Watch(ctx context.Context, handle func(*v1alpha1.PrefixLease))
	// Report writes the status of the lease, and returns the lease.
	Report(ctx context.Context, status v1alpha1.PrefixLeaseStatus) (*v1alpha1.PrefixLease, error)
}

// LeaseClient reads one PrefixLease and writes its status; it needs no other permission.
type LeaseClient struct {
	rest   rest.Interface
	codec  runtime.ParameterCodec
	key    types.NamespacedName
	logger *slog.Logger
}

// NewLeaseClient returns a client for the lease of that name. It tells logger of
// watches that fail; nil discards.
func NewLeaseClient(config *rest.Config, key types.NamespacedName, logger *slog.Logger) (*LeaseClient, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
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
	return &LeaseClient{rest: client, codec: runtime.NewParameterCodec(scheme), key: key, logger: logger}, nil
}

// Watch implements Leases.
func (c *LeaseClient) Watch(ctx context.Context, handle func(*v1alpha1.PrefixLease)) {
	for pause := watchAgainAfter; ctx.Err() == nil; pause = min(2*pause, watchAgainMost) {
		heard, err := c.watch(ctx, handle)
		if heard {
			pause = watchAgainAfter
		}
		if err != nil && ctx.Err() == nil {
			c.logger.Warn("watch of the lease failed", "lease", c.key.String(), "error", err.Error())
		}
		wait(ctx, pause)
	}
}

// watch holds one watch until the server ends it, and says whether it has told
// anything. A watch from no particular version begins with the lease as it is.
func (c *LeaseClient) watch(ctx context.Context, handle func(*v1alpha1.PrefixLease)) (heard bool, err error) {
	options := &metav1.ListOptions{
		FieldSelector:  fields.OneTermEqualSelector(metav1.ObjectNameField, c.key.Name).String(),
		Watch:          true,
		TimeoutSeconds: new(int64(watchTimeout.Seconds())),
	}
	w, err := c.rest.Get().Namespace(c.key.Namespace).Resource(leaseResource).
		VersionedParams(options, c.codec).Watch(ctx)
	if err != nil {
		return false, err
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		lease, isLease := event.Object.(*v1alpha1.PrefixLease)
		switch {
		case isLease && event.Type == watch.Deleted:
			handle(nil)
		case isLease:
			handle(lease)
		case event.Type == watch.Error:
			return heard, fmt.Errorf("the server ended it: %v", event.Object)
		}
		heard = true
	}
	return heard, nil
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
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	lease := &v1alpha1.PrefixLease{}
	err = c.rest.Patch(types.ApplyPatchType).Namespace(c.key.Namespace).Resource(leaseResource).
		Name(c.key.Name).SubResource("status").
		Param("fieldManager", fieldOwner).Param("force", "true").
		Body(body).Do(ctx).Into(lease)
	if err != nil {
		return nil, fmt.Errorf("write report into PrefixLease %s: %w", c.key, err)
	}
	return lease, nil
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
