package lifecycle

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// A claim whose dataSourceRef names a restore is left alone by provisioners. The restore writes
// into a claim of its own, the prime claim, of the same class, size and modes, whose volume is handed over
// to the user's claim at the end. It is the way of Kubernetes' volume populators.

// annotationSelectedNode is where the scheduler notes the node of a claim's first consumer.
const annotationSelectedNode = "volume.kubernetes.io/selected-node"

// population is what a restore with spec.to.populator has to do with.
type population struct {
	// allowed: the administrator lets the manager hand volumes over.
	allowed bool
	// user is the claim to populate, prime the restore's own that is restored into; nil for none yet.
	user, prime *corev1.PersistentVolumeClaim
	// taken: somebody else has a claim of the prime claim's name. It is never touched.
	taken bool
	class *storagev1.StorageClass
}

// populates tells whether the restore is a volume populator.
func populates(at *workload.Workload) bool {
	return at.Restore != nil && at.Restore.Spec.To.Populator != nil
}

// primeName is the name of the prime claim of a restore.
func primeName(ar *v1alpha1.ArchiveRestore) string { return ar.Name + "-prime" }

// targetName is the claim that a restore writes into.
func targetName(ar *v1alpha1.ArchiveRestore) string {
	if ar.Spec.To.Populator != nil {
		return primeName(ar)
	}
	return ar.Spec.To.PersistentVolumeClaim.ClaimName
}

// gatherPopulation reads the claims of a restore that populates one; nil for any other.
func (r *Reconciler) gatherPopulation(ctx context.Context, at *workload.Workload) (*population, error) {
	if !populates(at) {
		return nil, nil
	}
	p := &population{allowed: r.Populates}
	if !p.allowed {
		return p, nil
	}
	var err error
	if p.prime, p.taken, err = r.readPrime(ctx, at); err != nil {
		return nil, err
	}
	err = eachPage(ctx, r, func(claims *corev1.PersistentVolumeClaimList) error {
		if p.user != nil {
			claims.Items = append(claims.Items, *p.user)
		}
		p.user = populatedBy(at.Restore, p.prime, claims.Items)
		return nil
	}, client.InNamespace(at.Namespace))
	if err != nil {
		return nil, fmt.Errorf("find the PersistentVolumeClaim that names %s: %w", at, err)
	}
	if p.user != nil && ptr.Deref(p.user.Spec.StorageClassName, "") != "" {
		p.class, err = objects.GetOrNil(ctx, r.APIReader, "", *p.user.Spec.StorageClassName, &storagev1.StorageClass{})
	}
	return p, err
}

// readPrime reads the prime claim. One of its name that the restore does not control is somebody else's.
func (r *Reconciler) readPrime(ctx context.Context, at *workload.Workload) (prime *corev1.PersistentVolumeClaim, taken bool, err error) {
	prime, err = objects.GetOrNil(ctx, r.APIReader, at.Namespace, primeName(at.Restore), &corev1.PersistentVolumeClaim{})
	if err != nil || prime == nil || metav1.IsControlledBy(prime, at) {
		return prime, false, err
	}
	return nil, true, nil
}

// primeTaken says that the prime claim can't be made.
func primeTaken(at *workload.Workload) *violation {
	return &violation{v1alpha1.ReasonNameTaken, fmt.Sprintf(
		"PersistentVolumeClaim %s exists and does not belong to this restore; delete it, or create the restore under another name", primeName(at.Restore))}
}

// populatedBy is the claim that a restore populates: the oldest that names it and has no volume but
// that of the prime claim; nil if there is none.
func populatedBy(ar *v1alpha1.ArchiveRestore, prime *corev1.PersistentVolumeClaim, claims []corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	named := slices.DeleteFunc(claims, func(c corev1.PersistentVolumeClaim) bool {
		ref := c.Spec.DataSourceRef
		return ref == nil || ptr.Deref(ref.APIGroup, "") != v1alpha1.GroupVersion.Group || ref.Kind != workload.KindRestore ||
			ref.Name != ar.Name || ref.Namespace != nil && *ref.Namespace != ar.Namespace || c.DeletionTimestamp != nil ||
			prime != nil && c.Spec.VolumeName != "" && c.Spec.VolumeName != prime.Spec.VolumeName
	})
	if len(named) == 0 {
		return nil
	}
	oldest := slices.MinFunc(named, func(a, b corev1.PersistentVolumeClaim) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return &oldest
}

// target is the claim to restore into: the prime claim, also before it exists.
func (p *population) target(at *workload.Workload) *corev1.PersistentVolumeClaim {
	if p.prime != nil || p.user == nil {
		return p.prime
	}
	return p.primeFor(at)
}

// primeFor makes the prime claim like the user's, but without a source.
func (p *population) primeFor(at *workload.Workload) *corev1.PersistentVolumeClaim {
	spec := p.user.Spec
	prime := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: at.Namespace, Name: primeName(at.Restore), Labels: objects.Labels(at, v1alpha1.RoleWorker),
			OwnerReferences: []metav1.OwnerReference{objects.OwnerReference(at)},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: spec.AccessModes, Resources: spec.Resources, StorageClassName: spec.StorageClassName,
			VolumeMode: spec.VolumeMode, VolumeAttributesClassName: spec.VolumeAttributesClassName,
		},
	}
	if node := p.user.Annotations[annotationSelectedNode]; node != "" {
		prime.Annotations = map[string]string{annotationSelectedNode: node}
	}
	return prime
}

// populationReady tells why there is no claim to restore into yet.
func populationReady(at *workload.Workload, all prerequisites) *violation {
	p := all.population
	switch {
	case p == nil:
		return nil
	case !p.allowed:
		return &violation{v1alpha1.ReasonPopulatorNotAllowed,
			"the administrator has not allowed spec.to.populator; restore into a claim by spec.to.persistentVolumeClaim, or have the manager started with --allow-volume-populator"}
	case p.user == nil:
		return &violation{v1alpha1.ReasonWaitingForClaim, fmt.Sprintf(
			"no PersistentVolumeClaim without a volume names this restore; create one in namespace %q with spec.dataSourceRef {apiGroup: %s, kind: %s, name: %s}",
			at.Namespace, v1alpha1.GroupVersion.Group, workload.KindRestore, at.Name)}
	case p.prime == nil && p.user.Spec.VolumeName != "":
		return &violation{v1alpha1.ReasonWaitingForClaim, fmt.Sprintf(
			"the PersistentVolumeClaim %q names this restore and has volume %q already; use one that a provisioner makes a volume for", p.user.Name, p.user.Spec.VolumeName)}
	case p.user.Spec.VolumeMode != nil && *p.user.Spec.VolumeMode == corev1.PersistentVolumeBlock:
		return &violation{v1alpha1.ReasonClaimNotWritable, fmt.Sprintf("the PersistentVolumeClaim %q has volumeMode Block; files are restored into Filesystem", p.user.Name)}
	case p.taken:
		return primeTaken(at)
	case p.prime == nil && waitsForConsumer(p.class) && p.user.Annotations[annotationSelectedNode] == "":
		return &violation{v1alpha1.ReasonWaitingForConsumer, fmt.Sprintf(
			"StorageClass %q binds claims when a pod uses them; the restore begins once a pod that uses PersistentVolumeClaim %q is scheduled", p.class.Name, p.user.Name)}
	}
	return nil
}

func waitsForConsumer(class *storagev1.StorageClass) bool {
	return class != nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

// ensurePrime makes the prime claim.
func (r *Reconciler) ensurePrime(ctx context.Context, in input) error {
	p := in.population
	if p == nil || p.prime != nil || p.user == nil {
		return nil
	}
	err := r.Client.Create(ctx, p.primeFor(in.transfer))
	switch {
	case err == nil:
		return nil
	case apierrors.IsAlreadyExists(err):
		_, taken, err := r.readPrime(ctx, in.transfer)
		if taken {
			return (*rejection)(primeTaken(in.transfer))
		}
		return err
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return &rejection{string(apierrors.ReasonForError(err)), fmt.Sprintf("create PersistentVolumeClaim %s: %v", primeName(in.transfer.Restore), err)}
	default:
		return fmt.Errorf("create PersistentVolumeClaim %s: %w", primeName(in.transfer.Restore), err)
	}
}

// handedOver tells whether the user's claim has the volume, and the prime claim is gone or goes.
func (p *population) handedOver() bool {
	return p == nil || (p.prime == nil || p.prime.DeletionTimestamp != nil) && p.user != nil && p.user.Status.Phase == corev1.ClaimBound
}

// leaveVolume deletes the Jobs of an ended restore that populates a claim: as long as their pods exist,
// the prime claim does.
func (r *Reconciler) leaveVolume(ctx context.Context, in input) error {
	if !populates(in.transfer) || meta.IsStatusConditionTrue(in.transfer.Status.Conditions, v1alpha1.ConditionFailed) {
		return nil
	}
	for _, job := range []*batchv1.Job{in.workers, in.finish} {
		if job != nil && job.DeletionTimestamp == nil {
			if err := r.deleteJob(ctx, job, metav1.DeletePropagationBackground); err != nil {
				return err
			}
		}
	}
	return nil
}

// decideHandOver hands the volume over once everything is restored.
func decideHandOver(in input, end decision) decision {
	if end.failed || in.population.handedOver() {
		return end
	}
	d := decision{action: actHandOver, progressing: true, reason: v1alpha1.ReasonBinding, again: minBackoff,
		message: "everything is restored; the volume is being bound to the claim that names this restore"}
	if in.population.user == nil {
		d.progressing, d.reason, d.again = false, v1alpha1.ReasonWaitingForClaim, backoff(in)
		d.message = "everything is restored, and the PersistentVolumeClaim that named this restore is gone; create it again"
	}
	return d
}

// handOver binds the volume of the prime claim to the user's, and deletes the prime claim once it is.
func (r *Reconciler) handOver(ctx context.Context, in input) error {
	p := in.population
	switch {
	case p.user == nil:
		return nil
	case p.prime == nil:
		return &rejection{v1alpha1.ReasonClaimNotFound, fmt.Sprintf(
			"PersistentVolumeClaim %s, which was restored into, was deleted; create the restore again", primeName(in.transfer.Restore))}
	case p.user.Status.Phase == corev1.ClaimBound:
		err := r.Client.Delete(ctx, p.prime, client.Preconditions{UID: &p.prime.UID})
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete PersistentVolumeClaim %s: %w", client.ObjectKeyFromObject(p.prime), err)
		}
		return nil
	}
	volume, err := objects.GetOrNil(ctx, r.APIReader, "", p.prime.Spec.VolumeName, &corev1.PersistentVolume{})
	if err != nil {
		return err
	}
	if volume == nil || !mayHandOver(volume, p) {
		return &rejection{v1alpha1.ReasonClaimNotBound, fmt.Sprintf(
			"volume %q does not belong to PersistentVolumeClaim %s any more; create the restore again", p.prime.Spec.VolumeName, p.prime.Name)}
	}
	if volume.Spec.ClaimRef.UID == p.user.UID {
		return nil
	}
	before := volume.DeepCopy()
	volume.Spec.ClaimRef = &corev1.ObjectReference{
		APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: p.user.Namespace, Name: p.user.Name, UID: p.user.UID,
		ResourceVersion: p.user.ResourceVersion,
	}
	if err := r.Client.Patch(ctx, volume, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("hand volume %s over to PersistentVolumeClaim %s: %w", volume.Name, client.ObjectKeyFromObject(p.user), err)
	}
	return nil
}

// mayHandOver tells that a volume is that of the prime claim, or is the user's already. What
// anybody may write into a claim does not make a volume his.
func mayHandOver(v *corev1.PersistentVolume, p *population) bool {
	ref := v.Spec.ClaimRef
	return ref != nil && (ref.UID == p.prime.UID || ref.UID == p.user.UID)
}
