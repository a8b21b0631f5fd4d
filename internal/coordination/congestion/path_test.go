package congestion

import (
	"math"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

func TestBaseLatencyIsOfOneSize(t *testing.T) {
	var m pathModel
	m.learningRate = 0.1
	small, large := clean(), clean()
	small.Bytes = small.Accepted * 2000
	large.Latency = 400 * time.Millisecond
	m.observe(start, small, false)
	m.observe(start, large, false)
	if queue := m.queue(100); queue != 0 {
		t.Errorf("larger requests read as a queue of %v", queue)
	}
	m.observe(start, small, false)
	if m.base() != 0.1 {
		t.Errorf("the base latency of small requests is %v s, want 0.1", m.base())
	}
}

// The smallest latency is sound once more gets through than was in flight when it was
// seen, also when it was seen again later with fewer in flight.
func TestTheBaseLatencyIsSoundWithoutADrain(t *testing.T) {
	var m pathModel
	m.learningRate = 0.1
	m.observe(start, clean(), false)
	m.observe(start, clean(), false)
	if m.sound() {
		t.Fatal("sound, though as much was in flight as fills the path if it is right")
	}
	m.observe(start, with(func(s *Signal) { s.InFlight, s.Accepted, s.Bytes, s.Started = 40, 400, 400<<20, 400 }), false)
	m.observe(start, clean(), false)
	if !m.sound() {
		t.Error("not sound, though the latency was the same with 40 in flight, and 100 get through at a time")
	}
}

// A latency that stays high though fewer are sent is no queue: a drain shows it, and
// the window comes back.
func TestSlowerPathIsNoQueue(t *testing.T) {
	c := settledController(0)
	now := start
	for range 60 {
		now = now.Add(time.Second)
		x := c.window.size / 0.4
		judge(c, now, with(func(s *Signal) {
			s.Started, s.Accepted, s.Bytes = x, x, x*float64(1<<20)
			s.InFlight, s.Latency = int(c.window.size), 400*time.Millisecond
		}))
	}
	if math.Abs(c.path.base()-0.4) > 0.01 || c.window.size < 100 {
		t.Errorf("the base latency is %v s, the window %v, want 0.4 and more than 100", c.path.base(), c.window.size)
	}
}

// A first window that overfills the path hides the latency without a queue; drains
// find it.
func TestDrainsFindTheBaseLatency(t *testing.T) {
	c := fresh(protocol.DefaultConfig())
	now := start
	for range 60 {
		now = now.Add(3 * time.Second)
		latency := max(0.2, c.window.size/20) // 20 per second, 0.2 s each
		judge(c, now, with(func(s *Signal) {
			x := c.window.size / latency
			s.Started, s.Accepted, s.Bytes = x, x, x*float64(1<<20)
			s.InFlight, s.Latency = int(c.window.size), time.Duration(latency*float64(time.Second))
		}))
	}
	if c.path.base() > 0.21 || c.window.size > 10 {
		t.Errorf("the base latency is %v s, the window %v, want 0.2 and at most 10", c.path.base(), c.window.size)
	}
}

// The first to end are the fastest: a round in which many were started and few ended
// tells of no latency.
func TestYoungRoundsAreNoBase(t *testing.T) {
	c := settledController(0)
	judge(c, start, with(func(s *Signal) { s.Accepted, s.Latency = 500, 50*time.Millisecond }))
	if c.path.base() != 0.1 {
		t.Errorf("the base latency is %v s, want 0.1", c.path.base())
	}
}

// A thin path has few requests in any round; many such rounds tell its latency.
func TestMediansOfFewLowerTheBaseInTime(t *testing.T) {
	c := settledController(0)
	few := with(func(s *Signal) { s.Completions, s.Latency = 6, 50*time.Millisecond })
	c.path.observe(start, few, false)
	if got := c.path.base(); got < 0.095 {
		t.Errorf("six requests lowered the base latency to %v s, want hardly below 0.1", got)
	}
	for range 50 {
		c.path.observe(start, few, false)
	}
	if got := c.path.base(); got > 0.055 {
		t.Errorf("the base latency is %v s after fifty rounds at 0.05", got)
	}
}

// The median of a few requests lies off by chance; were it taken for the latency without
// a queue, every later round would read as one.
func TestMediansOfFewHardlyLowerTheBase(t *testing.T) {
	few := func(accepted, refused int64) Signal {
		return with(func(s *Signal) {
			s.Latency, s.Completions = 60*time.Millisecond, accepted+refused
			s.Throttled = s.Accepted * float64(refused) / float64(accepted)
		})
	}
	for name, s := range map[string]Signal{"few": few(25, 0), "few among refusals": few(25, 100)} {
		c := settledController(0)
		c.path.observe(start, s, false)
		if c.path.base() < 0.089 {
			t.Errorf("%s: the base latency is %v s, want 0.1 or a quarter of the way down", name, c.path.base())
		}
	}
}

// A window that shrinks for a queue and finds the latency as it was has measured its
// smallest latency wrong.
func TestAShrinkingWindowFindsThatThereWasNoQueue(t *testing.T) {
	c := settledController(0)
	c.path.bases[c.path.SizeClass].seconds = 0.06
	now := start
	before := c.window.size // what is in flight lags by a round
	for round := 0; c.path.base() < 0.09; round++ {
		if round == 12 {
			t.Fatalf("after %d rounds the base latency is %v s, want 0.1", round, c.path.base())
		}
		now = now.Add(time.Second)
		window := c.window.size
		judge(c, now, with(func(s *Signal) {
			x := window / 0.1
			s.Started, s.Accepted, s.Bytes, s.InFlight = x, x, x*float64(1<<20), int(before)
		}))
		before = window
	}
	if c.window.draining {
		t.Error("what was found is measured once more")
	}
}

// What was in flight before rounds of another kind is not compared with: the window may
// have moved for other reasons.
func TestOnlyRoundsInARowAreCompared(t *testing.T) {
	c := settledController(0)
	judge(c, start, slowed(200*time.Millisecond))
	judge(c, start, with(func(s *Signal) { s.InFlight, s.SenderLimited = 10, true }))
	c.window.size = 40
	judge(c, start, with(func(s *Signal) { s.InFlight, s.Latency = 40, 200*time.Millisecond }))
	if c.path.base() != 0.1 {
		t.Errorf("the base latency is %v s, want 0.1 as before", c.path.base())
	}
}

// Soundness needs the least that was in flight where the latency was seen; where few
// workers reported, Little's law tells what the others had.
func TestTheLeastInFlightIsNotWhatFewReported(t *testing.T) {
	b := baseLatency{seconds: 0.1, inFlight: 100}
	b.confirm(with(func(s *Signal) { s.InFlight = 5 })) // 1000/s at 100 ms
	if b.inFlight != 100 {
		t.Errorf("%v in flight, want 100", b.inFlight)
	}
	b.confirm(with(func(s *Signal) { s.InFlight, s.Accepted = 60, 600 }))
	if b.inFlight != 60 {
		t.Errorf("%v in flight, want 60", b.inFlight)
	}
}

// Where the path carries less than slow start has just shown that it can, with the window in
// use all the time, it is not full: what a request takes then is the smallest latency,
// whatever the first few took.
func TestAPathThatIsNotFullShowsTheBaseLatency(t *testing.T) {
	for name, test := range map[string]struct{ accepted, used, want float64 }{
		"not full":        {700, 1, 0.1},
		"full":            {950, 1, 0.07},
		"a burst is over": {700, 0.5, 0.07},
	} {
		c := fresh(protocol.DefaultConfig())
		judge(c, start, with(func(s *Signal) {
			s.Started, s.Accepted, s.Bytes, s.InFlight, s.Latency = 400, 400, 400<<20, 32, 70*time.Millisecond
		}))
		judge(c, start.Add(time.Second), with(func(s *Signal) { s.InFlight, s.Latency = 64, 140*time.Millisecond }))
		if c.window.state != protocol.CongestionAvoidance {
			t.Fatal("slow start goes on at a queue")
		}
		size := c.window.size
		for i := range 2 {
			judge(c, start.Add(time.Duration(2+i)*time.Second), with(func(s *Signal) {
				s.Started, s.Accepted, s.Bytes = test.accepted, test.accepted, test.accepted*(1<<20)
				s.InFlight, s.Busy = int(size), test.used*size
			}))
		}
		if got := c.path.base(); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: the base latency is %v s, want %v", name, got, test.want)
		}
	}
}

// A drain goes as far below what fills the path as shows that the path is not full.
func TestADrainIsDeepEnough(t *testing.T) {
	c := settledController(0)
	c.window.size = 180 // of a pipe of 100, so that drainShare alone leaves 99
	c.drain(start, with(func(s *Signal) { s.InFlight, s.Latency = 180, 180*time.Millisecond }))
	if fullPipe*c.window.size >= c.path.pipe() {
		t.Errorf("the window is drained to %v of a pipe of %v", c.window.size, c.path.pipe())
	}
}

// A drain does not go so deep at once that next to nothing is sent, however small the
// pipe is taken for.
func TestADrainHasADepth(t *testing.T) {
	c := settledController(0)
	c.window.size = 1000 // of a pipe of 100
	c.drain(start, with(func(s *Signal) { s.InFlight = 1000 }))
	if got := c.window.size; got != drainLeast*1000 {
		t.Errorf("the window is drained from 1000 to %v, want %v", got, drainLeast*1000)
	}
}

// An outage ends a drain, whose window is no measure of anything.
func TestAnOutageEndsADrain(t *testing.T) {
	c := settledController(0)
	judge(c, start, clean())
	before := c.window.good
	c.drain(start, clean())
	for range 3 * starvedRounds {
		judge(c, start, with(func(s *Signal) { s.Accepted, s.Bytes, s.Failed, s.Latency = 0, 0, 10, 0 }))
	}
	if w := c.window; w.draining || w.resume != before {
		t.Errorf("draining: %v, to resume at %v, want no drain and the %v that was proven", w.draining, w.resume, before)
	}
}
