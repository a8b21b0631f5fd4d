package coordination

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// shared is one path with two tenants: one of honest workers, and one whose worker says
// what it likes. The path carries so many requests per second, each in the time of
// service where nothing waits.
type shared struct {
	*loop
	honest, liars []*loopWorker
	lie           func(r *protocol.Report, elapsed time.Duration)
	sent          float64 // by the honest tenant, since it was last set to 0
}

func newShared(t *testing.T, weight int, lie func(*protocol.Report, time.Duration)) *shared {
	t.Helper()
	s := &shared{loop: newLoop(t, 20, protocol.DefaultConfig()), lie: lie}
	s.honest = s.loop.workers
	s.path = path{service: 0.06, link: 4000 * s.part}
	must(t, s.c.PutTransfer(s.now, protocol.Transfer{ID: "t", Tenant: "honest", Weight: 100, Config: protocol.DefaultConfig()}))
	must(t, s.c.PutTransfer(s.now, protocol.Transfer{ID: "x", Tenant: "liar", Weight: weight, Config: protocol.DefaultConfig()}))
	must(t, s.c.RegisterPrefix(s.now, "x", "q"))
	for n := range int64(1000) {
		must(t, s.c.ScheduleUpload(protocol.Upload{Archive: protocol.ArchiveID{Transfer: "x", Prefix: "q", Number: n}}))
	}
	s.c.AddWorker(s.now, "x000", "x", 1000)
	s.liars = []*loopWorker{{report: protocol.Report{Worker: "x000", Transfer: "x", Instance: "1", MaxInFlight: 1000}}}
	return s
}

// run advances by report intervals of half a second, all clocks alike.
func (s *shared) run(d time.Duration) {
	s.t.Helper()
	const step = 500 * time.Millisecond
	for end := s.now.Add(d); s.now.Before(end); {
		before := s.loop.accepted
		s.send(step)
		s.sent += s.loop.accepted - before
		s.now = s.now.Add(step)
		for _, w := range s.loop.workers {
			w.report.Sequence++
			w.report.Uptime += step
			must(s.t, s.c.Observe(s.now, w.report))
		}
		for _, w := range s.liars {
			s.observeLie(w, step)
		}
		for i, g := range s.c.Tick(s.now).Grants {
			if i < len(s.honest) {
				s.honest[i].grant = g
			} else {
				s.liars[i-len(s.honest)].grant = g
			}
		}
	}
}

// observeLie sends what a liar says; what is not believed at all costs others nothing.
func (s *shared) observeLie(w *loopWorker, step time.Duration) {
	r := &w.report
	r.Sequence++
	r.Uptime += step
	r.Epoch, r.GrantSequence = w.grant.Epoch, w.grant.Sequence
	if len(r.Prefixes) == 0 {
		r.Prefixes = []protocol.PrefixCounters{{Prefix: "q"}}
	}
	if s.lie != nil && w.window() > 0 {
		s.lie(r, step)
	}
	_ = s.c.Observe(s.now, *r)
}

// lies are what a worker can say that hurts others, at so many requests per second.
func lies(perSecond float64) map[string]func(*protocol.Report, time.Duration) {
	all := map[string]func(*protocol.Report, time.Duration){}
	for name, tell := range lieKinds() {
		all[name] = func(r *protocol.Report, elapsed time.Duration) {
			n, p := int64(perSecond*elapsed.Seconds()), &r.Prefixes[0]
			p.Started += n
			p.MaxInFlight = 1
			tell(r, p, n, elapsed)
		}
	}
	return all
}

// lieKinds say what became of n requests that were started in a time, one at once.
func lieKinds() map[string]func(r *protocol.Report, p *protocol.PrefixCounters, n int64, elapsed time.Duration) {
	accepted := func(p *protocol.PrefixCounters, n int64, busy, latency time.Duration) {
		p.Accepted += n
		p.Busy += busy
		p.AttemptP50 = latency
	}
	return map[string]func(*protocol.Report, *protocol.PrefixCounters, int64, time.Duration){
		"all throttled": func(_ *protocol.Report, p *protocol.PrefixCounters, n int64, elapsed time.Duration) {
			p.Throttled += n
			p.Busy += elapsed
		},
		"all failed, and long": func(_ *protocol.Report, p *protocol.PrefixCounters, n int64, elapsed time.Duration) {
			p.Failed += n
			p.Busy += 1000 * elapsed
		},
		"a latency of 1 µs": func(_ *protocol.Report, p *protocol.PrefixCounters, n int64, elapsed time.Duration) {
			accepted(p, n, elapsed, time.Microsecond)
			p.Bytes += n * 8 << 20
		},
		"a latency of a minute": func(_ *protocol.Report, p *protocol.PrefixCounters, n int64, elapsed time.Duration) {
			accepted(p, n, elapsed, time.Minute)
			p.Bytes += n * 8 << 20
		},
		"all in flight": func(r *protocol.Report, p *protocol.PrefixCounters, n int64, elapsed time.Duration) {
			accepted(p, n, 100_000*elapsed, time.Second)
			p.MaxInFlight, r.MaxInFlight = 1<<30, 1<<30
		},
		"time flies": func(r *protocol.Report, p *protocol.PrefixCounters, n int64, elapsed time.Duration) {
			r.Uptime += time.Hour
			hour := int64(float64(n) * time.Hour.Seconds() / elapsed.Seconds())
			p.Started += hour - n
			p.Throttled += hour
		},
		"time stands still": func(r *protocol.Report, p *protocol.PrefixCounters, n int64, elapsed time.Duration) {
			r.Uptime -= elapsed - time.Millisecond
			accepted(p, n/2, 0, time.Millisecond)
			p.Throttled += n / 2
		},
		"now throttled, now failed": func(r *protocol.Report, p *protocol.PrefixCounters, n int64, elapsed time.Duration) {
			p.Busy += 50 * elapsed
			switch r.Sequence / 20 % 3 {
			case 0:
				p.Throttled += n
			case 1:
				p.Failed += n
			default:
				accepted(p, n, 0, 10*time.Microsecond)
			}
		},
		"huge bodies": func(_ *protocol.Report, p *protocol.PrefixCounters, n int64, elapsed time.Duration) {
			accepted(p, n, elapsed, 10*time.Microsecond)
			p.Bytes += int64(9e10 * elapsed.Seconds())
		},
	}
}

// One worker of weight 1 beside twenty of weight 100 costs these next to nothing,
// whatever it says, from the first report on or later.
func TestALiarCostsOthersNothing(t *testing.T) {
	for _, perSecond := range []float64{2, 100, 10_000} {
		for name, lie := range lies(perSecond) {
			for _, late := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v per second/late %v", name, perSecond, late), func(t *testing.T) {
					checkLiar(t, 1, lie, late, 0.9*4000)
				})
			}
		}
	}
}

func checkLiar(t *testing.T, weight int, lie func(*protocol.Report, time.Duration), late bool, want float64) {
	t.Helper()
	first := lie
	if late {
		first = nil
	}
	s := newShared(t, weight, first)
	s.run(30 * time.Second)
	s.lie = lie
	s.run(30 * time.Second)
	most := 0
	s.sent = 0
	for range 60 {
		s.run(2 * time.Second)
		most = max(most, s.c.Metrics(s.now).Window)
	}
	if rate := s.sent / 120; rate < want || most > 1000 || math.IsNaN(rate) {
		m := s.c.Metrics(s.now)
		t.Errorf("the honest send %.0f requests per second, want %.0f; the window is %d and was %d at most; latency %v, base %v; groups %+v",
			rate, want, m.Window, most, m.Latency, m.Profile.BaseLatency, m.Groups)
	}
}

// On a path that carries a few requests per second, a tenant of the same weight may tell
// of thousands for each of theirs. Half of the path is the others' share; who lies about
// failures, which are nobody's alone, can still take half of that.
func TestALiarCostsSlowOthersNoMoreThanItsShare(t *testing.T) {
	for _, perSecond := range []float64{2, 100, 10_000} {
		for name, lie := range lies(perSecond) {
			t.Run(fmt.Sprintf("%s/%v per second", name, perSecond), func(t *testing.T) {
				s := newShared(t, 100, nil)
				s.path = path{service: 2, link: 4 * s.part}
				s.run(time.Minute)
				s.lie = lie
				s.run(3 * time.Minute) // until their groups have parted
				s.sent = 0
				s.run(4 * time.Minute)
				want := 0.9 * 2
				if strings.Contains(name, "failed") {
					want /= 2
				}
				if rate := s.sent / 240; rate < want {
					t.Errorf("the honest send %.2f of 4 requests per second; groups %+v", rate, s.c.Metrics(s.now).Groups)
				}
			})
		}
	}
}
