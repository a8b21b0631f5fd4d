package pace

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// server answers the requests of a pacer: 503s after 25 ms, the others after 100 ms. Time passes in steps of a millisecond.
type server struct {
	pacer   Pacer
	now     time.Time
	answers map[time.Time][]bool
	accept  func() bool

	started, throttled int
}

func newServer(granted Limit) *server {
	s := &server{now: start, answers: map[time.Time][]bool{}, accept: func() bool { return true }}
	s.pacer.Set(s.now, granted)
	return s
}

// capacity has the server accept so many requests per second, evenly.
func (s *server) capacity(perSecond float64) {
	last, credit := s.now, 1.0
	s.accept = func() bool {
		credit = min(1+perSecond/100, credit+perSecond*s.now.Sub(last).Seconds())
		last = s.now
		if credit < 1 {
			return false
		}
		credit--
		return true
	}
}

// run sends all that the pacer lets through.
func (s *server) run(d time.Duration) {
	s.started, s.throttled = 0, 0
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(time.Millisecond) {
		for _, accepted := range s.answers[s.now] {
			s.pacer.End()
			if accepted {
				s.pacer.Accepted()
			} else {
				s.pacer.Throttled(s.now)
				s.throttled++
			}
		}
		delete(s.answers, s.now)
		for ok, _ := s.pacer.Ready(s.now); ok; ok, _ = s.pacer.Ready(s.now) {
			s.send()
		}
	}
}

func (s *server) send() {
	s.pacer.Start(s.now)
	s.started++
	accepted, answer := s.accept(), 25*time.Millisecond
	if accepted {
		answer = 100 * time.Millisecond
	}
	at := s.now.Add(answer)
	s.answers[at] = append(s.answers[at], accepted)
}

func TestPacerKeepsItsPace(t *testing.T) {
	for _, rate := range []float64{0.5, 7, 100, 900} {
		s := newServer(Limit{Window: 1000, Rate: rate})
		s.run(10 * time.Second)
		if most := rate*(10+catchUp.Seconds()) + 1; float64(s.started) > most || float64(s.started) < 10*rate-1 {
			t.Errorf("%d starts in 10 s at %v per second", s.started, rate)
		}
	}
}

func TestPacerKeepsToItsWindow(t *testing.T) {
	s := newServer(Limit{Window: 10})
	s.run(10 * time.Second)
	if s.started < 980 || s.started > 1010 || s.pacer.InFlight() > 10 {
		t.Errorf("%d starts in 10 s with a window of 10 and 100 ms each, %d in flight", s.started, s.pacer.InFlight())
	}
	if ok, wait := s.pacer.Ready(s.now); ok || wait != 0 {
		t.Errorf("a full window is ready %v, wait %v", ok, wait)
	}
}

// The rate falls to what is accepted, wherever that is, within a second, and stays
// there with few 503s although the grant is never renewed.
func TestPacerFindsWhatIsAccepted(t *testing.T) {
	for _, capacity := range []float64{20, 100, 350} {
		s := newServer(Limit{Window: 1000, Rate: 400})
		s.run(3 * time.Second)
		s.capacity(capacity)
		s.run(2 * time.Second)
		s.run(20 * time.Second)
		if accepted := float64(s.started-s.throttled) / 20; accepted < 0.85*capacity {
			t.Errorf("%.0f accepted per second of %v", accepted, capacity)
		}
		if share := float64(s.throttled) / float64(s.started); share > 0.15 {
			t.Errorf("%.3f throttled at a capacity of %v", share, capacity)
		}
	}
}

// A single 503 costs almost nothing, and is soon forgotten.
func TestPacerShrugsOffASingle503(t *testing.T) {
	s := newServer(Limit{Window: 1000, Rate: 400})
	s.run(3 * time.Second)
	s.pacer.Throttled(s.now)
	if rate := s.pacer.Limit(s.now).Rate; rate < 360 || rate >= 400 {
		t.Errorf("rate %v after one 503, want at least 360", rate)
	}
	s.run(3 * time.Second)
	if rate := s.pacer.Limit(s.now).Rate; rate != 400 {
		t.Errorf("rate %v 3 s after one 503, want 400", rate)
	}
}

func TestPacerWastesLittleInAnOutage(t *testing.T) {
	for _, granted := range []float64{0, 400} {
		s := newServer(Limit{Window: 40, Rate: granted})
		s.run(3 * time.Second)
		s.capacity(0)
		s.run(2 * time.Minute)
		if s.started > 400*120/100 {
			t.Errorf("%d requests in an outage of two minutes at a granted rate of %v, want 1%%", s.started, granted)
		}
		s.accept = func() bool { return true }
		s.run(30 * time.Second)
		if s.run(time.Second); s.started < 390 {
			t.Errorf("%d requests in the second half a minute after it, want 390", s.started)
		}
	}
}

// More than was granted before says that the manager knows better; the same, or
// less, does not.
func TestPacerSetEndsACutOnlyUpwards(t *testing.T) {
	tests := map[string]struct {
		from, to Limit
		lifts    bool
	}{
		"same":          {Limit{100, 400}, Limit{100, 400}, false},
		"less":          {Limit{100, 400}, Limit{90, 390}, false},
		"more rate":     {Limit{100, 400}, Limit{100, 420}, true},
		"more window":   {Limit{100, 400}, Limit{110, 400}, true},
		"rate lifted":   {Limit{100, 400}, Limit{100, 0}, true},
		"rate imposed":  {Limit{100, 0}, Limit{100, 400}, false},
		"never a rate":  {Limit{100, 0}, Limit{100, 0}, false},
		"not a number":  {Limit{100, 400}, Limit{100, math.NaN()}, true},
		"negative rate": {Limit{100, 400}, Limit{100, -1}, true},
	}
	for name, test := range tests {
		s := newServer(test.from)
		s.run(3 * time.Second)
		for range outageRun {
			s.pacer.Throttled(s.now)
			s.now = s.now.Add(refractory)
		}
		cut := s.pacer.Limit(s.now).Rate
		s.pacer.Set(s.now, test.from)
		if test.lifts {
			s.pacer.Set(s.now, test.to) // it can't know of the last 503
			if rate := s.pacer.Limit(s.now).Rate; rate != cut {
				t.Errorf("%s: rate %v after a grant that is as old as the cut to %v", name, rate, cut)
			}
			s.pacer.Set(s.now, test.from)
		}
		s.now = s.now.Add(shortestHold)
		s.pacer.Set(s.now, test.to)
		rate := s.pacer.Limit(s.now).Rate
		granted := max(0, test.to.Rate)
		if math.IsNaN(test.to.Rate) {
			granted = 0
		}
		if lifted := rate == granted; lifted != test.lifts {
			t.Errorf("%s: rate %v after Set", name, rate)
		}
	}
}

// Whatever happens, in whatever order: never above the grant, never stuck.
func TestPacerNeverExceedsItsGrant(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var p Pacer
	granted, now, throttled := Limit{}, start, 0
	for range 200_000 {
		now = now.Add(time.Duration(random.ExpFloat64() * float64(20*time.Millisecond)))
		switch random.IntN(6) {
		case 0:
			if random.IntN(50) == 0 {
				granted = Limit{random.IntN(20), 1000 * random.Float64() * float64(random.IntN(2))}
				p.Set(now, granted)
			}
		case 1:
			p.Throttled(now)
			throttled++
		case 2:
			p.Accepted()
		case 3:
			if p.InFlight() > 0 {
				p.End()
			}
		default:
			ok, wait := p.Ready(now)
			if ok != (wait == 0 && p.InFlight() < granted.Window) {
				t.Fatalf("ready %v, wait %v with %d in flight of %d", ok, wait, p.InFlight(), granted.Window)
			}
			if ok {
				p.Start(now)
			}
		}
		limit := p.Limit(now)
		if granted.Rate > 0 && !(limit.Rate > 0 && limit.Rate <= granted.Rate) || limit.Rate < 0 || limit.Window != granted.Window {
			t.Fatalf("limit %+v of the grant %+v", limit, granted)
		}
	}
	now = now.Add(time.Hour)
	p.Set(now, Limit{Window: 1000, Rate: 5})
	if ok, _ := p.Ready(now); !ok {
		t.Errorf("not ready after an idle hour and %d 503s", throttled)
	}
}

// nextStart is when the pacer would let the next request through.
func (p *Pacer) nextStart(now time.Time) time.Time {
	for {
		ok, wait := p.Ready(now)
		if ok {
			return now
		}
		now = now.Add(wait)
	}
}

func TestPacersThrottledTogetherStartApart(t *testing.T) {
	const pacers, rate = 8, 0.1
	interval := 10 * time.Second
	var starts []time.Time
	for seed := range uint64(pacers) {
		p := NewPacer(seed)
		p.Set(start.Add(-time.Hour), Limit{Window: 2, Rate: rate})
		for _, at := range []time.Time{start.Add(-interval), start} {
			p.Start(at)
			p.End()
			p.Throttled(at.Add(25 * time.Millisecond))
			if wait := p.nextStart(at.Add(25 * time.Millisecond)).Sub(at); at != start && wait != interval {
				t.Errorf("pacer %d, throttled once, starts again after %v, want %v", seed, wait, interval)
			}
			if at != start { // a larger grant does not part it from the others
				p.Set(at.Add(time.Second), Limit{Window: 3, Rate: rate})
			}
		}
		next := p.nextStart(start.Add(25 * time.Millisecond))
		p.Set(start.Add(time.Second), Limit{Window: 3, Rate: rate}) // a renewed grant changes nothing
		if again := p.nextStart(start.Add(time.Second)); !again.Equal(next) {
			t.Errorf("pacer %d: a renewed grant moves the next start from %v to %v", seed, next, again)
		}
		if wait := next.Sub(start); wait < interval || wait > 3*interval/2 {
			t.Errorf("pacer %d starts again after %v, want between one interval of %v and half as much again", seed, wait, interval)
		}
		expectOneInterval(t, &p, next, interval)
		starts = append(starts, next)
	}
	expectSpread(t, starts, interval/4)
}

// expectOneInterval checks that a pacer which starts then is put off no more.
func expectOneInterval(t *testing.T, p *Pacer, then time.Time, interval time.Duration) {
	t.Helper()
	p.Start(then)
	if wait := p.nextStart(then).Sub(then); wait != interval {
		t.Errorf("a pacer that has started again starts after %v, want %v", wait, interval)
	}
}

// expectSpread checks that the first start and the last lie so far apart.
func expectSpread(t *testing.T, starts []time.Time, least time.Duration) {
	t.Helper()
	first, last := slices.MinFunc(starts, time.Time.Compare), slices.MaxFunc(starts, time.Time.Compare)
	if spread := last.Sub(first); spread < least {
		t.Errorf("%d pacers start within %v, want them spread over %v at least", len(starts), spread, least)
	}
}

// An outage slows all pacers at the same moment; what they try afterwards is spread over
// their interval, so that one of them finds out soon that it is over.
func TestPacersSlowedTogetherStartApart(t *testing.T) {
	const pacers, rate = 16, 0.1
	interval := 10 * time.Second
	var starts []time.Time
	for seed := range uint64(pacers) {
		p := NewPacer(seed)
		p.Set(start, Limit{Window: 2, Rate: 50})
		p.Start(start)
		p.End()
		slowed := start.Add(100 * time.Millisecond)
		p.Set(slowed, Limit{Window: 2, Rate: rate})
		next := p.nextStart(slowed)
		p.Set(slowed, Limit{Window: 2, Rate: rate}) // a renewed grant changes nothing
		if again := p.nextStart(slowed); !again.Equal(next) {
			t.Errorf("pacer %d: a renewed grant moves the next start from %v to %v", seed, next, again)
		}
		if next.Before(slowed) || next.After(start.Add(interval)) {
			t.Errorf("pacer %d starts after %v, want within an interval of %v", seed, next.Sub(start), interval)
		}
		expectOneInterval(t, &p, next, interval)
		starts = append(starts, next)
	}
	expectSpread(t, starts, interval/2)
}

// A rate that is lifted while the window is full leaves nothing behind for the next one.
func TestALiftedRateIsNoSlowOne(t *testing.T) {
	p := NewPacer(1)
	p.Set(start, Limit{Window: 1, Rate: 50})
	p.Start(start)
	p.Set(start, Limit{Window: 1})
	if p.delay != 0 {
		t.Errorf("the next start is put off by %v of an interval, want none", p.delay)
	}
}

// A pacer that is slowed starts no sooner for it, and one that is hardly slowed not
// at another time.
func TestAPacerSlowedStartsNoSooner(t *testing.T) {
	interval := 10 * time.Second
	for seed := range uint64(16) {
		p := NewPacer(seed)
		p.Set(start.Add(-time.Hour), Limit{Window: 2, Rate: 0.1})
		p.Start(start)
		p.End()
		at := start.Add(interval / 2)
		before := p.nextStart(at).Sub(start)
		p.Set(at, Limit{Window: 2, Rate: 0.099})
		if wait := p.nextStart(at).Sub(start); wait != before {
			t.Errorf("slowed by a hundredth, pacer %d starts after %v, want %v as before", seed, wait, before)
		}
		p.Set(at, Limit{Window: 2, Rate: 0.04})
		if wait := p.nextStart(at).Sub(start); wait < before || wait > 25*time.Second {
			t.Errorf("slowed by more than half, pacer %d starts after %v, want between %v and the new interval", seed, wait, before)
		}
	}
}
