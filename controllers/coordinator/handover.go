package coordinator

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/workload"
)

// handOver hands all that a tick has decided to the writer.
func (d *domain) handOver(now time.Time, members []*member, plan protocol.Plan, snapshot protocol.Snapshot) {
	grants := map[protocol.TransferID][]protocol.Grant{}
	for _, g := range plan.Grants {
		grants[g.Transfer] = append(grants[g.Transfer], g)
	}
	clear(d.stillForeign)
	for _, m := range members {
		id := protocol.TransferID(m.transfer.UID)
		if c := d.claims[id]; c != nil {
			status := d.status(now, m, c, snapshot)
			d.Metrics.Transfer(m.transfer, status)
			d.showReportAge(now, m, c)
			d.save(m, c, status, grants[id])
		}
	}
	d.foreign, d.stillForeign = d.stillForeign, d.foreign
	d.stands.keep(plan.Grants)
}

// save hands over what of a transfer is to be written. What has ended is recorded before it is
// acknowledged, so that a manager that dies in between forgets nothing: where the status has to
// be written, its grants wait for it.
func (d *domain) save(m *member, c *claim, status v1alpha1.ArchiveTransferStatus, grants []protocol.Grant) {
	id := protocol.TransferID(m.transfer.UID)
	key, recorded := "status/"+string(id), recordedEpoch(m.transfer)
	if d.isForeign(recorded, &c.foreign) {
		return
	}
	leases := d.leaseWrites(m, grants)
	if c.underWay.join(status, leases) {
		return
	}
	// What a former leader wrote last is written over, also where nothing has changed since.
	if !d.writes.holds(object{transfer: id}) && recorded == d.epoch && c.holds(status) {
		d.unpark(key)
		d.putLeases(id, leases)
		return
	}
	if d.parked(key) {
		return
	}
	r := &recording{status: status, leases: leases}
	c.underWay = r
	d.writes.put(object{transfer: id}, func(ctx context.Context) error {
		recorded, err := d.record(ctx, m.transfer, c, status)
		if err != nil {
			return err // and it is tried again
		}
		if leases := r.end(); recorded {
			d.putLeases(id, leases)
		}
		return nil
	})
}

// putLeases hands over the writes of the leases of a transfer.
func (d *domain) putLeases(transfer protocol.TransferID, leases map[protocol.WorkerID]write) {
	for worker, do := range leases {
		d.writes.put(object{transfer: transfer, worker: worker}, do)
	}
}

// recording is a status that was handed over, and the leases that wait until it is written.
type recording struct {
	status v1alpha1.ArchiveTransferStatus

	mu     sync.Mutex
	leases map[protocol.WorkerID]write
	ended  bool
}

// join makes the leases of a later tick wait for a write that is under way, in place of those of
// the tick before, where it records what that tick would. It tells whether they do.
func (r *recording) join(status v1alpha1.ArchiveTransferStatus, leases map[protocol.WorkerID]write) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || !equality.Semantic.DeepEqual(r.status, status) {
		return false
	}
	r.leases = leases
	return true
}

// end ends the waiting of the leases, and returns them.
func (r *recording) end() map[protocol.WorkerID]write {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	return r.leases
}

// leaseWrites are the writes of the leases of a transfer, by worker: grants, and the deletion of
// the leases that no worker holds any more.
func (d *domain) leaseWrites(m *member, grants []protocol.Grant) map[protocol.WorkerID]write {
	writes := d.grantWrites(m, grants)
	for uid, lease := range m.leases {
		if worker := protocol.WorkerID(uid); !d.core.HasWorker(worker) {
			writes[worker] = func(ctx context.Context) error { return d.deleteLease(ctx, lease) }
		}
	}
	return writes
}

// holds tells that a status is what was written last.
func (c *claim) holds(status v1alpha1.ArchiveTransferStatus) bool {
	last := c.recorded.Load()
	return last != nil && equality.Semantic.DeepEqual(*last, status)
}

// recordedEpoch is that of the leader that has written a transfer's status.
func recordedEpoch(at *workload.Workload) int64 {
	if s := at.Status.Coordination; s != nil {
		return ptr.Deref(s.Epoch, 0)
	}
	return 0
}

// record writes the coordinator's part of a transfer's status, and tells whether the API holds
// it then.
func (d *domain) record(ctx context.Context, at *workload.Workload, c *claim, status v1alpha1.ArchiveTransferStatus) (bool, error) {
	key := "status/" + string(at.UID)
	err := objects.ApplyStatus(ctx, d.Client, objects.OwnerCoordinator, at, status)
	switch {
	case rejects(err):
		d.parkTransfers(ctx, key, "write the status", err, at)
		return false, nil
	case err != nil:
		return false, client.IgnoreNotFound(err)
	}
	d.unpark(key)
	d.Metrics.Write("ArchiveTransfer")
	c.recorded.Store(&status)
	return true, nil
}
