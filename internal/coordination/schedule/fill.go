package schedule

import (
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// aheadIntervals between reports, at the base interval, are what a worker is given archives for.
const aheadIntervals = 2

// waits tells that the worker holds archives of the prefix and has no window there.
func (c *Holdings) waits() bool { return len(c.held) > 0 && c.Window == 0 }

// Assign fills the holdings of a worker, if it can take archives, and takes back what it
// cannot send.
func (w *Worker) Assign(now time.Time) {
	w.recallWaiting()
	if !w.Blocked {
		w.refill(now)
		w.Reserve()
	}
}

// recallWaiting recalls what the worker cannot send for want of a window, but for the
// archive that it sends first there, which it may have begun.
func (w *Worker) recallWaiting() {
	for _, c := range w.holdings {
		for c.Target == 0 && c.waits() && len(c.held) > 1 {
			c.recall()
		}
	}
}

// refill fills the holdings of a worker. What it is offered changes for the prefix that it
// took the last archive of and for no other, so each is rated once and that one again.
func (w *Worker) refill(now time.Time) {
	offers := w.transfer.offers[:0]
	for _, c := range w.holdings {
		if o, ok := c.offer(); ok {
			offers = append(offers, o)
		}
	}
	w.transfer.offers = offers
	for most := protocol.MaxOutstanding - w.recalled(); w.held < most && len(offers) > 0; {
		i := best(offers)
		c := offers[i].holdings
		again := false
		if w.Accepts(now, c.prefix) {
			if a, ok := c.prefix.take(); ok {
				c.prefix.served = now
				w.hold(c, a)
			}
			offers[i], again = c.offer()
		}
		if !again {
			offers = slices.Delete(offers, i, i+1)
		}
	}
	w.handed = w.held
}

// depth is how many archives the worker may hold of the prefix: fewer towards the
// end, so that the last ones spread over all workers.
func (c *Holdings) depth() int {
	workers := 2 * c.prefix.sharing
	if c.prefix.sharing == 1 {
		workers = 1 // nobody to leave any to
	}
	fair := (c.prefix.Remaining() + workers - 1) / workers
	most := c.prefix.transfer.record.underWay / c.prefix.transfer.sharing
	return min(c.ahead(), max(1, min(fair, most)))
}

// ahead is how many archives of the prefix, which has a window, the worker may hold
// before the end: PipelineDepth for each prefix that it serves, or in a large fleet for all, and of these by
// its window here. A worker has most of its window on one prefix, and would send what
// is PipelineDepth archives there before it is given more.
func (c *Holdings) ahead() int {
	w := c.worker
	depth := float64(w.transfer.Config.PipelineDepth)
	if !w.transfer.Large {
		depth *= float64(w.serves)
	}
	depth = max(depth, aheadIntervals*w.completionRate*w.transfer.BaseInterval.Seconds())
	return min(max(1, int(depth)*c.Window/max(1, w.granting)), protocol.MaxPipelineDepth)
}
