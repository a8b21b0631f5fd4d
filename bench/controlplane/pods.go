package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

const (
	// podsTimeout bounds the wait for the Job controller.
	podsTimeout = 5 * time.Minute
	podsPause   = 250 * time.Millisecond
	binders     = 8
	tokenLife   = 2 * time.Hour
)

// startedPod is a pod that has a node, and its token.
type startedPod struct {
	name  string
	uid   string
	token string
}

// startPods plays scheduler and kubelet: it gives every pod of the workers' Job a node and
// takes a token for it, and returns once all have both.
func (r *rig) startPods(ctx context.Context, at *v1alpha1.ArchiveTransfer, workers int) ([]startedPod, error) {
	ctx, cancel := context.WithTimeout(ctx, podsTimeout)
	defer cancel()
	seen := map[string]bool{}
	started := make(chan startedPod, workers)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(binders)
	for len(seen) < workers {
		var pods corev1.PodList
		err := r.admin.List(ctx, &pods, client.InNamespace(at.Namespace), client.MatchingLabels{v1alpha1.LabelTransferUID: string(at.UID)})
		if err != nil {
			return nil, fmt.Errorf("list pods: %w", err)
		}
		for i := range pods.Items {
			pod := &pods.Items[i]
			if !seen[pod.Name] {
				seen[pod.Name] = true
				group.Go(func() error { return r.startPod(ctx, pod, started) })
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %d pods, %d are there: %w", workers, len(seen), context.Cause(ctx))
		case <-time.After(podsPause):
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	close(started)
	var all []startedPod
	for p := range started {
		all = append(all, p)
	}
	return all, nil
}

func (r *rig) startPod(ctx context.Context, pod *corev1.Pod, started chan<- startedPod) error {
	binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: nodeName}}
	if err := r.admin.SubResource("binding").Create(ctx, pod, binding); err != nil {
		return fmt.Errorf("give pod %s a node: %w", pod.Name, err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: ptr.To(int64(tokenLife.Seconds())),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}
	if err := r.admin.SubResource("token").Create(ctx, account, request); err != nil {
		return fmt.Errorf("take the token of pod %s: %w", pod.Name, err)
	}
	started <- startedPod{pod.Name, string(pod.UID), request.Status.Token}
	return nil
}
