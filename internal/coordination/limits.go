package coordination

import (
	"fmt"
	"math"

	"cargoship.dev/operator/internal/coordination/fairshare"
	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// leastPace is what stands for nothing of a limit: zero would be no limit.
	leastPace = 0.001
	// paceHeadroom times what a worker that is not held back has used is what it may claim next.
	paceHeadroom = 1.25
	// paceMemory of what it has used counts in the next report at least.
	paceMemory = 0.7
	// idlePace is the part of an even share that an idle worker may claim, so that it begins to
	// move and is then seen to want more.
	idlePace = 0.01
)

// Limit sets what all workers together may do, whatever the law allows, from the next tick on.
// It holds until it is called again, and with workers for as long as nobody leads.
func (c *PipelineCoordinator) Limit(l protocol.Limits) error {
	if err := l.Validate(); err != nil {
		return fmt.Errorf("limit the domain: %w", err)
	}
	c.limits = l
	c.control.Limit(l.Window())
	return nil
}

// usage is what a worker sends per second, and whether its pace holds it back.
type usage struct {
	protocol.Pace
	held bool
}

// observePace takes in how a worker has used its pace.
func (w *worker) observePace(r protocol.Report, first bool) {
	if first {
		w.used = usage{}
		return
	}
	var now usage
	for _, wp := range w.prefixes {
		now.Bytes += wp.rates.Bytes
		now.Requests += wp.rates.Started
	}
	for _, p := range r.Prefixes {
		now.held = now.held || p.PolicyLimited
	}
	now.Bytes, now.Requests = max(now.Bytes, paceMemory*w.used.Bytes), max(now.Requests, paceMemory*w.used.Requests)
	w.used = now
}

// limit is one of the limits per second, and where it stands in a pace.
type limit struct {
	perSecond float64
	of        func(*protocol.Pace) *float64
}

func (c *PipelineCoordinator) paceLimits() []limit {
	return []limit{
		{c.limits.Pace.Bytes, func(p *protocol.Pace) *float64 { return &p.Bytes }},
		{c.limits.Pace.Requests, func(p *protocol.Pace) *float64 { return &p.Requests }},
	}
}

// paceWorkers divides the limits over tenants and transfers by weight, and over the workers of each
// by their windows.
func (c *PipelineCoordinator) paceWorkers() {
	for _, l := range c.paceLimits() {
		if l.perSecond == 0 {
			for _, w := range c.ordered {
				*l.of(&w.pace) = 0
			}
			continue
		}
		parties := make([]*fairshare.Paced, len(c.ordered))
		even := l.perSecond / float64(max(1, len(c.ordered)))
		for i, w := range c.ordered {
			parties[i] = w.paced(l, even)
		}
		fairshare.Limit(l.perSecond, parties)
		for i, w := range c.ordered {
			*l.of(&w.pace) = max(leastPace, parties[i].Rate)
		}
	}
}

// paced is the worker's claim on a limit.
func (w *worker) paced(l limit, even float64) *fairshare.Paced {
	granted, charged := w.lease.Grant().Pace, w.lease.Pace()
	part := 0.0 // of its transfer
	if window := w.transfer.window(); window > 0 {
		part = float64(w.window()) / float64(window)
	}
	p := &fairshare.Paced{
		Weight: part * w.transfer.share.Part(), Most: part * w.transfer.tenant.share.Most * l.perSecond, Granted: *l.of(&granted), Charged: *l.of(&charged),
		Demand: paceHeadroom**l.of(&w.used.Pace) + idlePace*even, Deaf: !w.due,
	}
	switch {
	case w.window() == 0:
		p.Demand = 0
	case w.used.held:
		p.Demand = math.MaxFloat64
	}
	return p
}

// window sums those granted to the transfer's workers.
func (t *transfer) window() int {
	sum := 0
	for _, w := range t.workers {
		sum += w.window()
	}
	return sum
}

// policyLimited tells that what was sent in the round was bounded by a policy: most windows
// belong to workers that it held back, or its limit of requests in flight was in use. Of all windows,
// held are those of such workers.
func (c *PipelineCoordinator) policyLimited(inFlight, windows, held int) bool {
	most := c.limits.Window()
	return most < c.control.Window() && 5*inFlight >= 4*most || windows > 0 && 2*held >= windows
}

// LimitClaim is a domain's claim on limits that several share.
type LimitClaim struct {
	// Charged is the most that its workers may be sending per second, infinite where they were
	// given no limit, and have in flight.
	Charged  protocol.Pace
	InFlight int
	// Used is what they send, Held whether limits hold them back.
	Used protocol.Pace
	Held bool
}

// LimitClaim tells what the domain claims.
func (c *PipelineCoordinator) LimitClaim() LimitClaim {
	var out LimitClaim
	for _, w := range c.ordered {
		charged := w.lease.Pace()
		out.Charged.Bytes += charged.Bytes
		out.Charged.Requests += charged.Requests
		out.InFlight += w.lease.Charge()
		out.Used.Bytes += w.used.Bytes
		out.Used.Requests += w.used.Requests
		out.Held = out.Held || w.used.held
	}
	return out
}

// Part is what a domain with this claim may do of limits that it shares with others; granted is
// what it might before.
func (c LimitClaim) Part(limits, granted protocol.Limits, others []LimitClaim) protocol.Limits {
	if len(others) == 0 {
		return limits
	}
	share := func(limit, granted float64, of func(LimitClaim) (charged, used float64)) float64 {
		if limit == 0 {
			return 0
		}
		own := c.party(limit, of)
		own.Granted = granted
		parties := []*fairshare.Paced{own}
		for _, other := range others {
			parties = append(parties, other.party(limit, of))
		}
		fairshare.Limit(limit, parties)
		return own.Rate
	}
	part := protocol.Limits{Pace: protocol.Pace{
		Bytes:    share(limits.Pace.Bytes, granted.Pace.Bytes, func(c LimitClaim) (float64, float64) { return c.Charged.Bytes, c.Used.Bytes }),
		Requests: share(limits.Pace.Requests, granted.Pace.Requests, func(c LimitClaim) (float64, float64) { return c.Charged.Requests, c.Used.Requests }),
	}}
	windows := share(float64(limits.InFlight), float64(granted.InFlight), func(c LimitClaim) (float64, float64) {
		return float64(c.InFlight), float64(c.InFlight)
	})
	part.InFlight = int(windows)
	if limits.InFlight > 0 && part.InFlight == 0 {
		part.Suspended = true // until the others have given some up
	}
	part.Pace.Bytes, part.Pace.Requests = atLeast(part.Pace.Bytes, limits.Pace.Bytes), atLeast(part.Pace.Requests, limits.Pace.Requests)
	return part
}

// atLeast keeps a part of a limit from being none, which would be no limit.
func atLeast(part, limit float64) float64 {
	if limit > 0 {
		return max(part, leastPace)
	}
	return 0
}

// party is the domain's claim on one of the limits.
func (c LimitClaim) party(limit float64, of func(LimitClaim) (charged, used float64)) *fairshare.Paced {
	charged, used := of(c)
	p := &fairshare.Paced{Weight: 1, Charged: charged, Demand: paceHeadroom*used + idlePace*limit}
	if c.Held {
		p.Demand = math.MaxFloat64
	}
	return p
}
