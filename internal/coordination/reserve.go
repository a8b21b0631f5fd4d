package coordination

import (
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
)

// chargeFloors gives what the floors of lost workers take of a bound: what the
// reserve does not hold, but never so much that the others cannot go on.
func (c *PipelineCoordinator) chargeFloors(bound int) int {
	floors := 0
	for _, w := range c.ordered {
		if w.transfer.coordinated() {
			floors += w.lease.Charge() - w.lease.Leased()
		}
	}
	return max(0, min(floors-congestion.WindowFloor, bound-congestion.WindowFloor))
}

// chargeCoasting gives what workers that may be cut off take of a bound: what they may use,
// but never so much that the others cannot go on.
func (c *PipelineCoordinator) chargeCoasting(bound int) int {
	coasting := 0
	for _, w := range c.ordered {
		if w.transfer.coordinated() && w.lease.Coasts() {
			coasting += w.lease.Leased()
		}
	}
	return max(0, min(coasting, bound-congestion.WindowFloor))
}

// available is the part of the bound that can be divided over the workers
// that listen: the others keep what is leased to them.
func (c *PipelineCoordinator) available(now time.Time) int {
	bound := c.control.Bound()
	bound -= c.chargeFloors(bound)
	bound -= c.chargeCoasting(bound)
	for _, w := range c.ordered {
		if w.transfer.coordinated() && w.frozen(now) && !w.lease.Coasts() {
			bound -= w.lease.Leased()
		}
	}
	return max(0, bound)
}

// What the ledger tells of a worker, on its terms.
func (w *worker) live(now time.Time) bool    { return w.lease.Live(now, w.terms()) }
func (w *worker) silent(now time.Time) bool  { return w.lease.Silent(now, w.terms()) }
func (w *worker) missed(now time.Time) bool  { return w.lease.Missed(now, w.terms()) }
func (w *worker) overdue(now time.Time) bool { return w.lease.Overdue(now, w.terms()) }
func (w *worker) frozen(now time.Time) bool  { return w.lease.Frozen(now, w.terms(), w.leaving()) }
func (w *worker) due(now time.Time) bool     { return w.lease.Due(now, w.terms(), w.leaving()) }
func (w *worker) waits(now time.Time) bool   { return w.lease.Waits(now, w.terms()) }
func (w *worker) stale(now time.Time) bool   { return w.lease.Stale(now) }
