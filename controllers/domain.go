package controllers

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
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination"
)

const (
	// leaseWrites bounds how many leases are written at once.
	leaseWrites = 8
	// foreignGrace is longer than a manager that lost its leadership goes on.
	foreignGrace = 5 * time.Second
)

// domain is one endpoint and bucket under control.
type domain struct {
	*Coordinator

	name   string
	core   *coordination.PipelineCoordinator
	claims map[coordination.TransferID]*claim
	due    time.Time
	// foreign tells since when leases hold grants that came after every one of this leader.
	foreign map[types.UID]time.Time
}

// claim is what the manager remembers of a transfer besides what the core does.
type claim struct {
	checksum string
	// heard is what the workers last reported, by lease.
	heard map[string]heard
	// failures are those recorded before.
	failures []v1alpha1.ArchiveFailure
	// recorded is the status last written, to write only changes.
	recorded *v1alpha1.ArchiveTransferStatus
	// unrecorded is set while the API does not hold what the core has counted;
	// no report is acknowledged meanwhile.
	unrecorded bool
}

// newDomain takes control of a domain from what the API holds of it.
func newDomain(c *Coordinator, name string, members []*member) (*domain, error) {
	core, err := coordination.NewPipelineCoordinator(coordination.Options{Rand: c.Rand})
	if err != nil {
		return nil, err
	}
	d := &domain{Coordinator: c, name: name, core: core, claims: map[coordination.TransferID]*claim{}, foreign: map[types.UID]time.Time{}}
	snapshot := coordination.Snapshot{}
	for _, m := range members {
		if s := m.transfer.Status.Coordination; s != nil && s.Snapshot != "" && snapshot.Path == nil {
			var err error
			if snapshot, err = coordination.DecodeSnapshot([]byte(s.Snapshot)); err != nil {
				log.Log.WithName("coordinator").Error(err, "the snapshot is ignored", "domain", name,
					"archiveTransfer", client.ObjectKeyFromObject(m.transfer))
			}
		}
	}
	snapshot.Epoch = c.epoch
	return d, core.Start(c.Clock.Now(), snapshot)
}

// tick lets the core decide once, if the domain is due.
func (d *domain) tick(ctx context.Context, members []*member) error {
	now := d.Clock.Now()
	if now.Before(d.due) {
		return nil
	}
	began := now
	var errs []error
	for _, m := range members {
		errs = append(errs, d.admit(now, m), d.observe(ctx, now, m))
	}
	d.dropAbsent(now, members)
	plan := d.core.Tick(now)
	d.due = now.Add(d.core.Interval())
	for _, t := range plan.Transitions {
		log.FromContext(ctx).WithName("coordinator").Info("changed state", "domain", d.name, "group", t.Group,
			"from", t.From, "to", t.To, "cause", t.Cause)
		d.Metrics.Transition(d.name, string(t.From), string(t.To), t.Cause)
	}
	decided := d.Clock.Now()
	// What has ended is recorded before it is acknowledged: a manager that dies
	// in between forgets nothing.
	for _, m := range members {
		errs = append(errs, d.record(ctx, now, m), d.deleteLeases(ctx, m))
	}
	errs = append(errs, d.writeGrants(ctx, members, plan))
	whole := d.Clock.Since(began)
	d.core.Spend(whole)
	d.Metrics.Tick(d.name, decided.Sub(began), whole)
	d.Metrics.Coordination(d.name, convert.CoordinationMetrics(d.core.Metrics(now)))
	return errors.Join(errs...)
}

// admit tells the core of a transfer, or of a change of its spec.
func (d *domain) admit(now time.Time, m *member) error {
	id := coordination.TransferID(m.transfer.UID)
	t, err := convert.Transfer(m.transfer)
	if err != nil {
		return err
	}
	if err := d.core.PutTransfer(now, t); err != nil {
		return fmt.Errorf("coordinating ArchiveTransfer %s: %w", client.ObjectKeyFromObject(m.transfer), err)
	}
	if d.claims[id] != nil {
		return nil
	}
	d.claims[id] = newClaim(m.transfer.Status)
	d.core.SetPlanning(id, m.transfer.Status.Progress == nil || m.transfer.Status.Progress.Planning != planningComplete)
	for _, lease := range m.leases {
		d.core.AdoptGrant(now, convert.LeaseGrant(id, lease))
		d.claims[id].takeNote(now, lease) // another manager has counted it
	}
	return nil
}

func newClaim(s v1alpha1.ArchiveTransferStatus) *claim {
	return &claim{heard: map[string]heard{}, failures: s.Failures, checksum: s.ChecksumAlgorithm}
}

// observe takes in what pods there are and what their workers report.
func (d *domain) observe(ctx context.Context, now time.Time, m *member) error {
	id := coordination.TransferID(m.transfer.UID)
	if d.claims[id] == nil {
		return nil // it was not admitted
	}
	var errs []error
	for name, pod := range m.pods {
		if starting(pod) {
			d.core.AddWorker(now, coordination.WorkerID(name), id, 0)
		}
	}
	for name, lease := range m.leases {
		errs = append(errs, d.observeLease(ctx, now, m, coordination.WorkerID(name), lease))
	}
	d.removeGone(now, m)
	if readyToClose(m.transfer) {
		d.core.Drain(now, id)
	}
	return errors.Join(errs...)
}

// starting tells whether a pod is, or soon will be, a worker to lease to.
func starting(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Spec.NodeName != "" &&
		(pod.Status.Phase == corev1.PodPending || pod.Status.Phase == corev1.PodRunning)
}

func (d *domain) observeLease(ctx context.Context, now time.Time, m *member, worker coordination.WorkerID, lease *v1alpha1.PrefixLease) error {
	id := coordination.TransferID(m.transfer.UID)
	c, s := d.claims[id], lease.Status
	if s.Instance == "" {
		return nil
	}
	err := d.core.Observe(now, convert.Report(worker, id, s))
	if err != nil && !errors.Is(err, coordination.ErrStaleReport) {
		log.FromContext(ctx).WithName("coordinator").Info("ignored a report", "lease", lease.Name, "cause", err.Error())
		d.Metrics.IgnoredReport(d.name)
		return nil
	}
	if s.ChecksumAlgorithm != "" {
		c.checksum = s.ChecksumAlgorithm
	}
	d.count(now, m, c, lease)
	return nil
}

// removeGone tells the core of workers whose pods have ended. A pod that
// vanished without a word may still be running somewhere, so its lease has to
// expire first.
func (d *domain) removeGone(now time.Time, m *member) {
	for name, lease := range m.leases {
		pod := m.pods[name]
		switch {
		case pod == nil || string(pod.UID) != lease.Spec.PodUID:
			d.core.RemoveWorker(now, coordination.WorkerID(name), false)
		case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
			d.core.RemoveWorker(now, coordination.WorkerID(name), true)
		}
	}
}

// deleteLeases deletes the leases that no worker holds any more, once all that
// they reported is recorded.
func (d *domain) deleteLeases(ctx context.Context, m *member) error {
	if c := d.claims[coordination.TransferID(m.transfer.UID)]; c == nil || c.unrecorded {
		return nil
	}
	var errs []error
	for name, lease := range m.leases {
		if d.core.HasWorker(coordination.WorkerID(name)) {
			continue
		}
		err := d.Client.Delete(ctx, lease, client.Preconditions{UID: &lease.UID})
		if client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("deleting PrefixLease %s: %w", client.ObjectKeyFromObject(lease), err))
		}
	}
	return errors.Join(errs...)
}

// dropAbsent withdraws the claims of transfers that have left the domain.
func (d *domain) dropAbsent(now time.Time, members []*member) {
	present := map[coordination.TransferID]bool{}
	for _, m := range members {
		present[coordination.TransferID(m.transfer.UID)] = true
	}
	for id := range d.claims {
		if !present[id] {
			d.core.RemoveTransfer(now, id)
			delete(d.claims, id)
			d.Metrics.Forget(string(id))
		}
	}
}

// close withdraws every claim, when the last transfer has left the domain.
func (d *domain) close() {
	d.dropAbsent(d.Clock.Now(), nil)
	d.Metrics.ForgetDomain(d.name)
}

// record writes the coordinator's part of a transfer's status, if it changed.
func (d *domain) record(ctx context.Context, now time.Time, m *member) error {
	id := coordination.TransferID(m.transfer.UID)
	c := d.claims[id]
	if c == nil {
		return nil
	}
	status := d.status(now, m, c)
	d.Metrics.Transfer(m.transfer, status)
	d.showReportAge(now, m, c)
	if c.recorded != nil && equality.Semantic.DeepEqual(*c.recorded, status) {
		return nil
	}
	if err := applyStatus(ctx, d.Client, ownerCoordinator, m.transfer, status); err != nil {
		c.unrecorded = true
		return client.IgnoreNotFound(err)
	}
	d.Metrics.Write("ArchiveTransfer")
	c.unrecorded, c.recorded = false, &status
	return nil
}

// writeGrants makes the specs of the leases be as the core wants them.
func (d *domain) writeGrants(ctx context.Context, members []*member, plan coordination.Plan) error {
	byID := map[coordination.TransferID]*member{}
	for _, m := range members {
		byID[coordination.TransferID(m.transfer.UID)] = m
	}
	var group errgroup.Group
	group.SetLimit(leaseWrites)
	var errs []error
	for _, g := range plan.Grants {
		m := byID[g.Transfer]
		if m == nil || d.claims[g.Transfer].unrecorded {
			continue
		}
		if lease := m.leases[string(g.Worker)]; lease != nil && isLater(lease.Spec, g) {
			errs = append(errs, d.dropForeign(ctx, lease))
			continue
		}
		group.Go(func() error { return d.writeGrant(ctx, m, g) })
	}
	return errors.Join(append(errs, group.Wait())...)
}

// writeGrant creates or updates one lease, also one that somebody else has edited.
func (d *domain) writeGrant(ctx context.Context, m *member, g coordination.Grant) error {
	name := string(g.Worker)
	spec := convert.Grant(g)
	spec.TransferName = m.transfer.Name
	lease := m.leases[name]
	if lease == nil {
		pod := m.pods[name]
		if pod == nil || !starting(pod) {
			return nil
		}
		return d.createLease(ctx, m.transfer, pod, spec)
	}
	spec.PodUID = lease.Spec.PodUID
	if equality.Semantic.DeepEqual(lease.Spec, spec) {
		return nil
	}
	patch, err := replaceGrant(lease, spec)
	if err != nil {
		return fmt.Errorf("encoding the grant of PrefixLease %s: %w", client.ObjectKeyFromObject(lease), err)
	}
	err = d.Client.Patch(ctx, lease.DeepCopy(), patch)
	if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) && d.behind(ctx, lease) {
		return nil // the cache was behind; the next tick writes again
	}
	if err != nil {
		return fmt.Errorf("writing PrefixLease %s: %w", client.ObjectKeyFromObject(lease), err)
	}
	d.Metrics.Write("PrefixLease")
	return nil
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

// isLater tells that a worker obeys what stands rather than g.
func isLater(stands v1alpha1.PrefixLeaseSpec, g coordination.Grant) bool {
	return stands.Epoch > g.Epoch || stands.Epoch == g.Epoch && stands.Sequence > g.Sequence
}

// dropForeign deletes a lease that holds a grant later than this leader's. Another
// manager that leads would write such, and this one then stops within foreignGrace;
// else somebody made it by hand. The worker ends with its lease, and the Job starts
// another.
func (d *domain) dropForeign(ctx context.Context, lease *v1alpha1.PrefixLease) error {
	now := d.Clock.Now()
	since, known := d.foreign[lease.UID]
	if !known {
		d.foreign[lease.UID] = now
	}
	if !known || now.Sub(since) < foreignGrace {
		return nil
	}
	delete(d.foreign, lease.UID)
	log.FromContext(ctx).WithName("coordinator").Info("deleting a lease that holds a grant which no manager wrote; its worker will be replaced",
		"lease", client.ObjectKeyFromObject(lease), "epoch", lease.Spec.Epoch, "sequence", lease.Spec.Sequence, "ownEpoch", d.epoch)
	err := d.Client.Delete(ctx, lease, client.Preconditions{UID: &lease.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting PrefixLease %s, whose grant no manager wrote: %w", client.ObjectKeyFromObject(lease), err)
	}
	return nil
}

func (d *domain) createLease(ctx context.Context, at *v1alpha1.ArchiveTransfer, pod *corev1.Pod, spec v1alpha1.PrefixLeaseSpec) error {
	spec.PodUID = string(pod.UID)
	lease := &v1alpha1.PrefixLease{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: at.Namespace,
			Labels:          transferLabels(at, v1alpha1.RoleWorker),
			OwnerReferences: []metav1.OwnerReference{ownerReference(at)},
		},
		Spec: spec,
	}
	err := d.Client.Create(ctx, lease)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("creating PrefixLease %s: %w", client.ObjectKeyFromObject(lease), err)
	}
	d.Metrics.Write("PrefixLease")
	return nil
}
