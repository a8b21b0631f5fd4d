package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination"
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
	// heard is what the workers last reported, by the UID of their pod.
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
	deciding := d.Clock.Now()
	plan := d.core.Tick(now)
	d.core.Spend(d.Clock.Since(deciding)) // not what the API server takes: data moves meanwhile
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
	for uid, pod := range m.pods {
		if starting(pod) {
			d.core.AddWorker(now, coordination.WorkerID(uid), id, 0)
		}
	}
	for uid, lease := range m.leases {
		errs = append(errs, d.observeLease(ctx, now, m, coordination.WorkerID(uid), lease))
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
	for uid := range m.leases {
		pod := m.pods[uid]
		switch {
		case pod == nil:
			d.core.RemoveWorker(now, coordination.WorkerID(uid), false)
		case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
			d.core.RemoveWorker(now, coordination.WorkerID(uid), true)
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
	for uid, lease := range m.leases {
		if d.core.HasWorker(coordination.WorkerID(uid)) {
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
