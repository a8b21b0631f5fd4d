package coordination

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// process is a worker process that keeps to the contract.
type process struct {
	id       protocol.WorkerID
	drift    float64
	instance int
	report   protocol.Report
	sentAt   map[int64]time.Duration // by its own clock
	next     time.Duration
	grant    protocol.Grant
	leased   time.Duration // end of the lease by its own clock
	// confirmed is when it asked last and was told that the API held its grant, likewise.
	confirmed time.Duration
	cutOff    bool // from the API
	finished  map[protocol.ArchiveID]finishedAt
	alive     bool
	// widened is from when on it may use its coasting window, by its clock; acked is the last of
	// its reports that was acknowledged.
	widened time.Duration
	acked   int64
}

type finishedAt struct {
	outcome protocol.Outcome
	report  int64 // the first report that tells of it; 0 before
}

// start begins a new process, which knows of those before only the sequence of
// their last report.
func (p *process) start(now time.Duration, sequence int64) {
	p.instance++
	p.alive = true
	p.report = protocol.Report{Worker: p.id, Transfer: testTransfer, Instance: fmt.Sprint(p.instance), Sequence: sequence, MaxInFlight: 40}
	p.sentAt = map[int64]time.Duration{}
	p.finished = map[protocol.ArchiveID]finishedAt{}
	p.grant, p.leased, p.confirmed, p.next = protocol.Grant{}, 0, 0, now
	p.widened, p.acked = 0, 0
}

// take accepts a grant that is newer and meant for this process.
func (p *process) take(now time.Duration, g protocol.Grant) {
	if !p.grant.ID().Before(g.ID()) {
		return
	}
	if g.Duration > p.grant.Duration {
		p.widen(now, g)
	}
	p.grant = g
	p.report.Epoch, p.report.GrantSequence = g.Epoch, g.Sequence
	p.leased = 0
	if sent, ok := p.sentAt[g.AcknowledgedReport]; ok && g.Instance == p.report.Instance {
		p.leased = sent + g.Duration
		if g.AcknowledgedReport > p.acked {
			p.acked = g.AcknowledgedReport
			p.widen(now, g)
		}
		for a, f := range p.finished {
			if f.report > 0 && f.report <= g.AcknowledgedReport {
				delete(p.finished, a)
			}
		}
	}
}

// using gives the requests that the process may have in flight.
func (p *process) using(now time.Duration) int {
	if !p.alive || p.grant.Drain {
		return 0
	}
	sum := 0
	for _, g := range p.grant.Prefixes {
		sum += g.Window
	}
	own, granted := clock(now, p.drift), sum
	if sum > 0 && own >= p.widened {
		sum = max(sum, p.grant.CoastingWindow)
	}
	switch {
	case p.leased == 0:
		return 0
	case own < p.leased:
		return granted
	case own >= p.leased+p.grant.Coasting:
		return min(sum, 1)
	case p.confirmed > 0 && own < p.confirmed+p.grant.Duration:
		return sum
	default:
		return lease.Half(sum)
	}
}

// reserved are the archives of a reserve that the process may begin, now that nobody leads.
func (p *process) reserved(now time.Duration, g protocol.PrefixGrant) (archives []protocol.Assignment) {
	if own := clock(now, p.drift); p.leased == 0 || own < p.leased || own >= p.leased+p.grant.Coasting {
		return nil
	}
	for first, last := range g.Reserve.Runs() {
		for n := first; n <= last; n++ {
			archives = append(archives, protocol.Assignment{Archive: protocol.ArchiveID{Transfer: testTransfer, Prefix: g.Prefix, Number: n}, Attempt: 1})
		}
	}
	return archives
}

// widen takes in a grant that tells something new.
func (p *process) widen(now time.Duration, g protocol.Grant) {
	p.widened = max(p.widened, clock(now, p.drift)+g.Duration+g.Duration/4)
}

// ask lets the process ask for its grant.
func (p *process) ask(now time.Duration, stored protocol.Grant) {
	if p.take(now, stored); p.grant.ID() == stored.ID() {
		p.confirmed = clock(now, p.drift)
	}
}

// counters lets the counters grow with what the process uses.
func (p *process) counters(random *rand.Rand) []protocol.PrefixCounters {
	counters := slices.Clone(p.report.Prefixes)
	for _, g := range p.grant.Prefixes {
		i := slices.IndexFunc(counters, func(c protocol.PrefixCounters) bool { return c.Prefix == g.Prefix })
		if i < 0 {
			counters = append(counters, protocol.PrefixCounters{Prefix: g.Prefix})
			i = len(counters) - 1
		}
		c := &counters[i]
		sent := int64(random.IntN(20 * (g.Window + 1)))
		c.Started += sent
		c.Accepted += sent
		if random.IntN(6) == 0 {
			c.Started += sent
			c.Throttled += sent
		}
		c.Bytes += sent << 20
		c.Busy += time.Duration(sent) * 100 * time.Millisecond
		c.MaxInFlight = random.IntN(g.Window + 1)
		c.SenderLimited = random.IntN(3) == 0
		c.AttemptP50 = time.Duration(80+random.IntN(80)) * time.Millisecond
	}
	return counters
}
