package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/workload"
)

const (
	// leaseWrites bounds how many leases are written at once.
	leaseWrites = 8
	// foreignGrace is longer than a manager that lost its leadership goes on.
	foreignGrace = 5 * time.Second
)

// writeGrants makes the specs of the leases be as the core wants them.
func (d *domain) writeGrants(ctx context.Context, members []*member, plan protocol.Plan) error {
	byID := map[protocol.TransferID]*member{}
	for _, m := range members {
		byID[protocol.TransferID(m.transfer.UID)] = m
	}
	var group errgroup.Group
	group.SetLimit(leaseWrites)
	var errs []error
	known := d.foreign
	d.foreign = map[types.UID]time.Time{} // of those that hold such a grant still
	for _, g := range plan.Grants {
		m := byID[g.Transfer]
		if c := d.claims[g.Transfer]; m == nil || c == nil || c.unrecorded {
			continue
		}
		if lease := m.leases[string(g.Worker)]; lease != nil && isLater(lease.Spec, g) {
			errs = append(errs, d.dropForeign(ctx, lease, known))
			continue
		}
		group.Go(func() error { return safely(func() error { return d.writeGrant(ctx, m, g) }) })
	}
	return errors.Join(append(errs, group.Wait())...)
}

// writeGrant creates or updates one lease, also one that somebody else has edited.
func (d *domain) writeGrant(ctx context.Context, m *member, g protocol.Grant) error {
	uid := string(g.Worker)
	if d.parked(uid) {
		return nil
	}
	spec := convert.Grant(g)
	spec.TransferName = m.transfer.Name
	lease := m.leases[uid]
	if lease == nil {
		pod := m.pods[uid]
		if pod == nil || !starting(pod) {
			return nil
		}
		return d.wrote(ctx, m, uid, d.createLease(ctx, m.transfer, pod, spec))
	}
	if equality.Semantic.DeepEqual(lease.Spec, spec) {
		return nil
	}
	patch, err := replaceGrant(lease, spec)
	if err != nil {
		return fmt.Errorf("encode the grant of PrefixLease %s: %w", client.ObjectKeyFromObject(lease), err)
	}
	err = d.Client.Patch(ctx, lease.DeepCopy(), patch)
	if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) && d.behind(ctx, lease) {
		return nil // the cache was behind; the next tick writes again
	}
	if err != nil {
		err = fmt.Errorf("write PrefixLease %s: %w", client.ObjectKeyFromObject(lease), err)
	}
	return d.wrote(ctx, m, uid, err)
}

// wrote records the outcome of writing a lease. One that the API server rejects, or whose
// name is taken, is parked.
func (d *domain) wrote(ctx context.Context, m *member, uid string, err error) error {
	var taken *nameTaken
	switch {
	case rejects(err), errors.As(err, &taken):
		d.park(ctx, uid, "write a lease", err, m.transfer)
		return nil
	case err != nil:
		return err
	}
	d.unpark(uid)
	d.Metrics.Write("PrefixLease")
	return nil
}

// nameTaken is the error of a lease that cannot be made until somebody deletes another.
type nameTaken struct{ lease client.ObjectKey }

func (e *nameTaken) Error() string {
	return fmt.Sprintf("PrefixLease %s exists and is not of this transfer's worker of that name; delete it", e.lease)
}

// checkOwn tells a lease that was created a moment ago, and is not in the cache yet, from
// one that somebody else has made under the name of the pod.
func (d *domain) checkOwn(ctx context.Context, at *workload.Workload, pod *corev1.Pod, lease *v1alpha1.PrefixLease) error {
	existing, err := objects.GetOrNil(ctx, d.APIReader, lease.Namespace, lease.Name, &v1alpha1.PrefixLease{})
	if err != nil || existing == nil || metav1.IsControlledBy(existing, at) && existing.Spec.PodUID == string(pod.UID) {
		return err
	}
	return &nameTaken{client.ObjectKeyFromObject(lease)}
}

// replaceGrant replaces the grant that was read and no other, so that a manager that
// no longer leads can't overwrite a newer one. The version of the object would not do
// for that: it changes with every report, which come more often than ticks.
func replaceGrant(lease *v1alpha1.PrefixLease, spec v1alpha1.PrefixLeaseSpec) (client.Patch, error) {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	body, err := json.Marshal([]operation{
		{"test", "/metadata/uid", lease.UID},
		{"test", "/spec/epoch", lease.Spec.Epoch},
		{"test", "/spec/sequence", lease.Spec.Sequence},
		{"replace", "/spec", spec},
	})
	return client.RawPatch(types.JSONPatchType, body), err
}

// behind tells that the API holds another grant than the cache.
func (d *domain) behind(ctx context.Context, lease *v1alpha1.PrefixLease) bool {
	var live v1alpha1.PrefixLease
	if err := d.APIReader.Get(ctx, client.ObjectKeyFromObject(lease), &live); err != nil {
		return apierrors.IsNotFound(err)
	}
	return live.UID != lease.UID || live.Spec.Epoch != lease.Spec.Epoch || live.Spec.Sequence != lease.Spec.Sequence
}

// isLater tells whether a worker obeys the written grant rather than g.
func isLater(written v1alpha1.PrefixLeaseSpec, g protocol.Grant) bool {
	return written.Epoch > g.Epoch || written.Epoch == g.Epoch && written.Sequence > g.Sequence
}

// isForeign tells that a later leader wrote what says that it is of an epoch. This manager
// then stops within foreignGrace of since, which is kept for the caller; else somebody wrote
// it by hand.
func (d *domain) isForeign(epoch int64, since *time.Time) bool {
	if epoch <= d.epoch || epoch >= lastEpoch {
		*since = time.Time{}
		return false
	}
	now := d.Clock.Now()
	if since.IsZero() {
		*since = now
	}
	return now.Sub(*since) < foreignGrace
}

// dropForeign deletes a lease that holds a grant later than this leader's. Another
// manager that leads would write such, and this one then stops within foreignGrace;
// else somebody made it by hand. The worker ends with its lease, and the Job starts
// another.
func (d *domain) dropForeign(ctx context.Context, lease *v1alpha1.PrefixLease, known map[types.UID]time.Time) error {
	now := d.Clock.Now()
	since, seen := known[lease.UID]
	if !seen {
		since = now
	}
	if now.Sub(since) < foreignGrace {
		d.foreign[lease.UID] = since
		return nil
	}
	log.FromContext(ctx).WithName("coordinator").Info("deleting a lease that holds a grant which no manager wrote; its worker will be replaced",
		"lease", client.ObjectKeyFromObject(lease), "epoch", lease.Spec.Epoch, "sequence", lease.Spec.Sequence, "ownEpoch", d.epoch)
	err := d.Client.Delete(ctx, lease, client.Preconditions{UID: &lease.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete PrefixLease %s, whose grant no manager wrote: %w", client.ObjectKeyFromObject(lease), err)
	}
	return nil
}

func (d *domain) createLease(ctx context.Context, at *workload.Workload, pod *corev1.Pod, spec v1alpha1.PrefixLeaseSpec) error {
	lease := &v1alpha1.PrefixLease{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: at.Namespace,
			Labels:          objects.Labels(at, v1alpha1.RoleWorker),
			OwnerReferences: []metav1.OwnerReference{objects.OwnerReference(at)},
		},
		Spec: spec,
	}
	err := d.Client.Create(ctx, lease)
	if apierrors.IsAlreadyExists(err) {
		return d.checkOwn(ctx, at, pod, lease)
	}
	if err != nil {
		return fmt.Errorf("create PrefixLease %s: %w", client.ObjectKeyFromObject(lease), err)
	}
	return nil
}
