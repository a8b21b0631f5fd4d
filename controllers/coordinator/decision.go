package coordinator

import (
	"github.com/go-logr/logr"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// logDecision tells, at the level of debugging, what the law has seen in a round, what it has
// decided and why: an entry for the window, and one for each group with a rate.
func logDecision(logger logr.Logger, domain string, d protocol.Decision) {
	debug := logger.V(1).WithValues("domain", domain)
	if !d.Made() || !debug.Enabled() {
		return
	}
	w, r := d.Window, d.Round
	debug.Info("decided the window", "reason", w.Reason, "before", w.Before, "window", w.Window, "state", w.State,
		"inFlight", r.InFlight, "queue", r.Queue, "queueTarget", r.QueueTarget, "senderLimited", r.SenderLimited,
		"medianSeconds", r.Median.Seconds(), "latencySeconds", r.Latency.Seconds(),
		"baseLatencySeconds", w.BaseLatency.Seconds(), "roundSeconds", r.Length.Seconds(),
		"startedPerSecond", r.Started, "acceptedPerSecond", r.Accepted, "throttledPerSecond", r.Throttled, "failedPerSecond", r.Failed)
	for _, g := range d.Groups {
		if g.Before == 0 && g.Rate == 0 {
			continue
		}
		debug.Info("decided a rate", "group", g.Group, "reason", g.Reason, "before", g.Before, "rate", g.Rate, "state", g.State,
			"limitedBy", g.LimitedBy, "nextProbeSeconds", g.NextProbe.Seconds(),
			"startedPerSecond", g.Started, "acceptedPerSecond", g.Accepted, "throttledPerSecond", g.Throttled, "failedPerSecond", g.Failed)
	}
}
