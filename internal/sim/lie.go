package sim

import (
	"math/rand/v2"
	"strings"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// The kinds of faults that are lies: for a while a worker reports what is not so. Its
// image is the user's, so it may.
const (
	// FaultLieThrottled and FaultLieFailed report ten thousand requests per second beside
	// those that there are, all throttled or all failed, and long; FaultLieFast and
	// FaultLieSlow the same, accepted in a microsecond or in a minute; FaultLieBodies the
	// same with bodies of 5 GiB.
	FaultLieThrottled = "lie-throttled"
	FaultLieFailed    = "lie-failed"
	FaultLieFast      = "lie-fast"
	FaultLieSlow      = "lie-slow"
	FaultLieBodies    = "lie-bodies"
	// FaultLieInFlight reports far more in flight than was granted, FaultLieUptime an hour
	// more with every report, FaultLieStill hardly any time, and FaultLieIdle that there is
	// nothing to send.
	FaultLieInFlight = "lie-in-flight"
	FaultLieUptime   = "lie-uptime"
	FaultLieStill    = "lie-still"
	FaultLieIdle     = "lie-idle"
)

func lieKinds() []string {
	return []string{
		FaultLieThrottled, FaultLieFailed, FaultLieFast, FaultLieSlow, FaultLieBodies,
		FaultLieInFlight, FaultLieUptime, FaultLieStill, FaultLieIdle,
	}
}

func isLie(kind string) bool { return strings.HasPrefix(kind, "lie-") }

// liesPerSecond is how many requests a liar makes up.
const liesPerSecond = 10_000

// fiction is what a worker's process has made up so far.
type fiction struct {
	kind    string // of the lie that goes on; empty for none
	ever    bool   // this process has lied
	at      time.Duration
	told    map[string]*protocol.PrefixCounters
	uptime  time.Duration // beside its own
	stopped time.Duration // its uptime when its clock stood still; 0 for not
}

// embellish changes a report. Counters never go back: what was made up stays.
func (x *worker) embellish(r *protocol.Report) {
	f := &x.fiction
	elapsed := (x.fleet.now - f.at).Seconds()
	f.at = x.fleet.now
	if !f.ever && f.kind == "" {
		return
	}
	if f.told == nil {
		f.ever, f.told, elapsed = true, map[string]*protocol.PrefixCounters{}, 0
		x.liars[r.Instance] = true
	}
	for i := range r.Prefixes {
		p := &r.Prefixes[i]
		if f.told[p.Prefix] == nil {
			f.told[p.Prefix] = &protocol.PrefixCounters{}
		}
		f.invent(p, f.told[p.Prefix], int64(liesPerSecond*elapsed))
	}
	f.bend(r)
}

// invent adds to the counters of a prefix, as if what it makes up had been started under
// the newest limits.
func (f *fiction) invent(p, told *protocol.PrefixCounters, count int64) {
	if told.Newest.Grant != p.Newest.Grant {
		told.Newest, told.Before = protocol.Sample{Grant: p.Newest.Grant}, told.Newest
	}
	before := *told
	f.makeUp(p, told, count)
	told.Newest = told.Newest.Plus(protocol.Sample{
		Started: told.Started - before.Started, Accepted: told.Accepted - before.Accepted,
		Throttled: told.Throttled - before.Throttled, Failed: told.Failed - before.Failed,
	})
	p.Newest = p.Newest.Plus(told.Newest)
	if p.Before.Grant == told.Before.Grant {
		p.Before = p.Before.Plus(told.Before)
	}
	p.Started += told.Started
	p.Accepted += told.Accepted
	p.Throttled += told.Throttled
	p.Failed += told.Failed
	p.Bytes += told.Bytes
	p.Busy += told.Busy
}

// makeUp adds to what was made up of a prefix.
func (f *fiction) makeUp(p, told *protocol.PrefixCounters, count int64) {
	switch f.kind {
	case FaultLieThrottled:
		told.Started, told.Throttled = told.Started+count, told.Throttled+count
	case FaultLieFailed:
		told.Started, told.Failed, told.Busy = told.Started+count, told.Failed+count, told.Busy+time.Duration(count)*time.Minute
	case FaultLieFast, FaultLieSlow, FaultLieBodies:
		told.Started, told.Accepted = told.Started+count, told.Accepted+count
		p.AttemptP50 = time.Microsecond
		if f.kind == FaultLieSlow {
			p.AttemptP50, told.Busy = time.Minute, told.Busy+time.Duration(count)*time.Minute
		}
		if f.kind == FaultLieBodies {
			told.Bytes += min(count, 8) * 5 << 30
		}
	case FaultLieInFlight:
		p.MaxInFlight = 1 << 30
	case FaultLieIdle:
		p.MaxInFlight, p.SenderLimited = 0, true
	}
}

// bend changes the time that the report tells.
func (f *fiction) bend(r *protocol.Report) {
	switch f.kind {
	case FaultLieUptime:
		f.uptime += time.Hour
	case FaultLieStill:
		f.stopped = max(f.stopped+time.Millisecond, time.Millisecond)
		if f.stopped == time.Millisecond {
			f.stopped = r.Uptime + f.uptime
		}
	case FaultLieInFlight:
		r.MaxInFlight = 1 << 30
	}
	r.Uptime = max(r.Uptime+f.uptime, f.stopped)
	if f.kind == FaultLieStill {
		r.Uptime = f.stopped
	}
}

// lie begins to lie, or ends it.
func (p *pod) lie(kind string) { p.worker.fiction.kind = kind }

// randomLies are the faults that a random scenario has beside the others: some of its
// transfers are another tenant's, and some of its workers lie.
func randomLies(random *rand.Rand, s *Scenario) {
	if random.IntN(2) == 0 {
		return
	}
	for i := range s.Transfers {
		s.Transfers[i].Tenant = string(rune('a' + random.IntN(2)))
	}
	for range random.IntN(4) {
		t := s.Transfers[random.IntN(len(s.Transfers))]
		kinds := lieKinds()
		s.Faults = append(s.Faults, Fault{
			Kind: kinds[random.IntN(len(kinds))], At: someTime(random), For: seconds(1 + 40*random.Float64()),
			Workers: t.Workers[random.IntN(len(t.Workers))].Name, Count: random.IntN(3),
		})
	}
}
