package coordinator

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/tracing"
)

// domain is one endpoint and bucket under control, or all with one quota key, in one direction.
type domain struct {
	*Coordinator

	name string
	// epoch is the domain's own; the coordinator's is that of the next.
	epoch  int64
	core   *coordination.PipelineCoordinator
	claims map[protocol.TransferID]*claim
	due    time.Time
	// writes are made beside the ticks; stands are the grants that they have written.
	writes *writer
	stands standings
	// foreign tells since when leases hold grants that came after every one of this leader,
	// stillForeign the same of those that this tick has found.
	foreign, stillForeign map[types.UID]time.Time
	profile               profile
	// limited is what a policy allows it.
	limited protocol.Limits
	// holding are the policies of its destination.
	holding []*v1alpha1.CoordinationPolicy
	// decision is that of the last round.
	decision protocol.Decision
}

// claim is what the manager remembers of a transfer besides what the core does.
type claim struct {
	checksum string
	// lastReports are the workers', by the UID of their pod.
	lastReports map[string]lastReport
	// sending is what the workers have sent over time; nil for a restore.
	sending *sending
	// failures are those recorded before.
	failures []v1alpha1.ArchiveFailure
	// recorded is the status last written, to write only changes.
	recorded atomic.Pointer[v1alpha1.ArchiveTransferStatus]
	// underWay is the status handed over last, nil for none yet.
	underWay *recording
	// foreign tells since when the status holds what a later leader wrote, zero if it does not.
	foreign time.Time
	// deniedBy is the policy that denies its namespace the destination.
	deniedBy string
	// rejected is why the core does not take the spec as it is now; what it took before
	// holds meanwhile.
	rejected string
}

// newDomain takes control of a domain, from what an earlier leader recorded. What it writes
// ends with ctx.
func newDomain(ctx context.Context, c *Coordinator, name string, snapshot protocol.Snapshot) (*domain, error) {
	core, err := coordination.NewPipelineCoordinator(coordination.Options{Rand: c.Rand, ReportsPerSecond: c.ReportsPerSecond})
	if err != nil {
		return nil, err
	}
	snapshot.Epoch = c.epoch
	if err := core.Start(c.Clock.Now(), snapshot); err != nil {
		return nil, err
	}
	return &domain{
		Coordinator: c, name: name, epoch: c.epoch, core: core, writes: newWriter(ctx, c.Clock, func(d time.Duration) { c.Metrics.Wrote(name, d) }),
		claims: map[protocol.TransferID]*claim{}, foreign: map[types.UID]time.Time{}, stillForeign: map[types.UID]time.Time{},
	}, nil
}

// end ends what the domain writes; nothing of it is under way afterwards.
func (d *domain) end() {
	if d != nil && d.writes != nil {
		d.writes.end()
	}
}

// tick lets the core decide once, if the domain is due. It waits for nothing: what it has
// decided is written beside it.
func (d *domain) tick(ctx context.Context, members []*member) error {
	now := d.Clock.Now()
	if now.Before(d.due) {
		return nil
	}
	ctx, span := tracing.Begin(ctx, "tick")
	defer span.End()
	began := now
	var errs []error
	d.holding = d.policies.Holding(workloadsOf(members))
	for _, m := range members {
		d.admit(ctx, now, m)
		errs = append(errs, d.observe(ctx, now, m))
	}
	d.dropAbsent(now, members)
	d.seeOff(now)
	errs = append(errs, d.core.Limit(d.limits(now)))
	deciding := d.Clock.Now()
	plan := d.core.Tick(now)
	d.core.Spend(d.Clock.Since(deciding)) // not what the API server takes: data moves meanwhile
	logger := log.FromContext(ctx).WithName("coordinator")
	if plan.Decision.Made() {
		d.decision = plan.Decision
	}
	logDecision(logger, d.name, plan.Decision)
	for _, t := range plan.Decision.Transitions {
		logger.Info("changed state", "domain", d.name, "group", t.Group,
			"from", t.From, "to", t.To, "cause", t.Cause)
		d.Metrics.Transition(d.name, string(t.From), string(t.To), string(t.Cause))
	}
	decided := d.Clock.Now()
	snapshot := d.core.Snapshot()
	d.handOver(now, members, plan, snapshot)
	d.handOverProfile(now, snapshot, len(plan.Decision.Transitions) > 0)
	errs = append(errs, d.writes.failures())
	d.Metrics.Waiting(d.name, d.writes.waiting())
	d.Metrics.Parked(d.name, d.waiting(members))
	whole := d.Clock.Since(began)
	d.due = now.Add(max(d.core.Interval(), min(restAfterTick*whole, longestRest)))
	d.Metrics.Tick(d.name, decided.Sub(began), whole)
	measured := d.core.Metrics(now)
	d.Metrics.Coordination(d.name, convert.CoordinationMetrics(measured))
	d.trace(span, len(members), measured, plan.Decision)
	return errors.Join(errs...)
}

// trace notes in the span of a tick what was there and what was decided.
func (d *domain) trace(span tracing.Span, transfers int, m coordination.CoordinationMetrics, decided protocol.Decision) {
	if !span.Recording() {
		return
	}
	prefixes, granted := 0, 0
	for _, g := range m.Groups {
		prefixes += g.Prefixes
		granted += g.Granted
	}
	span.Text("cargoship.domain", d.name)
	span.Number("cargoship.transfers", int64(transfers))
	span.Number("cargoship.workers", int64(m.Workers))
	span.Number("cargoship.prefixes", int64(prefixes))
	span.Number("cargoship.window", int64(m.Window))
	span.Number("cargoship.granted", int64(granted))
	span.Text("cargoship.reason", string(decided.Window.Reason))
}

// admit tells the core of a transfer, or of a change of its spec. One that the core rejects
// has no claim, and is parked; one that it knew before goes on as it was.
func (d *domain) admit(ctx context.Context, now time.Time, m *member) {
	id := protocol.TransferID(m.transfer.UID)
	c, key := d.claims[id], string(id)
	if c == nil && d.parked(key) {
		return
	}
	t, err := convert.Transfer(m.transfer)
	deniedBy := d.govern(m.transfer, &t)
	if c != nil {
		c.deniedBy = deniedBy
		t.Recorded, err = nil, nil // the core knows better than the API
	}
	if err == nil {
		err = d.core.PutTransfer(now, t)
	}
	switch {
	case c != nil && err != nil:
		c.rejected = err.Error()
	case c != nil:
		c.rejected = ""
	case err != nil:
		d.parkTransfers(ctx, key, "take in the transfer", err, m.transfer)
	default:
		d.unpark(key)
		d.adopt(now, m)
	}
}

// adopt takes over what earlier leaders have granted and recorded of a transfer.
func (d *domain) adopt(now time.Time, m *member) {
	id := protocol.TransferID(m.transfer.UID)
	d.claims[id] = newClaim(m.transfer.Status)
	d.core.SetPlanning(id, m.transfer.Status.Progress == nil || m.transfer.Status.Progress.Planning != convert.PlanningComplete)
	for _, lease := range m.leases {
		d.core.AdoptGrant(now, convert.LeaseGrant(id, lease))
		d.claims[id].remember(now, lease) // another manager has counted it
	}
	if m.transfer.Restore == nil {
		d.claims[id].sending = takeUp(now, m.transfer.Status.Sending, d.claims[id].reported(m))
	}
}

// waiting counts the transfers that are parked: without a claim, or without a status that
// the API server takes.
func (d *domain) waiting(members []*member) int {
	n := 0
	for _, m := range members {
		id := protocol.TransferID(m.transfer.UID)
		if d.claims[id] == nil || d.failing("status/"+string(id)) {
			n++
		}
	}
	return n
}

func newClaim(s v1alpha1.ArchiveTransferStatus) *claim {
	return &claim{lastReports: map[string]lastReport{}, failures: s.Failures, checksum: s.ChecksumAlgorithm}
}

// observe takes in what pods there are and what their workers report.
func (d *domain) observe(ctx context.Context, now time.Time, m *member) error {
	id := protocol.TransferID(m.transfer.UID)
	if d.claims[id] == nil {
		return nil // it was not admitted
	}
	var errs []error
	for uid, pod := range m.pods {
		if starting(pod) {
			d.core.AddWorker(now, protocol.WorkerID(uid), id, convert.MostInFlight(memoryLimit(pod)))
		}
	}
	for uid, lease := range m.leases {
		errs = append(errs, d.observeLease(ctx, now, m, protocol.WorkerID(uid), lease))
	}
	d.removeGone(now, m)
	if m.stopped || objects.AllEnded(m.transfer.Status.Progress) {
		d.core.Drain(now, id)
	}
	return errors.Join(errs...)
}

// starting tells whether a pod is, or soon will be, a worker to lease to.
func starting(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Spec.NodeName != "" &&
		(pod.Status.Phase == corev1.PodPending || pod.Status.Phase == corev1.PodRunning)
}

// memoryLimit is that of the worker in a pod, in bytes, 0 for none.
func memoryLimit(pod *corev1.Pod) int64 {
	for _, c := range pod.Spec.Containers {
		if c.Name == v1alpha1.WorkerContainer {
			return c.Resources.Limits.Memory().Value()
		}
	}
	return 0
}

func (d *domain) observeLease(ctx context.Context, now time.Time, m *member, worker protocol.WorkerID, lease *v1alpha1.PrefixLease) error {
	c, s := d.claims[protocol.TransferID(m.transfer.UID)], lease.Status
	stands := protocol.GrantID{Epoch: lease.Spec.Epoch, Sequence: lease.Spec.Sequence}
	if d.core.Lacks(worker, stands) {
		d.core.AdoptGrant(now, convert.LeaseGrant(protocol.TransferID(m.transfer.UID), lease))
	}
	d.core.Stored(now, worker, stands)
	heard, err := d.hear(now, m, worker, s)
	if !heard {
		return nil
	}
	if err != nil && !errors.Is(err, coordination.ErrStaleReport) {
		log.FromContext(ctx).WithName("coordinator").Info("ignored a report", "lease", lease.Name, "cause", err.Error())
		d.Metrics.IgnoredReport(d.name)
		return nil
	}
	if err == nil && s.ChecksumAlgorithm != "" {
		c.checksum = s.ChecksumAlgorithm
	}
	d.count(now, m, c, lease)
	return nil
}

// hear has the core take in a worker's report, if it has not yet: of a thousand leases some twenty change between two
// ticks.
func (d *domain) hear(now time.Time, m *member, worker protocol.WorkerID, s v1alpha1.PrefixLeaseStatus) (heard bool, err error) {
	if s.Instance == "" || d.core.HasReport(worker, s.Instance, ptr.Deref(s.ReportSequence, 0)) {
		return false, nil
	}
	return true, d.core.Observe(now, convert.Report(worker, protocol.TransferID(m.transfer.UID), s))
}

// removeGone tells the core of workers whose pods have ended. A pod that
// vanished without a word may still be running somewhere, so its lease has to
// expire first.
func (d *domain) removeGone(now time.Time, m *member) {
	for uid := range m.leases {
		d.removeWorker(now, protocol.WorkerID(uid), m.pods[uid])
	}
}

func (d *domain) removeWorker(now time.Time, worker protocol.WorkerID, pod *corev1.Pod) {
	switch {
	case pod == nil:
		d.core.RemoveWorker(now, worker, false)
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		d.core.RemoveWorker(now, worker, true)
	}
}

// dropAbsent withdraws the claims of transfers that have left the domain.
func (d *domain) dropAbsent(now time.Time, members []*member) {
	present := map[protocol.TransferID]bool{}
	for _, m := range members {
		present[protocol.TransferID(m.transfer.UID)] = true
	}
	for id := range d.claims {
		if !present[id] {
			d.core.RemoveTransfer(now, id)
			d.writes.drop(id)
			delete(d.claims, id)
			d.Metrics.Forget(string(id))
		}
	}
}

// seeOff tells the core of workers whose transfers leave, until they are gone: what they were granted is
// charged to the others meanwhile.
func (d *domain) seeOff(now time.Time) {
	for _, m := range d.leaving[d.name] {
		for uid, lease := range m.leases {
			if worker := protocol.WorkerID(uid); d.core.HasWorker(worker) {
				_, _ = d.hear(now, m, worker, lease.Status) // only how it goes on matters; what it says besides counts no more
			}
		}
		for _, worker := range d.core.Workers(protocol.TransferID(m.transfer.UID)) {
			d.removeWorker(now, worker, m.pods[string(worker)])
		}
	}
}
