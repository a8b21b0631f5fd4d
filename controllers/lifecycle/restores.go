package lifecycle

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// gatherRestore reads what only a restore needs, and sets its source.
func (r *Reconciler) gatherRestore(ctx context.Context, at *workload.Workload, p *prerequisites) (err error) {
	if ref := at.Restore.Spec.From.TransferRef; ref != nil && at.Source == nil {
		if p.transfer, err = objects.GetOrNil(ctx, r.Client, at.Namespace, ref.Name, &v1alpha1.ArchiveTransfer{}); err != nil {
			return err
		}
	}
	if at.Source == nil {
		at.ReadsFrom(sourceOf(at.Restore, p.transfer))
	}
	var others v1alpha1.ArchiveRestoreList
	if err := r.Client.List(ctx, &others, client.InNamespace(at.Namespace)); err != nil {
		return fmt.Errorf("list the ArchiveRestores of namespace %s: %w", at.Namespace, err)
	}
	p.busy = before(at.Restore, others.Items)
	return nil
}

// sourceOf is the run that a restore reads, nil while it is unknown. The latest run is the
// latest at the time when the restore was created, so that all its workers find the same.
func sourceOf(ar *v1alpha1.ArchiveRestore, transfer *v1alpha1.ArchiveTransfer) *v1alpha1.RestoredRun {
	from := ar.Spec.From
	// Times of creation are in whole seconds, rounded down.
	created := ptr.To(metav1.NewTime(ar.CreationTimestamp.Add(time.Second)))
	switch {
	case from.Location != nil && from.Run != nil:
		return &v1alpha1.RestoredRun{Location: *from.Location, Run: *from.Run}
	case from.Location != nil:
		return &v1alpha1.RestoredRun{Location: *from.Location, Run: v1alpha1.RunSelector{Before: created}}
	case transfer != nil:
		return &v1alpha1.RestoredRun{Location: transfer.Spec.Destination.Location, Run: v1alpha1.RunSelector{ID: string(transfer.UID)}}
	default:
		return nil
	}
}

// before is another restore that writes to the same place and has precedence; nil if there is none.
func before(ar *v1alpha1.ArchiveRestore, others []v1alpha1.ArchiveRestore) *v1alpha1.ArchiveRestore {
	for i := range others {
		o := &others[i]
		if o.UID == ar.UID || objects.Ended(workload.Of(o)) || !overlap(ar, o) {
			continue
		}
		// One that has begun goes on; of two that have not, the older begins.
		age := cmp.Or(o.CreationTimestamp.Compare(ar.CreationTimestamp.Time), cmp.Compare(o.UID, ar.UID))
		if o.Status.StartTime != nil || age < 0 {
			return o
		}
	}
	return nil
}

// overlap tells whether one target lies in the other.
func overlap(a, b *v1alpha1.ArchiveRestore) bool {
	inside := func(x, y string) bool { return y == "." || x == y || strings.HasPrefix(x, y+"/") }
	p, q := path.Clean(a.Spec.To.Path), path.Clean(b.Spec.To.Path)
	return targetName(a) == targetName(b) && (inside(p, q) || inside(q, p))
}

func sourceKnown(at *workload.Workload, p prerequisites) *violation {
	ref := at.Restore.Spec.From.TransferRef
	switch {
	case ref == nil || at.Restore.Status.Source != nil:
		return nil
	case p.transfer == nil:
		return &violation{v1alpha1.ReasonTransferNotFound, fmt.Sprintf(
			"the ArchiveTransfer %q does not exist in namespace %q; name another, or give spec.from.location in a new restore", ref.Name, at.Namespace)}
	case !objects.Ended(workload.Of(p.transfer)):
		return &violation{v1alpha1.ReasonTransferRunning, fmt.Sprintf(
			"the ArchiveTransfer %q has not ended yet; the restore begins once it has", ref.Name)}
	}
	return nil
}

// targetWritable finds claims that the workers could not write to, or not all of them.
func targetWritable(at *workload.Workload, p prerequisites) *violation {
	c := p.claim
	switch {
	case c == nil:
		return nil // which claimUsable tells
	case c.DeletionTimestamp != nil:
		return &violation{v1alpha1.ReasonClaimNotWritable, fmt.Sprintf("the target PersistentVolumeClaim %q is being deleted; create it again", c.Name)}
	case !slices.ContainsFunc(c.Spec.AccessModes, func(m corev1.PersistentVolumeAccessMode) bool { return m != corev1.ReadOnlyMany }):
		return &violation{v1alpha1.ReasonClaimNotWritable, fmt.Sprintf(
			"the target PersistentVolumeClaim %q can only be read (%v); use one that can be written to", c.Name, c.Spec.AccessModes)}
	case at.Spec.Workers.Count > 1 && slices.Equal(c.Spec.AccessModes, onePod()):
		return &violation{v1alpha1.ReasonClaimNotWritable, fmt.Sprintf(
			"the target PersistentVolumeClaim %q is ReadWriteOncePod, which one pod at a time may use; set spec.workers.count to 1", c.Name)}
	}
	return nil
}

func targetFree(_ *workload.Workload, p prerequisites) *violation {
	if p.busy == nil {
		return nil
	}
	return &violation{v1alpha1.ReasonTargetBusy, fmt.Sprintf(
		"ArchiveRestore %q restores into the same directory; this one begins once that has ended", p.busy.Name)}
}

// oneNode tells that all pods which use a claim must be on the node that has it.
func oneNode(c *corev1.PersistentVolumeClaim) bool {
	return c != nil && !slices.Contains(c.Spec.AccessModes, corev1.ReadWriteMany)
}
