//go:build e2e

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// puppet speaks for a worker pod that runs no worker, with the pod's own token.
type puppet struct {
	pod    types.NamespacedName
	client client.Client
	// lease is the grant as the last answer held it.
	lease v1alpha1.PrefixLease
	// status is the last report; reports counts them.
	status  v1alpha1.PrefixLeaseStatus
	reports int64
}

// newPuppet takes a token that is bound to the pod, as the pod's own is.
func (r *run) newPuppet(ctx context.Context, pod *corev1.Pod) (*puppet, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: ptr.To(int64(7200)),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}
	if err := r.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return nil, fmt.Errorf("take the token of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", r.Cluster.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config = rest.AnonymousClientConfig(config)
	config.BearerToken = request.Status.Token
	config.QPS, config.Burst = 50, 50
	c, err := client.New(config, client.Options{Scheme: r.Client.Scheme(), Mapper: r.Client.RESTMapper()})
	if err != nil {
		return nil, err
	}
	return &puppet{pod: client.ObjectKeyFromObject(pod), client: c}, nil
}

// report writes a status and reads the grant that the answer holds.
func (p *puppet) report(ctx context.Context, s v1alpha1.PrefixLeaseStatus) error {
	body, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "PrefixLease",
		"metadata": map[string]any{"name": p.pod.Name, "namespace": p.pod.Namespace}, "status": s,
	})
	if err != nil {
		return err
	}
	lease := &v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Namespace: p.pod.Namespace, Name: p.pod.Name}}
	err = p.client.Status().Patch(ctx, lease, client.RawPatch(types.ApplyPatchType, body),
		client.FieldOwner("cargoship-worker"), client.ForceOwnership)
	if err != nil {
		return err
	}
	p.lease, p.status = *lease, s
	return nil
}

// next is an honest report: of a worker that follows its grant and has sent nothing.
func (p *puppet) next() v1alpha1.PrefixLeaseStatus {
	p.reports++
	s := v1alpha1.PrefixLeaseStatus{
		Instance: "puppet-" + p.pod.Name[len(p.pod.Name)-5:], ReportSequence: ptr.To(p.reports),
		UptimeMilliseconds: ptr.To(p.reports * lieInterval.Milliseconds()),
		ObservedEpoch:      ptr.To(p.lease.Spec.Epoch), ObservedSequence: ptr.To(p.lease.Spec.Sequence),
		MaxInFlight: ptr.To(int32(64)), Prefixes: slices.Clone(p.status.Prefixes),
	}
	for _, granted := range p.lease.Spec.Prefixes {
		if !slices.ContainsFunc(s.Prefixes, func(x v1alpha1.PrefixReport) bool { return x.Name == granted.Name }) {
			s.Prefixes = append(s.Prefixes, v1alpha1.PrefixReport{Name: granted.Name})
		}
	}
	return s
}
