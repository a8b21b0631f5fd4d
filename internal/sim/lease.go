package sim

import (
	"time"

	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// workerLease is a worker's half of its lease, in virtual time by the worker's clock.
type workerLease struct {
	holder lease.Holder
	epoch  time.Time
}

func newLease(epoch time.Time, now time.Duration, after int64) workerLease {
	return workerLease{holder: lease.NewHolder(epoch.Add(now), after), epoch: epoch}
}

func (l *workerLease) send(now time.Duration) int64 { return l.holder.Send(l.epoch.Add(now)) }

func (l *workerLease) acknowledge(now time.Duration, g protocol.Grant, instance string) {
	l.holder.Take(l.epoch.Add(now), instance, g.Instance, g.AcknowledgedReport, g.Duration, g.Coasting)
}

func (l *workerLease) confirm(sent time.Duration) { l.holder.Confirm(l.epoch.Add(sent)) }

func (l *workerLease) acked() int64 { return l.holder.Acked() }

// end is when the lease ends. One by a report that was sent too long ago to prolong it has
// ended at no time that is known, which for the holder is long before the run.
func (l *workerLease) end() time.Duration { return max(0, l.holder.End().Sub(l.epoch)) }

func (l *workerLease) phase(now time.Duration) lease.Phase { return l.holder.Phase(l.epoch.Add(now)) }

// window is the sum of the windows of a worker that coasts by a grant.
func (l *workerLease) window(now time.Duration, g protocol.Grant) int {
	return l.holder.Window(l.epoch.Add(now), g.Window(), g.CoastingWindow)
}

func (l *workerLease) held(now time.Duration) bool { return l.phase(now) == lease.Held }

// coasts tells that the worker goes on without a manager.
func (l *workerLease) coasts(now time.Duration) bool {
	p := l.phase(now)
	return p == lease.Coasting || p == lease.Isolated
}

func (l *workerLease) expired(now time.Duration) bool { return l.phase(now) == lease.Expired }

// remaining is how long the phase lasts if nothing is heard; 0 for ever.
func (l *workerLease) remaining(now time.Duration) time.Duration {
	return l.holder.Remaining(l.epoch.Add(now))
}
