package worker

import "time"

// processors tells how much processor time this process uses.
type processors struct {
	at   time.Time
	used time.Duration
}

// since is the mean since the last call, in thousandths of a processor; nil at the first
// call, and where the system does not tell.
func (p *processors) since(now time.Time) *int64 {
	used, ok := processorTime()
	before := *p
	*p = processors{now, used}
	elapsed := now.Sub(before.at)
	if !ok || before.at.IsZero() || elapsed <= 0 {
		return nil
	}
	return new(max(0, (used-before.used).Nanoseconds()*1000/elapsed.Nanoseconds()))
}
