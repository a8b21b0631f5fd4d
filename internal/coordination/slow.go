package coordination

import (
	"time"

	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// slowLatency is the multiple of its prefix's latency from which a worker's requests are
	// taken to wait in the worker itself, for its NIC, memory or CPU.
	slowLatency = 2
	// slowGrowth is the growth of a slow worker's slots per report that shows no
	// such wait.
	slowGrowth = 1.25
)

// limitSlow bounds the demand of a worker whose requests take much longer than
// those of the others on the prefix. By Little's law inFlight · T₀/T of them are
// being served; slots beyond these only lengthen the wait, and are of more use
// elsewhere. The bound rises again, and vanishes, as soon as the wait is gone.
func (c *workerPrefix) limitSlow(growth protocol.PrefixCounters, elapsed time.Duration) {
	usual := c.prefix.model.Latency()
	if usual <= 0 || c.prefix.work.Sharing() < 2 || c.share.Window == 0 {
		c.useful = 0
		return
	}
	inFlight := float64(min(growth.MaxInFlight, c.share.Window))
	latency := growth.Latency().Seconds()
	if growth.Accepted == 0 {
		// Nothing came back: it took at least the whole interval.
		latency = 0
		if growth.Throttled+growth.Failed == 0 && inFlight > 0 {
			latency = elapsed.Seconds()
		}
	}
	switch {
	case latency > slowLatency*usual:
		c.useful = max(1, inFlight*usual/latency)
	case c.useful > 0 && latency > 0:
		c.useful = slowGrowth * max(1, c.useful)
		if c.useful > float64(c.share.Window) && c.useful > inFlight*slowGrowth {
			c.useful = 0
		}
	}
	if c.useful > 0 {
		c.share.Demand = min(c.share.Demand, headroom(int(c.useful)))
	}
}

// slots is how many slots are known to be of use to the worker.
func (w *worker) slots() int {
	sum := 0
	for _, c := range w.prefixes {
		switch {
		case c.useful > 0:
			sum += c.share.Demand
		case c.share.Window > 0 || c.work.Held() > 0:
			return fairshare.Unlimited
		}
	}
	if sum == 0 {
		return fairshare.Unlimited
	}
	return sum
}
