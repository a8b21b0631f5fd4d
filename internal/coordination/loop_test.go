package coordination

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// epoch0 is an arbitrary beginning of virtual time.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// path is a fluid model of a destination: a policer in requests per second, a
// link in bytes per second, and a service time without a queue in seconds. 0
// means unlimited; dead refuses everything.
type path struct {
	policer, link, service float64
	dead                   bool
}

// loop runs a coordinator against a path with workers that always have work.
type loop struct {
	t       *testing.T
	c       *PipelineCoordinator
	path    path
	part    float64 // bytes per request
	now     time.Time
	workers []*loopWorker
	wanted  float64 // requests per second beyond which the senders have nothing; 0 fairshare.Unlimited
	random  *rand.Rand

	accepted, refused float64
}

type loopWorker struct {
	sent   map[string]int64 // by prefix, in benchmarks
	due    time.Time        // of its next report, likewise
	report protocol.Report
	sums   struct{ started, accepted, throttled, bytes, busy float64 }
	grant  protocol.Grant
}

func newLoop(t *testing.T, workers int, config protocol.Config) *loop {
	t.Helper()
	c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
	if err != nil {
		t.Fatal(err)
	}
	l := &loop{t: t, c: c, now: start, part: 8 << 20, random: newRand(2), path: path{service: 0.12}}
	must(t, c.Start(l.now, protocol.Snapshot{Epoch: 1}))
	must(t, c.PutTransfer(l.now, protocol.Transfer{ID: "t", Weight: 1, Config: config}))
	must(t, c.RegisterPrefix(l.now, "t", "p"))
	for n := range int64(1000) {
		must(t, c.ScheduleUpload(protocol.Upload{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "p", Number: n}}))
	}
	for i := range workers {
		id := protocol.WorkerID(fmt.Sprintf("w%03d", i))
		c.AddWorker(l.now, id, "t", 1000)
		l.workers = append(l.workers, &loopWorker{report: protocol.Report{Worker: id, Transfer: "t", Instance: "1", MaxInFlight: 1000}})
	}
	return l
}

// run advances by whole report intervals of 2 s.
func (l *loop) run(d time.Duration) {
	l.t.Helper()
	for end := l.now.Add(d); l.now.Before(end); {
		l.send(2 * time.Second)
		l.now = l.now.Add(2 * time.Second)
		for _, w := range l.workers {
			w.report.Sequence++
			must(l.t, l.c.Observe(l.now, w.report))
		}
		for i, g := range l.c.Tick(l.now).Grants {
			l.workers[i].grant = g
		}
	}
}

// send moves what the path takes under the grants in the time.
func (l *loop) send(d time.Duration) {
	seconds := d.Seconds()
	window, rate := 0.0, 0.0
	for _, w := range l.workers {
		w.report.Epoch, w.report.GrantSequence = w.grant.Epoch, w.grant.Sequence
		window += float64(w.window())
		rate += w.rate()
	}
	if window == 0 {
		return
	}
	offered := window / l.path.service
	if rate > 0 {
		offered = min(offered, rate)
	}
	if l.wanted > 0 {
		offered = min(offered, l.wanted)
	}
	carried := offered
	if l.path.link > 0 {
		carried = min(carried, l.path.link/l.part)
	}
	latency := l.path.service
	if carried < offered {
		latency = window / carried // Little's law: the rest waits
	}
	accepted := carried
	if l.path.policer > 0 {
		accepted = min(accepted, l.path.policer)
	}
	if l.path.dead {
		accepted = 0
	}
	for _, w := range l.workers {
		part := float64(w.window()) / window * seconds
		l.workerSends(w, part*carried, part*accepted, latency, offered*latency/window)
	}
}

func (l *loop) workerSends(w *loopWorker, carried, accepted, latency, used float64) {
	w.sums.started += carried
	w.sums.accepted += accepted
	w.sums.throttled += carried - accepted
	w.sums.bytes += accepted * l.part
	w.sums.busy += carried * latency
	l.accepted += accepted
	l.refused += carried - accepted
	noise := math.Exp(0.03 * l.random.NormFloat64())
	inFlight := int(math.Ceil(float64(w.window()) * min(1, used)))
	w.report.Prefixes = []protocol.PrefixCounters{{
		Prefix: "p", Started: int64(w.sums.started) + 3, Accepted: int64(w.sums.accepted),
		Throttled: int64(w.sums.throttled), Bytes: int64(w.sums.bytes),
		Busy:        time.Duration(w.sums.busy * float64(time.Second)),
		MaxInFlight: inFlight, SenderLimited: inFlight < w.window() && w.rate() == 0,
	}}
	if accepted > 0 {
		w.report.Prefixes[0].AttemptP50 = time.Duration(latency * noise * float64(time.Second))
	}
}

func (w *loopWorker) window() int {
	sum := 0
	for _, p := range w.grant.Prefixes {
		sum += p.Window
	}
	return sum
}

func (w *loopWorker) rate() float64 {
	sum := 0.0
	for _, p := range w.grant.Prefixes {
		sum += p.Rate
	}
	return sum
}

// measure runs for a time and gives accepted requests per second and the share refused.
func (l *loop) measure(d time.Duration) (rate, refused float64) {
	l.t.Helper()
	l.accepted, l.refused = 0, 0
	l.run(d)
	return l.accepted / d.Seconds(), l.refused / max(1, l.accepted+l.refused)
}

// until runs for at most a minute, and tells how long the rate took to reach wanted.
func (l *loop) until(wanted float64) time.Duration {
	l.t.Helper()
	for passed := 2 * time.Second; passed <= time.Minute; passed += 2 * time.Second {
		if rate, _ := l.measure(2 * time.Second); rate >= wanted {
			return passed
		}
	}
	l.t.Fatalf("the rate did not reach %v in a minute: %+v", wanted, l.c.Metrics(l.now).Groups[0])
	return 0
}

func TestPolicerIsFoundAndRespected(t *testing.T) {
	l := newLoop(t, 4, protocol.DefaultConfig())
	l.path.policer = 400
	if took := l.until(0.9 * 400); took > 10*time.Second {
		t.Errorf("took %v to find the capacity, want 10s", took)
	}
	l.run(10 * time.Second)
	rate, refused := l.measure(3 * time.Minute)
	if rate < 0.97*400 {
		t.Errorf("%.1f requests per second, want 97%% of 400", rate)
	}
	if refused > 0.01 {
		t.Errorf("%.4f of the requests were refused, want 1%%", refused)
	}
}

func TestLinkIsFilledWithLittleQueue(t *testing.T) {
	l := newLoop(t, 4, protocol.DefaultConfig())
	l.path.link = 1.25e9
	capacity := l.path.link / l.part
	if took := l.until(0.95 * capacity); took > 6*time.Second {
		t.Errorf("took %v to fill the link, want 6s", took)
	}
	l.run(time.Minute)
	if rate, _ := l.measure(3 * time.Minute); rate < 0.97*capacity {
		t.Errorf("%.1f requests per second, want 97%% of %.1f", rate, capacity)
	}
	if latency := l.c.Metrics(l.now).Latency.Seconds(); latency > 1.6*l.path.service {
		t.Errorf("latency %.3f s, want at most 1.6 times %.3f s", latency, l.path.service)
	}
}

// The window does not creep up although its own queue hides the true latency.
func TestQueueStaysSmallForHours(t *testing.T) {
	l := newLoop(t, 4, protocol.DefaultConfig())
	l.path.link = 1.25e9
	for range 60 {
		l.run(2 * time.Minute)
		if g := l.c.Metrics(l.now); g.Window > 60 {
			t.Fatalf("window %d after %v, 18 requests fill the path", g.Window, l.now.Sub(start))
		}
	}
}

func TestCapacityIsFollowed(t *testing.T) {
	tests := map[string]struct {
		before, less path
		rate, low    float64
		wantDown     time.Duration
		wantUp       time.Duration
	}{
		"policer": {path{policer: 800}, path{policer: 200}, 800, 200, 4 * time.Second, 40 * time.Second},
		"link":    {path{link: 1.25e9}, path{link: 0.4e9}, 149, 47.7, 4 * time.Second, 14 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, 4, protocol.DefaultConfig())
			test.before.service, test.less.service = 0.12, 0.12
			l.path = test.before
			l.run(time.Minute)
			l.path = test.less
			if took := l.until(0.9 * test.low); took > test.wantDown {
				t.Errorf("took %v to use the lower capacity, want %v", took, test.wantDown)
			}
			l.run(10 * time.Second)
			if _, refused := l.measure(time.Minute); refused > 0.02 {
				t.Errorf("%.3f of the requests were refused at the lower capacity", refused)
			}
			l.path = test.before
			if took := l.until(0.9 * test.rate); took > test.wantUp {
				t.Errorf("took %v to regain the capacity, want %v", took, test.wantUp)
			}
		})
	}
}

func TestBlackoutWastesLittleAndIsOvercome(t *testing.T) {
	for name, p := range map[string]path{"policer": {policer: 400, service: 0.12}, "link": {link: 1.25e9, service: 0.12}} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, 4, protocol.DefaultConfig())
			l.path = p
			l.run(time.Minute)
			good, _ := l.measure(20 * time.Second)
			l.path.dead = true
			l.run(4 * time.Second)
			if _, _ = l.measure(2 * time.Minute); l.refused > 0.01*good*120 {
				t.Errorf("%.0f requests were wasted in two dark minutes", l.refused)
			}
			if state := l.c.Metrics(l.now).Groups[0].State; state != protocol.Recovery {
				t.Errorf("the state is %s, want Recovery", state)
			}
			l.path.dead = false
			if took := l.until(0.9 * good); took > 12*time.Second {
				t.Errorf("took %v to regain %.0f requests per second, want 12s", took, good)
			}
		})
	}
}

// Having little to send is no congestion: nothing is cut, and full demand is
// met at once.
func TestShortageOfWorkChangesNothing(t *testing.T) {
	l := newLoop(t, 4, protocol.DefaultConfig())
	l.path.link = 1.25e9
	l.run(time.Minute)
	before := l.c.Metrics(l.now)
	l.wanted = 5
	l.run(5 * time.Minute)
	after := l.c.Metrics(l.now)
	if after.Window < before.Window*7/10 || after.Groups[0].CongestionEvents != before.Groups[0].CongestionEvents ||
		after.Groups[0].State != before.Groups[0].State {
		t.Errorf("from %+v to %+v", before, after)
	}
	l.wanted = 0
	if took := l.until(0.9 * l.path.link / l.part); took > 2*time.Second {
		t.Errorf("took %v to use the path again, want 2s", took)
	}
}

func TestStrategiesFillTheLink(t *testing.T) {
	for _, strategy := range []protocol.Strategy{protocol.TCPLike, protocol.FairShare, protocol.Adaptive} {
		for _, advanced := range []bool{true, false} {
			config := protocol.DefaultConfig()
			config.Strategy, config.AdvancedFlowControl = strategy, advanced
			l := newLoop(t, 3, config)
			l.path.link = 1.25e9
			l.run(time.Minute)
			if rate, _ := l.measure(time.Minute); rate < 0.95*149 {
				t.Errorf("%s, advanced flow control %v: %.1f requests per second, want 95%% of 149", strategy, advanced, rate)
			}
		}
	}
}

func TestMetricsOfALoop(t *testing.T) {
	l := newLoop(t, 4, protocol.DefaultConfig())
	l.path.policer = 400
	if m := l.c.Metrics(l.now); m.Baseline.Measured || m.LoadBalance != 0 || m.Fairness != 0 {
		t.Errorf("measured before anything was sent: %+v", m)
	}
	l.run(2 * time.Minute)
	m := l.c.Metrics(l.now)
	g := m.Groups[0]
	if m.Workers != 4 || m.LiveWorkers != 4 || m.ReportsAccepted != 240 {
		t.Errorf("%d workers, %d live, %d reports", m.Workers, m.LiveWorkers, m.ReportsAccepted)
	}
	if math.Abs(g.Requests-390) > 20 || math.Abs(g.Throughput/g.Requests-l.part) > 0.01*l.part {
		t.Errorf("%.1f requests and %.0f bytes per second, want about 390 of 8 MiB", g.Requests, g.Throughput)
	}
	if m.LoadBalance < 0.95 || m.LoadBalance > 1+1e-9 || math.Abs(m.Fairness-1) > 1e-9 {
		t.Errorf("load balance %v and fairness %v of four alike workers of one transfer", m.LoadBalance, m.Fairness)
	}
	if m.Overhead < 0 || m.Overhead > 0.1 {
		t.Errorf("overhead %v", m.Overhead)
	}
	b := m.Baseline
	// 32 requests of 0.12 s are 267 per second, which nobody refuses.
	if !b.Measured || math.Abs(b.RequestRate-267) > 10 || b.ThrottledShare > 0 || b.Latency < 100*time.Millisecond {
		t.Errorf("baseline %+v", b)
	}
	if m.Improvement < 0.4 || m.Improvement > 0.5 || math.Abs(m.LatencyReduction) > 0.05 {
		t.Errorf("improvement %v and latency reduction %v, want 390/267 - 1 and none", m.Improvement, m.LatencyReduction)
	}
	if m.CongestionCauses[string(congestion.ReasonThrottled)] < 1 || m.PipelineUtilization < 0.5 || math.Abs(m.Throughput-g.Throughput) > 1 {
		t.Errorf("causes %v, utilization %v, throughput %v of %v", m.CongestionCauses, m.PipelineUtilization, m.Throughput, g.Throughput)
	}
	if g.CongestionEvents < 1 || m.Profile.Samples == 0 || m.Profile.Confidence < 0.5 {
		t.Errorf("group %+v", g)
	}
	p := l.c.Progress("t").Prefixes[0]
	if math.Abs(p.Throughput/g.Throughput-1) > 0.1 || p.Window != g.Granted || p.AttemptP50 < 100*time.Millisecond {
		t.Errorf("progress %+v", p)
	}
}
