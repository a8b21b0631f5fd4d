package coordination

import (
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
)

// charges sums what the coordinated workers may be using.
type charges struct {
	floors   int // of lost workers
	coasting int // of workers that may be cut off
	leased   int // to the others
	frozen   int // of leased, to those that do not listen
}

func (c *PipelineCoordinator) charges(now time.Time) (sum charges) {
	for _, w := range c.ordered {
		if !w.transfer.coordinated() {
			continue
		}
		leased := w.lease.Leased()
		sum.floors += w.lease.Charge() - leased
		if w.lease.Coasts() && !w.waits(now) { // else it is given a lease in this tick
			sum.coasting += leased
			continue
		}
		sum.leased += leased
		if leased > 0 && w.frozen(now) {
			sum.frozen += leased
		}
	}
	return sum
}

// left is what floors and coasting workers leave of a bound to the others: the reserve holds
// some of the floors, and it is never so little that the others cannot go on.
func (s charges) left(bound int) int {
	bound -= max(0, min(s.floors-congestion.WindowFloor, bound-congestion.WindowFloor))
	return bound - max(0, min(s.coasting, bound-congestion.WindowFloor))
}

// What the ledger tells of a worker, on its terms. Each worker that is added to a fleet has all others looked at
// for one that is live; terms are worked out only for those that have reported.
func (w *worker) live(now time.Time) bool    { return w.lease.Reported() && w.lease.Live(now, w.terms()) }
func (w *worker) silent(now time.Time) bool  { return w.lease.Silent(now, w.terms()) }
func (w *worker) missed(now time.Time) bool  { return w.lease.Missed(now, w.terms()) }
func (w *worker) overdue(now time.Time) bool { return w.lease.Overdue(now, w.terms()) }
func (w *worker) frozen(now time.Time) bool  { return w.lease.Frozen(now, w.terms(), w.leaving()) }
func (w *worker) waits(now time.Time) bool   { return w.lease.Waits(now, w.terms()) }
func (w *worker) stale(now time.Time) bool   { return w.lease.Stale(now) }
