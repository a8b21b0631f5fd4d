package coordination

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// TransferScheduler is one transfer's claim on the domain: its prefixes, its
// queues, its workers, and the strategy by which prefixes share its window.
type TransferScheduler struct {
	spec    protocol.Transfer
	tenant  *tenant
	lanes   []*lane
	byName  map[string]*lane
	workers []*worker // by ID
	removed bool

	planning bool
	planner  *worker
	spare    []*holding // to be used again
	offers   []offer    // scratch of refill

	terms lease.Terms // of the leases of its workers

	window int       // allocated by the last tick
	since  time.Time // of its last change between some slots and none
	pace   pace
	ready  []*worker // in this tick
	free   []*worker // those of ready that can be given archives
	demand int       // slots known to be of use, in this tick
	limit  int       // slots that can be held, in this tick
	// outlook of this tick.
	outlook outlook
	drain   float64 // seconds until its slowest prefix is empty; 0 unknown
}

// laneWeight is what the strategies know of a lane.
type laneWeight struct {
	path       pathModel
	efficiency float64 // smoothed; 0 until measured
	failures   float64 // part of the requests that did not succeed, smoothed
	window     float64 // TCPLike's own window
	sums       laneSums
}

// laneSums are the reports on a lane since the last round ended.
type laneSums struct {
	accepted, throttled, failed, bytes int64
	latency                            float64 // seconds times accepted requests
}

// register finds or makes a lane.
func (t *TransferScheduler) register(name string) (*lane, error) {
	if l := t.byName[name]; l != nil {
		return l, nil
	}
	if name == "" || len(name) > protocol.MaxPrefixLength {
		return nil, fmt.Errorf("register prefix of transfer %s: its name has %d bytes, must have 1 to %d",
			t.spec.ID, len(name), protocol.MaxPrefixLength)
	}
	if len(t.lanes) >= protocol.MaxPrefixes {
		return nil, fmt.Errorf("register prefix %s of transfer %s: there are %d prefixes already",
			name, t.spec.ID, protocol.MaxPrefixes)
	}
	l := &lane{name: name, index: len(t.lanes), transfer: t, held: map[int64]*holding{}}
	l.weight.window = 1
	t.lanes = append(t.lanes, l)
	t.byName[name] = l
	return l, nil
}

// coordinated tells that the transfer's windows are controlled and charged.
func (t *TransferScheduler) coordinated() bool { return !t.spec.Config.Uncoordinated }

// activate chooses the lanes that may hold a window: those that did go on until
// nothing remains of them, then the waiting ones follow in their order.
func (t *TransferScheduler) activate() {
	active := 0
	for _, l := range t.lanes {
		l.active = l.active && l.remaining() > 0 || len(l.held) > 0
		if l.active {
			active++
		}
	}
	for _, l := range t.lanes {
		if active < t.spec.Config.MaxActivePrefixes && !l.active && l.queued() > 0 {
			l.active = true
			active++
		}
	}
}

// weigh sets the weight of each active lane by the strategy.
func (t *TransferScheduler) weigh(l *lane, meanEfficiency float64) float64 {
	switch t.spec.Config.Strategy {
	case protocol.TCPLike:
		return l.weight.window
	case protocol.Adaptive:
		if l.weight.efficiency > 0 && meanEfficiency > 0 {
			return distinct(l.weight.efficiency / meanEfficiency)
		}
	}
	return 1
}

// distinct is a weight relative to the mean: none, unless it differs by half, since
// each change of a window costs its wait for acknowledgement; and never below a
// quarter of the fair share, so that a slow prefix goes on being measured.
func distinct(relative float64) float64 {
	if relative > 1/1.5 && relative < 1.5 {
		return 1
	}
	return max(0.25, relative)
}

// meanEfficiency is that of the active lanes of which it is known.
func (t *TransferScheduler) meanEfficiency() float64 {
	var sum, measured float64
	for _, l := range t.lanes {
		if l.active && l.weight.efficiency > 0 {
			sum += l.weight.efficiency
			measured++
		}
	}
	return sum / max(measured, 1)
}

// endRound updates what the strategies know of a lane, a round of length elapsed
// being over.
func (l *lane) endRound(now time.Time, elapsed time.Duration, state protocol.State) {
	w, s := &l.weight, l.weight.sums
	w.sums = laneSums{}
	completions := s.accepted + s.throttled + s.failed
	if completions == 0 || elapsed <= 0 {
		return
	}
	seconds := elapsed.Seconds()
	signal := Signal{Accepted: float64(s.accepted) / seconds, Bytes: float64(s.bytes) / seconds}
	if s.accepted > 0 {
		signal.Latency = time.Duration(s.latency / float64(s.accepted) * float64(time.Second))
	}
	config := l.transfer.spec.Config
	w.path.learningRate = config.LearningRate
	w.path.observe(now, signal, false)
	throttled := float64(s.throttled) / float64(completions)
	failed := float64(s.throttled+s.failed) / float64(completions)
	w.failures += (1 - failureMemory) * (failed - w.failures)
	w.measure(config.LearningRate)
	w.move(throttled, state, config)
}

// measure smooths the part of a further slot's worth that the lane can turn
// into goodput: where slots queue, another adds nothing. By Little's law
// base/current is goodput per slot over its value without a queue. Refusals are no
// part of it: the rate of the lane's group bounds the slots that it can use, and a
// lane that is given fewer takes longer to show whose fate it shares.
func (w *laneWeight) measure(learningRate float64) {
	if w.path.current() <= 0 {
		return
	}
	efficiency := max(0.01, w.path.base()/w.path.current())
	if w.efficiency == 0 {
		w.efficiency = efficiency
		return
	}
	w.efficiency += learningRate * (efficiency - w.efficiency)
}

// move changes the lane's own window as a TCP flow does: half at a loss, twice
// in slow start, one more otherwise (RFC 5681).
func (w *laneWeight) move(throttled float64, state protocol.State, config protocol.Config) {
	switch {
	case throttled > 0.1*(1-config.CongestionSensitivity):
		w.window = max(1, w.window/2)
	case state == protocol.SlowStart:
		w.window = min(2*w.window, protocol.MaxWindow)
	default:
		w.window = min(w.window+1, protocol.MaxWindow)
	}
}

// choosePlanner keeps one live worker on the planning duty. A planner that is
// blocked keeps it: what blocks it, most likely blocks every worker.
func (t *TransferScheduler) choosePlanner(now time.Time) {
	fit := func(w *worker) bool { return w.live(now) && !w.leaving() && !w.drained }
	needed := t.planning && !t.spec.Suspended
	if !needed || t.planner != nil && !fit(t.planner) {
		t.planner = nil
	}
	if !needed || t.planner != nil {
		return
	}
	if i := slices.IndexFunc(t.workers, func(w *worker) bool { return w.lease.MayPlan() }); i >= 0 {
		// Two must not plan at once; this one may, so it can as well go on.
		if w := t.workers[i]; fit(w) {
			t.planner = w
		}
		return
	}
	for _, w := range t.workers {
		if fit(w) && !w.blocked {
			t.planner = w
			return
		}
	}
}

// add and drop keep the workers ordered by ID.
func (t *TransferScheduler) add(w *worker) {
	i, _ := slices.BinarySearchFunc(t.workers, w.id, compareWorker)
	t.workers = slices.Insert(t.workers, i, w)
}

func (t *TransferScheduler) drop(w *worker) {
	if i, ok := slices.BinarySearchFunc(t.workers, w.id, compareWorker); ok {
		t.workers = slices.Delete(t.workers, i, i+1)
	}
	if t.planner == w {
		t.planner = nil
	}
}

func compareWorker(w *worker, id protocol.WorkerID) int { return cmp.Compare(w.id, id) }
