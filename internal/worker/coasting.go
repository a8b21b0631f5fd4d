package worker

import (
	"time"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/upload"
)

// coastingTime is that of a grant; one that names none, of an older manager, gives none.
func coastingTime(grant *v1alpha1.PrefixLeaseSpec) time.Duration {
	if grant.CoastingDuration == nil {
		return 0
	}
	return grant.CoastingDuration.Duration
}

// opens tells that a grant holds for whoever sends the first report into the lease.
func opens(grant *v1alpha1.PrefixLeaseSpec) bool {
	return protocol.OpensLease(grant.AcknowledgedInstance, ptr.Deref(grant.AcknowledgedReport, 0))
}

// coasts tells that the engine goes on without a manager.
func coasts(p lease.Phase) bool { return p == lease.Coasting || p == lease.Isolated }

// Confirm tells that a request which was sent then found a grant in the API. As long as that
// is the newest that the engine knows, nobody has given away what it grants.
func (e *Engine) Confirm(grant protocol.GrantID, sent time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if grant != grantID(e.grant) {
		return
	}
	e.lease.Confirm(sent)
	if e.coasting {
		e.setLimits(false)
		notify(e.wake)
	}
}

// coasted is what is left of the grant after its lease, half at most if the worker may be
// cut off.
func (e *Engine) coasted(half bool) []upload.PrefixLimit {
	limits := granted(e.grant.Prefixes)
	windows, sum := make([]int, len(limits)), 0
	for i, l := range limits {
		windows[i] = l.Window
		sum += l.Window
	}
	sum = e.lease.Window(time.Now(), sum, int(e.grant.CoastingWindow))
	lease.Scale(windows, lease.Coasted(sum, e.coast.Part(), half))
	for i := range limits {
		limits[i].Window = windows[i]
		if half {
			limits[i].Rate /= 2
		}
	}
	return limits
}

// steer takes in how long the requests of the last interval took.
func (e *Engine) steer(stats []upload.PrefixStats) {
	var sum time.Duration
	var measured time.Duration
	for _, s := range stats {
		sum += s.AttemptP50 * time.Duration(s.Measured)
		measured += time.Duration(s.Measured)
	}
	var latency time.Duration
	if measured > 0 {
		latency = sum / measured
	}
	if !coasts(e.lease.Phase(time.Now())) {
		e.coast.Steered(latency, e.grant.CoastingWindow > 0)
		return
	}
	e.coast.Alone(latency)
	e.setLimits(false)
	notify(e.wake)
}
