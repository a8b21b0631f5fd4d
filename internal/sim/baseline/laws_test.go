package baseline

import (
	"testing"
	"time"
)

const service = 120 * time.Millisecond

// policer throttles what exceeds 400 requests per second.
func policer() *path { return &path{policed: 400, service: service} }

// link carries 100 requests of 1 MiB per second, twelve of them on their way.
func link() *path { return &path{bandwidth: 100 * mib, service: service} }

// near fails the test if got is not within [low, high].
func near[T int | float64](t *testing.T, what string, got, low, high T) {
	t.Helper()
	if got < low || got > high {
		t.Errorf("%s is %v, want %v to %v", what, got, low, high)
	}
}

func TestEveryLawMovesDataOnACleanPath(t *testing.T) {
	for _, law := range Laws() {
		t.Run(law.Name, func(t *testing.T) {
			if law.Attempts < 1 {
				t.Errorf("%d attempts", law.Attempts)
			}
			log := drive(link(), newLimiter(t, law.Name), mib, 100)
			if got := total(log, 80, 100).accepted; got < 1900 {
				t.Errorf("%d requests in the last 20 s, want at least 1900 of 2000", got)
			}
		})
	}
}

// AIMD's window is a saw-tooth around what the policer admits, for ever.
func TestAIMDSawTooth(t *testing.T) {
	log := drive(policer(), newLimiter(t, "aimd"), mib, 60)
	teeth, lowest, highest := 0, log[20].window, 0
	for i := 20; i < 60; i++ {
		lowest, highest = min(lowest, log[i].lowest), max(highest, log[i].highest)
		if log[i].lowest < log[i].highest/2 {
			teeth++
		}
		near(t, "throttled per second", log[i].throttled, 20, 200)
	}
	near(t, "lowest window", lowest, 1, 24)
	near(t, "highest window", highest, 40, aimdMax)
	near(t, "seconds of 40 with a fall by half", teeth, 8, 40)
}

func TestAIMDSteps(t *testing.T) {
	now := time.Unix(0, 0)
	for _, tt := range []struct {
		name   string
		result Result
		want   int
	}{
		{"a success adds one", Result{InFlight: 50}, 101},
		{"unless the window is not half used", Result{InFlight: 49}, 100},
		{"a drop takes a tenth", Result{InFlight: 50, Outcome: Throttled}, 90},
		{"so does a time-out", Result{InFlight: 50, Outcome: TimedOut}, 90},
		{"and a success after five seconds", Result{InFlight: 50, Started: now.Add(-6 * time.Second)}, 90},
		{"another failure says nothing", Result{InFlight: 50, Outcome: Failed}, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &aimd{limit: 100}
			if tt.result.Started.IsZero() {
				tt.result.Started = now.Add(-service)
			}
			a.Done(now, tt.result)
			near(t, "window", a.limit, tt.want, tt.want)
		})
	}
}

// Gradient2 does not see drops: under a policer it opens its window fully and most
// requests are throttled, while a queue on a link holds it back.
func TestGradient2BlindToDrops(t *testing.T) {
	log := drive(policer(), newLimiter(t, "gradient2"), mib, 10)
	near(t, "window under a policer", log[9].window, 150, gradientMax)
	sum := total(log, 5, 10)
	near(t, "throttled share", float64(sum.throttled)/float64(sum.throttled+sum.accepted), 0.8, 1)

	g := newLimiter(t, "gradient2").(*gradient2)
	now := time.Unix(0, 0)
	g.Done(now, Result{Started: now.Add(-refusal), Outcome: Throttled, InFlight: gradientInitial})
	near(t, "window after a 503", g.limit, gradientInitial+0.5, gradientInitial+1)

	log = drive(link(), newLimiter(t, "gradient2"), mib, 60)
	near(t, "requests over a second on a link", total(log, 10, 60).longer, 0, 500)
}

// One burst of 503s makes AWS' adaptive mode cut again and again within a few
// milliseconds, to its minimum; it needs seconds to return, and then does it again.
func TestAWSAdaptiveCollapses(t *testing.T) {
	log := drive(policer(), newLimiter(t, "aws-adaptive"), mib, 180)
	near(t, "rate after the first burst", log[0].rate, 0, 1)
	near(t, "requests in the first three seconds", total(log, 0, 3).accepted, 1, 200)
	share := float64(total(log, 30, 180).accepted) / (150 * 400)
	near(t, "share of the policer's rate", share, 0.3, 0.8)
	a := newLimiter(t, "aws-adaptive").(*awsAdaptive)
	a.measured = 100
	for _, want := range []float64{70, 49, 34.3} {
		a.Done(time.Time{}, Result{Outcome: Throttled})
		near(t, "rate after one more 503 of a burst", a.fill, want-1e-9, want+1e-9)
	}
	if _, rate := newLimiter(t, "aws-adaptive").Limit(time.Unix(0, 0)); rate != 0 {
		t.Errorf("paces at %v/s before the first throttle", rate)
	}
}

// EMRFS halves with each pair of responses that holds a 503, so that the 503s of
// one moment leave next to nothing, and a hundred seconds do not bring it back.
func TestEMRFSHalves(t *testing.T) {
	e := newLimiter(t, "emrfs").(*emrfs)
	start := e.rate
	for _, outcome := range []Outcome{Accepted, Throttled} {
		e.Done(time.Unix(0, 0), Result{Outcome: outcome})
	}
	near(t, "rate after one 503", e.rate, start/2, start/2)
	for range 2 * emrfsWindow {
		e.Done(time.Unix(0, 0), Result{})
	}
	near(t, "rate after four successes", e.rate, start/2+0.19, start/2+0.21)

	log := drive(policer(), newLimiter(t, "emrfs"), mib, 60)
	near(t, "rate after the first second", log[0].rate, emrfsMin, 20)
	near(t, "requests per second after a minute", log[59].accepted, 1, 100)
}

// Polars cuts at most once a second, waits for two, and takes what it knew back.
func TestPolarsRefractory(t *testing.T) {
	now := time.Unix(0, 0)
	p := newLimiter(t, "polars").(*polars)
	p.goodput, p.rate = 400, 800
	p.Start(now, 1)
	for ms := range 900 {
		p.Done(now.Add(time.Duration(ms)*time.Millisecond), Result{Outcome: Throttled})
	}
	near(t, "rate after 900 ms of 503s", p.rate, 280, 280)
	p.Done(now.Add(time.Second), Result{Outcome: Throttled})
	near(t, "rate after another second", p.rate, 196, 196)

	log := drive(policer(), newLimiter(t, "polars"), mib, 120)
	sum := total(log, 20, 120)
	near(t, "share of the policer's rate", float64(sum.accepted)/(100*400), 0.7, 0.95)
	near(t, "throttled", sum.throttled, 1, 400)
}

// Before its first 503 Polars doubles each second, but only while it uses its rate.
func TestPolarsSearch(t *testing.T) {
	log := drive(&path{service: 10 * time.Millisecond}, newLimiter(t, "polars"), mib, 5)
	near(t, "rate after four seconds of a free path", log[4].rate, 8000, 16000)
	log = drive(link(), newLimiter(t, "polars"), mib, 5)
	near(t, "rate on a link that is slower", log[4].rate, polarsInitial, polarsInitial)
}

// Falcon climbs from one request to what fills the link, and no further: a longer
// queue costs utility. On a path that has no end it stops where the next request
// is priced above its worth, near 1/ln K = 50.
func TestFalconClimbs(t *testing.T) {
	log := drive(link(), newLimiter(t, "falcon"), mib, 120)
	near(t, "first window", log[0].window, falconInitial, falconInitial)
	highest := 0
	for _, s := range log[60:] {
		highest = max(highest, s.window)
	}
	near(t, "highest window on a link that 12 fill", highest, 12, 24)
	near(t, "requests in 60 s", total(log, 60, 120).accepted, 5400, 6000)

	log = drive(&path{service: service}, newLimiter(t, "falcon"), mib, 240)
	sum := 0
	for _, s := range log[120:] {
		sum += s.window
	}
	near(t, "mean window on an endless path", sum/120, 30, 75)
}

// BBR finds the link's rate within seconds, keeps twice its pipe in flight, and
// under a policer bounds drops by what is in flight.
func TestBBRFillsThePipe(t *testing.T) {
	log := drive(link(), newLimiter(t, "bbr"), mib, 60)
	near(t, "requests in 50 s", total(log, 10, 60).accepted, 4900, 5010)
	near(t, "requests over a second", total(log, 10, 60).longer, 0, 0)
	near(t, "window", log[59].window, 20, 30)

	sum := total(drive(policer(), newLimiter(t, "bbr"), mib, 60), 10, 60)
	near(t, "share of the policer's rate", float64(sum.accepted)/(50*400), 0.85, 1)
	near(t, "throttled share", float64(sum.throttled)/float64(sum.throttled+sum.accepted), 0, 0.05)
}

// A path that becomes slower is forgotten after two cycles, as is a shorter one.
func TestBBRForgets(t *testing.T) {
	p := link()
	p.change = func(p *path, since time.Duration) {
		if since >= 30*time.Second {
			p.bandwidth = 25 * mib
		}
	}
	log := drive(p, newLimiter(t, "bbr"), mib, 90)
	near(t, "rate before", log[29].rate, 85, 130)
	near(t, "rate after", log[89].rate, 20, 36)
}

func TestCRTConnections(t *testing.T) {
	for _, tt := range []struct {
		name string
		nic  float64 // bytes per second
		want int
	}{
		{"unknown", 0, 25},
		{"1 Gb/s", 0.125e9, 10},
		{"10 Gb/s", 1.25e9, 25},
		{"100 Gb/s", 12.5e9, 250},
	} {
		t.Run(tt.name, func(t *testing.T) {
			window, rate := newCRT(Env{NIC: tt.nic}).Limit(time.Time{})
			near(t, "window", window, tt.want, tt.want)
			near(t, "rate", rate, 0, 0)
		})
	}
}

// A 100 MB part takes over a second on one connection of 85 MB/s, however free the
// path is. The original takes that for congestion and pins each window at one.
func TestSeedPinnedByLargeParts(t *testing.T) {
	const size = 100_000_000
	log := drive(&path{service: 1180 * time.Millisecond}, newLimiter(t, "seed"), size, 60)
	for _, s := range log[5:] {
		near(t, "window of four prefixes", s.window, seedMaxPrefixes, seedMaxPrefixes)
	}
	log = drive(&path{service: 100 * time.Millisecond}, newLimiter(t, "seed"), 8*mib, 60)
	near(t, "window with parts of 8 MiB", log[59].window, 20, 4*seedMaxWindow)
}

// The original's window begins as the global one for each prefix, and its slow start
// shrinks that to the threshold.
func TestSeedSlowStartShrinks(t *testing.T) {
	s := newLimiter(t, "seed").(*seed)
	now := time.Unix(0, 0)
	window, _ := s.Limit(now)
	near(t, "first window", window, 4*seedWindow, 4*seedWindow)
	s.Start(now, 1)
	s.Done(now.Add(10*time.Millisecond), Result{Started: now, Bytes: 10 * mib})
	near(t, "window after a success", s.prefixes[0].window, seedThreshold, seedThreshold)
}

// A probe that meets drops lowers the bound on what is in flight, one that does not
// raises it, by steps that double.
func TestBBRBoundsWhatIsInFlight(t *testing.T) {
	for _, tt := range []struct {
		name  string
		drops float64
		want  float64
	}{{"drops", 3, 70}, {"few drops", 2, 104}} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Unix(0, 0)
			b := &bbr{phase: bbrUp, round: now, current: 1000, bound: 1e9, high: 100, step: 4, minRTT: service, mostInFlight: 100, delivered: 100, drops: tt.drops}
			b.endRound(now.Add(time.Second))
			near(t, "bound", b.high, tt.want, tt.want)
		})
	}
}
