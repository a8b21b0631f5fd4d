package lifecycle

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// gatherUser finds a pod of somebody else's that has the target mounted, if that keeps others
// from it: the claim can then be used on that pod's node only, or not at all.
func (r *Reconciler) gatherUser(ctx context.Context, at *workload.Workload, p *prerequisites) error {
	if !oneNode(p.claim) {
		return nil
	}
	err := eachPage(ctx, r, func(pods *corev1.PodList) error {
		if p.user == nil {
			p.user = userOf(p.claim.Name, at, pods.Items)
		}
		return nil
	}, client.InNamespace(at.Namespace))
	if err != nil {
		return fmt.Errorf("find who uses PersistentVolumeClaim %s/%s: %w", at.Namespace, p.claim.Name, err)
	}
	return nil
}

// userOf is a pod on a node that has a claim mounted and is not of the workload; nil if there is none.
func userOf(claim string, at *workload.Workload, pods []corev1.Pod) *corev1.Pod {
	for i := range pods {
		pod := &pods[i]
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if ended || pod.Spec.NodeName == "" || pod.Labels[v1alpha1.LabelTransferUID] == string(at.UID) {
			continue
		}
		if slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
			return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
		}) {
			return pod.DeepCopy() // which does not keep the others in memory
		}
	}
	return nil
}

// targetUnused finds a claim that one pod may use, and does.
func targetUnused(_ *workload.Workload, p prerequisites) *violation {
	if p.user == nil || p.claim == nil || !slices.Equal(p.claim.Spec.AccessModes, onePod()) {
		return nil
	}
	return &violation{v1alpha1.ReasonClaimInUse, fmt.Sprintf(
		"the target PersistentVolumeClaim %q is ReadWriteOncePod and pod %q uses it; the restore begins once that has ended", p.claim.Name, p.user.Name)}
}

func onePod() []corev1.PersistentVolumeAccessMode {
	return []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
}

// placement says where the pods of a restore must run.
type placement struct {
	// together: one node has to have them all. node is which, if somebody uses the claim there.
	together bool
	node     string
}

func placementOf(p prerequisites) placement {
	where := placement{together: oneNode(p.claim)}
	if p.user != nil {
		where.node = p.user.Spec.NodeName
	}
	return where
}

// place puts all workers on one node if only one can have their claim, unless the user has said
// where they go.
func (w placement) place(pod *corev1.PodSpec, at *workload.Workload) {
	if pod.Affinity != nil || !w.together {
		return
	}
	pod.TopologySpreadConstraints = nil
	if w.node != "" {
		pod.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{w.node}}},
			}}},
		}}
		return
	}
	pod.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey:   corev1.LabelHostname,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelTransferUID: string(at.UID)}},
		}},
	}}
}

// startAlone creates the workers' Job of a restore, unless another restore writes into the same
// directory. Restores that were created at the same time, and are reconciled side by side, look
// one after the other, past the cache: it may not know yet that the other has begun.
func (r *Reconciler) startAlone(ctx context.Context, at *workload.Workload, start func() error) error {
	r.starting.Lock()
	defer r.starting.Unlock()
	err := eachPage(ctx, r, func(others *v1alpha1.ArchiveRestoreList) error {
		return r.noneHasBegun(ctx, at, others.Items)
	}, client.InNamespace(at.Namespace))
	if err != nil {
		return fmt.Errorf("find who restores into PersistentVolumeClaim %s/%s: %w", at.Namespace, targetName(at.Restore), err)
	}
	return start()
}

// noneHasBegun rejects a restore if one of the others writes into its directory.
func (r *Reconciler) noneHasBegun(ctx context.Context, at *workload.Workload, others []v1alpha1.ArchiveRestore) error {
	for i := range others {
		o := workload.Of(&others[i])
		if o.UID == at.UID || objects.Ended(o) || !overlap(o.Restore, at.Restore) {
			continue
		}
		began, err := r.hasBegun(ctx, o)
		if err != nil {
			return err
		}
		if began {
			return (*rejection)(targetFree(at, prerequisites{busy: o.Restore}))
		}
	}
	return nil
}

// hasBegun tells whether a workload has a workers' Job, past the cache.
func (r *Reconciler) hasBegun(ctx context.Context, at *workload.Workload) (bool, error) {
	job, err := objects.GetOrNil(ctx, r.APIReader, at.Namespace, objects.WorkersJobName(at), &batchv1.Job{})
	if err != nil {
		return false, err
	}
	return at.Status.StartTime != nil || job != nil && metav1.IsControlledBy(job, at), nil
}
