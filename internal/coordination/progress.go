package coordination

import (
	"cmp"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Progress gives how far a transfer is; that of an unknown one is empty.
func (c *PipelineCoordinator) Progress(id protocol.TransferID) protocol.Progress {
	t := c.transfer(id)
	if t == nil {
		return protocol.Progress{}
	}
	sums := make([]progressSums, len(t.prefixes))
	for _, w := range t.workers {
		for _, wp := range w.prefixes {
			sums[wp.prefix.index].add(wp, w.live(c.now) && !w.silent(c.now))
		}
	}
	p := protocol.Progress{Planned: !t.planning, Prefixes: make([]protocol.PrefixProgress, len(t.prefixes))}
	for i, l := range t.prefixes {
		p.Prefixes[i] = l.progress(sums[i])
		p.Prefixes[i].State = c.control.State(l.member)
	}
	slices.SortFunc(p.Prefixes, func(x, y protocol.PrefixProgress) int { return cmp.Compare(x.Prefix, y.Prefix) })
	return p
}

// progressSums sums what the workers of a prefix reported last.
type progressSums struct {
	window                                int
	rate                                  float64
	bytes, accepted, throttled, completed float64 // per second
	attempt, service                      float64 // seconds times accepted requests per second
	slowest                               time.Duration
}

func (s *progressSums) add(c *workerPrefix, heard bool) {
	s.window += c.share.Window
	s.rate += c.share.Rate
	if !heard {
		return
	}
	r := c.rates
	s.bytes += r.Bytes
	s.accepted += r.Accepted
	s.throttled += r.Throttled
	s.completed += r.Accepted + r.Throttled + r.Failed
	s.attempt += r.Accepted * c.counters.AttemptP50.Seconds()
	s.service += r.Accepted * c.counters.ServiceP50.Seconds()
	s.slowest = max(s.slowest, c.counters.ServiceP99)
}

func (l *prefix) progress(s progressSums) protocol.PrefixProgress {
	p := l.work.Progress(!l.transfer.planning)
	p.Group = l.member.Group()
	p.Window, p.Rate, p.Throughput, p.ServiceP99 = s.window, s.rate, s.bytes, s.slowest
	if s.completed > 0 {
		p.ThrottledShare = s.throttled / s.completed
	}
	if s.accepted > 0 {
		p.AttemptP50 = time.Duration(s.attempt / s.accepted * float64(time.Second))
		p.ServiceP50 = time.Duration(s.service / s.accepted * float64(time.Second))
	}
	return p
}

// Snapshot gives what the next leader needs: record it before the grants of
// each Tick, so that none of them exceeds what was recorded.
func (c *PipelineCoordinator) Snapshot() protocol.Snapshot {
	s := protocol.Snapshot{Epoch: c.epoch, LeaseLifetime: protocol.Lifetime(protocol.DefaultConfig().LeaseDuration)}
	for _, w := range c.ordered {
		s.LeaseLifetime = max(s.LeaseLifetime, w.lease.Lifetime())
	}
	if c.control.Begun() || c.lent {
		s.Path, s.Groups = c.control.Snapshot()
	}
	s.Known = c.control.Known()
	return s
}
