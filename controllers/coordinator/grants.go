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

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/workload"
)

const (
	// foreignGrace is longer than a manager that lost its leadership goes on.
	foreignGrace = 5 * time.Second
	// cacheLag is longer than the cache takes to show a lease that was made.
	cacheLag = 5 * time.Second
)

// grantWrites are the writes that make the leases of a transfer be as the core wants them, by
// worker. A lease with a grant that came after every one of this leader is left alone, or
// deleted.
func (d *domain) grantWrites(m *member, grants []protocol.Grant) map[protocol.WorkerID]write {
	writes := map[protocol.WorkerID]write{}
	for _, g := range grants {
		lease, pod := m.leases[string(g.Worker)], m.pods[string(g.Worker)]
		switch {
		case lease != nil && isLater(lease.Spec, g):
			if d.outlasts(lease) {
				writes[g.Worker] = func(ctx context.Context) error { return d.dropForeign(ctx, lease) }
			}
			continue
		case d.stands.is(d.Clock.Now(), g, lease), lease == nil && (pod == nil || !starting(pod)):
			continue
		}
		writes[g.Worker] = func(ctx context.Context) error { return d.writeGrant(ctx, m.transfer, g, lease, pod) }
	}
	return writes
}

// writeGrant creates or updates one lease, also one that somebody else has edited; lease is
// what the cache held when the grant was decided, nil for nothing.
func (d *domain) writeGrant(ctx context.Context, at *workload.Workload, g protocol.Grant, lease *v1alpha1.PrefixLease, pod *corev1.Pod) error {
	uid := string(g.Worker)
	if d.parked(uid) {
		return nil
	}
	spec := convert.Grant(g)
	spec.TransferName = at.Name
	stands, cached := d.stands.newest(d.Clock.Now(), g.Worker, lease)
	switch {
	case stands.lease.Name == "":
		return d.wrote(ctx, at, uid, d.createLease(ctx, at, pod, g, spec))
	case cached && equality.Semantic.DeepEqual(lease.Spec, spec), !cached && !stands.grant.Before(g.ID()):
		d.stands.put(d.Clock.Now(), g.Worker, stands)
		return nil
	}
	return d.replaceGrant(ctx, at, g, stands, spec)
}

// replaceGrant writes the grant of a lease that stands.
func (d *domain) replaceGrant(ctx context.Context, at *workload.Workload, g protocol.Grant, stands standing, spec v1alpha1.PrefixLeaseSpec) error {
	patch, err := replaceSpec(stands, spec)
	if err != nil {
		return fmt.Errorf("encode the grant of PrefixLease %s: %w", stands.lease, err)
	}
	lease := &v1alpha1.PrefixLease{}
	lease.Name, lease.Namespace = stands.lease.Name, stands.lease.Namespace
	err = d.Client.Patch(ctx, lease, patch)
	switch {
	case err == nil:
		d.stands.put(d.Clock.Now(), g.Worker, standingOf(lease))
	case apierrors.IsNotFound(err):
		d.stands.forget(g.Worker)
		return nil
	case apierrors.IsInvalid(err) && d.behind(ctx, g.Worker, stands):
		return nil // something else stands there; the next tick writes again
	default:
		err = fmt.Errorf("write PrefixLease %s: %w", stands.lease, err)
	}
	return d.wrote(ctx, at, string(g.Worker), err)
}

// wrote records the outcome of writing a lease. One that the API server rejects, or whose
// name is taken, is parked.
func (d *domain) wrote(ctx context.Context, at *workload.Workload, uid string, err error) error {
	var taken *nameTaken
	switch {
	case rejects(err), errors.As(err, &taken):
		d.park(ctx, uid, "write a lease", err, at)
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
func (d *domain) checkOwn(ctx context.Context, at *workload.Workload, worker protocol.WorkerID, lease *v1alpha1.PrefixLease) error {
	existing, err := objects.GetOrNil(ctx, d.APIReader, lease.Namespace, lease.Name, &v1alpha1.PrefixLease{})
	if err != nil || existing == nil {
		return err
	}
	if !metav1.IsControlledBy(existing, at) || existing.Spec.PodUID != string(worker) {
		return &nameTaken{client.ObjectKeyFromObject(lease)}
	}
	if existing.Spec.Epoch == d.epoch {
		d.stands.put(d.Clock.Now(), worker, standingOf(existing))
	}
	return nil
}

// replaceSpec replaces the grant that is known to stand and no other, so that a manager that
// no longer leads can't overwrite a newer one, nor a request that is late one that came after
// it. The version of the object would not do for that: it changes with every report, which come
// more often than grants.
func replaceSpec(stands standing, spec v1alpha1.PrefixLeaseSpec) (client.Patch, error) {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	body, err := json.Marshal([]operation{
		{"test", "/metadata/uid", stands.uid},
		{"test", "/spec/epoch", stands.grant.Epoch},
		{"test", "/spec/sequence", stands.grant.Sequence},
		{"replace", "/spec", spec},
	})
	return client.RawPatch(types.JSONPatchType, body), err
}

// behind tells that the API holds another grant than the one to be replaced, which is
// remembered if it is one of this leader.
func (d *domain) behind(ctx context.Context, worker protocol.WorkerID, stands standing) bool {
	var live v1alpha1.PrefixLease
	if err := d.APIReader.Get(ctx, stands.lease, &live); err != nil {
		if apierrors.IsNotFound(err) {
			d.stands.forget(worker)
		}
		return apierrors.IsNotFound(err)
	}
	found := standingOf(&live)
	if found.uid == stands.uid && found.grant == stands.grant {
		return false
	}
	if found.grant.Epoch == d.epoch && live.Spec.PodUID == string(worker) {
		d.stands.put(d.Clock.Now(), worker, found)
	} else {
		d.stands.forget(worker)
	}
	return true
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

// outlasts tells that a lease has held a grant later than this leader's for all of the
// grace. Another manager that leads would write such, and this one then stops within
// foreignGrace; else somebody made it by hand.
func (d *domain) outlasts(lease *v1alpha1.PrefixLease) bool {
	now := d.Clock.Now()
	since, seen := d.foreign[lease.UID]
	if !seen {
		since = now
	}
	d.stillForeign[lease.UID] = since
	return now.Sub(since) >= foreignGrace
}

// dropForeign deletes a lease that holds a grant which no manager wrote. The worker ends with
// its lease, and the Job starts another.
func (d *domain) dropForeign(ctx context.Context, lease *v1alpha1.PrefixLease) error {
	log.FromContext(ctx).WithName("coordinator").Info("deleting a lease that holds a grant which no manager wrote; its worker will be replaced",
		"lease", client.ObjectKeyFromObject(lease), "epoch", lease.Spec.Epoch, "sequence", lease.Spec.Sequence, "ownEpoch", d.epoch)
	return d.deleteLease(ctx, lease)
}

func (d *domain) deleteLease(ctx context.Context, lease *v1alpha1.PrefixLease) error {
	err := d.Client.Delete(ctx, lease, client.Preconditions{UID: &lease.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete PrefixLease %s: %w", client.ObjectKeyFromObject(lease), err)
	}
	return nil
}

func (d *domain) createLease(ctx context.Context, at *workload.Workload, pod *corev1.Pod, g protocol.Grant, spec v1alpha1.PrefixLeaseSpec) error {
	if pod == nil {
		return nil
	}
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
		return d.checkOwn(ctx, at, g.Worker, lease)
	}
	if err != nil {
		return fmt.Errorf("create PrefixLease %s: %w", client.ObjectKeyFromObject(lease), err)
	}
	d.stands.put(d.Clock.Now(), g.Worker, standingOf(lease))
	return nil
}
