package coordination

import (
	"cmp"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/coordination/schedule"
)

// transfer is one transfer's claim on the domain, as each of the packages below knows it.
type transfer struct {
	spec     protocol.Transfer
	tenant   *tenant
	prefixes []*prefix
	byName   map[string]*prefix
	workers  []*worker // by ID
	removed  bool

	planning bool
	planner  *worker

	heard      time.Time    // when a worker was heard first, as far as this leader knows
	candidates [4][]*worker // scratch of chooseActive

	terms lease.Terms   // of the leases of its active workers
	idle  time.Duration // between the reports of the others; 0 where all are active
	// opening is what idle will be once all workers are there that the transfers are to have.
	opening time.Duration
	share   fairshare.Transfer
	work    *schedule.TransferScheduler
}

// register finds or makes a prefix.
func (t *transfer) register(name string) (*prefix, error) {
	if l := t.byName[name]; l != nil {
		return l, nil
	}
	work, err := t.work.Register(name)
	if err != nil {
		return nil, err
	}
	l := &prefix{name: name, index: work.Index(), transfer: t, model: congestion.NewPrefixModel(), work: work}
	l.share = fairshare.Prefix{Transfer: &t.share, Index: l.index, Slots: fairshare.Unlimited}
	t.prefixes = append(t.prefixes, l)
	t.share.Prefixes = append(t.share.Prefixes, &l.share)
	t.byName[name] = l
	return l, nil
}

// coordinated tells that the transfer's windows are controlled and charged.
func (t *transfer) coordinated() bool { return !t.spec.Config.Uncoordinated }

// add and drop keep the workers ordered by ID.
func (t *transfer) add(w *worker) {
	i, _ := slices.BinarySearchFunc(t.workers, w.id, compareWorker)
	t.workers = slices.Insert(t.workers, i, w)
}

func (t *transfer) drop(w *worker) {
	if i, ok := slices.BinarySearchFunc(t.workers, w.id, compareWorker); ok {
		t.workers = slices.Delete(t.workers, i, i+1)
	}
	t.work.RemoveWorker(w.work)
	if t.planner == w {
		t.planner = nil
	}
}

func compareWorker(w *worker, id protocol.WorkerID) int { return cmp.Compare(w.id, id) }
