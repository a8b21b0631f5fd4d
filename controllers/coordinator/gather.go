package coordinator

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/workload"
)

// member is one transfer of a domain, with what the cluster holds of it. A worker is
// known by the UID of its pod: names repeat, over time and over namespaces. Leases and pods
// are the cache's own, which nobody may change.
type member struct {
	transfer *workload.Workload
	leases   map[string]*v1alpha1.PrefixLease // by the UID of their pod
	pods     map[string]*corev1.Pod           // workers only, by UID
	stopped  bool                             // by the failure policy
}

// workloadsOf are the transfers of members.
func workloadsOf(members []*member) []*workload.Workload {
	all := make([]*workload.Workload, 0, len(members))
	for _, m := range members {
		all = append(all, m.transfer)
	}
	return all
}

// owners are transfers by the UID of what controls their objects.
type owners map[types.UID]*member

// gather reads all transfers under control, by domain: those whose workers
// have been asked for and which have not ended. Those that have, or are being deleted, are leaving: their workers
// may go on for a moment.
func (c *Coordinator) gather(ctx context.Context) (map[string][]*member, error) {
	workloads, err := objects.ListWorkloads(ctx, c.Client)
	if err != nil {
		return nil, err
	}
	world, all := map[string][]*member{}, owners{}
	c.leaving = map[string][]*member{}
	for _, at := range workloads {
		if at.Status.StartTime == nil {
			continue
		}
		name := c.policies.Domain(at)
		m := &member{transfer: at, leases: map[string]*v1alpha1.PrefixLease{}, pods: map[string]*corev1.Pod{}}
		switch d := c.domains[name]; {
		case at.DeletionTimestamp == nil && !objects.Ended(at):
			world[name] = append(world[name], m)
		case d != nil && len(d.core.Workers(protocol.TransferID(at.UID))) > 0:
			c.leaving[name] = append(c.leaving[name], m)
		default:
			continue
		}
		all[at.UID] = m
	}
	of, err := c.gatherPods(ctx, all)
	if err != nil {
		return nil, err
	}
	return world, c.gatherLeases(ctx, all, of)
}

// controllerOf returns the transfer of the owner that controls an object, if both are in
// one namespace. Labels are not asked, since anybody may write them; nor is the UID of an
// owner enough, which anybody may write in another namespace.
func (owners owners) controllerOf(o metav1.Object) *member {
	owner := metav1.GetControllerOf(o)
	if owner == nil {
		return nil
	}
	if m := owners[owner.UID]; m != nil && m.transfer.Namespace == o.GetNamespace() {
		return m
	}
	return nil
}

// gatherPods gives every transfer the pods of its workers' Job, and tells whose each
// of them is.
func (c *Coordinator) gatherPods(ctx context.Context, all owners) (map[string]*member, error) {
	var jobs batchv1.JobList
	if err := c.Client.List(ctx, &jobs); err != nil {
		return nil, fmt.Errorf("list Jobs: %w", err)
	}
	byJob := owners{}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		if m := all.controllerOf(job); m != nil && job.Name == objects.WorkersJobName(m.transfer) {
			byJob[job.UID], m.stopped = m, objects.StoppedBy(job)
		}
	}
	var pods corev1.PodList
	if err := c.Client.List(ctx, &pods, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list worker pods: %w", err)
	}
	of := map[string]*member{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if m := byJob.controllerOf(pod); m != nil {
			m.pods[string(pod.UID)] = pod
			of[string(pod.UID)] = m
		}
	}
	return of, nil
}

// gatherLeases gives every transfer its leases. One for another transfer's pod was made
// by hand, and is left alone, as is the second of two for one pod.
func (c *Coordinator) gatherLeases(ctx context.Context, all owners, of map[string]*member) error {
	var leases v1alpha1.PrefixLeaseList
	if err := c.Client.List(ctx, &leases, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list PrefixLeases: %w", err)
	}
	for i := range leases.Items {
		lease := &leases.Items[i]
		m, uid := all.controllerOf(lease), lease.Spec.PodUID
		if m == nil || of[uid] != nil && of[uid] != m {
			continue
		}
		if other := m.leases[uid]; other == nil || lease.Name < other.Name {
			m.leases[uid] = lease
		}
	}
	return nil
}
