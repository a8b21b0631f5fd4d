package coordination

import (
	"fmt"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/coordination/schedule"
)

// PutTransfer adds a transfer with what is recorded of it, or changes the weight, the
// configuration and the suspension of one.
func (c *PipelineCoordinator) PutTransfer(now time.Time, spec protocol.Transfer) error {
	c.now = now
	if err := spec.Validate(); err != nil {
		return fmt.Errorf("put transfer %s: %w", spec.ID, err)
	}
	recorded := spec.Recorded
	spec.Recorded = nil
	t := c.transfer(spec.ID)
	switch {
	case t == nil:
		t = c.addTransfer(now, spec)
		c.restoreRecorded(t, recorded)
	case t.removed:
		return fmt.Errorf("put transfer %s: it was removed and its workers have not ended", spec.ID)
	}
	t.spec, t.tenant, t.work.Config = spec, c.tenantOf(spec.Tenant), spec.Config
	t.tenant.share.Weight, t.tenant.share.Most = spec.Share.Weight, spec.Share.Most
	for _, l := range t.prefixes {
		l.member.Tenant = spec.Tenant
	}
	c.forgetTenants()
	c.configure()
	return nil
}

func (c *PipelineCoordinator) addTransfer(now time.Time, spec protocol.Transfer) *transfer {
	t := &transfer{
		spec: spec, tenant: c.tenantOf(spec.Tenant), byName: map[string]*prefix{}, share: fairshare.NewTransfer(now),
		work: schedule.New(spec.ID, spec.Config),
	}
	i, _ := slices.BinarySearchFunc(c.transfers, spec.ID, compareTransfer)
	c.transfers = slices.Insert(c.transfers, i, t)
	return t
}

// RemoveTransfer asks the workers of a transfer to end, and forgets the transfer
// with the last of them.
func (c *PipelineCoordinator) RemoveTransfer(now time.Time, id protocol.TransferID) {
	c.now = now
	if t := c.transfer(id); t != nil {
		t.removed = true
		for _, w := range t.workers {
			w.release(true)
		}
		c.forget(t)
		c.configure()
	}
}

// forget drops a removed transfer that has no workers left.
func (c *PipelineCoordinator) forget(t *transfer) {
	if !t.removed || len(t.workers) > 0 {
		return
	}
	c.transfers = slices.DeleteFunc(c.transfers, func(x *transfer) bool { return x == t })
	for _, l := range t.prefixes {
		l.member.Leave()
		delete(c.members, l.member)
	}
	c.forgetTenants()
}

// RegisterPrefix adds a prefix to a transfer, unless it has it.
func (c *PipelineCoordinator) RegisterPrefix(now time.Time, id protocol.TransferID, prefix string) error {
	c.now = now
	t := c.transfer(id)
	if t == nil {
		return fmt.Errorf("register prefix %s: transfer %s is unknown", prefix, id)
	}
	_, err := c.register(t, prefix)
	return err
}

func (c *PipelineCoordinator) register(t *transfer, prefix string) (*prefix, error) {
	known := len(t.prefixes)
	l, err := t.register(prefix)
	if err == nil && len(t.prefixes) > known {
		l.member = &congestion.Member{ID: protocol.Member{Transfer: t.spec.ID, Prefix: l.name}, Tenant: t.tenant.name}
		c.members[l.member] = l
		c.control.Admit(l.member)
	}
	return l, err
}

// ScheduleUpload queues one archive and adds it to the plan of its prefix: for whoever
// knows the size of each. One that is queued, assigned or finished already stays
// as it is.
func (c *PipelineCoordinator) ScheduleUpload(u protocol.Upload) error {
	t := c.transfer(u.Archive.Transfer)
	if t == nil {
		return fmt.Errorf("schedule archive %d of prefix %s: transfer %s is unknown",
			u.Archive.Number, u.Archive.Prefix, u.Archive.Transfer)
	}
	l := t.byName[u.Archive.Prefix]
	if l == nil {
		return fmt.Errorf("schedule archive %d: prefix %s of transfer %s is not registered",
			u.Archive.Number, u.Archive.Prefix, u.Archive.Transfer)
	}
	if n := u.Archive.Number; n < 0 || n > protocol.MaxNumber || u.Bytes < 0 || u.Files < 0 {
		return fmt.Errorf("schedule archive %d of prefix %s of transfer %s: its number, size or count of files is out of bounds",
			n, u.Archive.Prefix, u.Archive.Transfer)
	}
	if err := l.work.Schedule(u); err != nil {
		return fmt.Errorf("schedule archive %d of prefix %s of transfer %s: %w",
			u.Archive.Number, u.Archive.Prefix, u.Archive.Transfer, err)
	}
	return nil
}

// SetPlanning says whether the source of a transfer must be walked still. While
// it must, one live worker holds that duty.
func (c *PipelineCoordinator) SetPlanning(id protocol.TransferID, needed bool) {
	if t := c.transfer(id); t != nil {
		t.planning = needed
	}
}

func (c *PipelineCoordinator) transfer(id protocol.TransferID) *transfer {
	if i, ok := slices.BinarySearchFunc(c.transfers, id, compareTransfer); ok {
		return c.transfers[i]
	}
	return nil
}

func compareTransfer(t *transfer, id protocol.TransferID) int {
	switch {
	case t.spec.ID < id:
		return -1
	case t.spec.ID > id:
		return 1
	}
	return 0
}
