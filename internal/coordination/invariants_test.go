package coordination

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// world is a manager and its workers around the real coordinator, with an API
// that keeps the last grant and report of each worker, and messages that are
// late, lost, doubled or out of order. Every process has a clock of its own.
type world struct {
	t      *rapid.T
	random *rand.Rand
	now    time.Duration // true time
	faulty bool

	manager  *PipelineCoordinator
	drift    float64 // of the manager's clock
	reports  int     // per second, of all workers
	epoch    int64
	saved    protocol.Snapshot
	known    int                          // the window that the manager began with
	recorded map[string]protocol.Recorded // finished archives, as recorded

	handed   map[protocol.WorkerID]protocol.Grant  // to be written, the newest of each worker
	grants   map[protocol.WorkerID]protocol.Grant  // in the API
	statuses map[protocol.WorkerID]protocol.Report // in the API
	workers  map[protocol.WorkerID]*process
	created  int
	messages []message

	bounds    []boundAt
	scheduled int64
	completed map[protocol.ArchiveID]bool // by some worker, in truth
}

// message is a grant or a report under way.
type message struct {
	at     time.Duration
	grant  *protocol.Grant
	report *protocol.Report
}

type boundAt struct {
	at     time.Duration
	window int
}

const testTransfer = protocol.TransferID("t")

var testPrefixes = []string{"a", "b", "c"}

func testConfig() protocol.Config {
	config := protocol.DefaultConfig()
	config.PipelineDepth = 3
	config.MaxActivePrefixes = 2
	config.LeaseDuration, config.CoastingTime = 10*time.Second, 40*time.Second
	config.MaxAttempts = 100
	return config
}

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, random: newRand(rapid.Uint64().Draw(t, "seed")), faulty: true,
		// With one or two reports per second the fleet is a large one.
		reports:  rapid.SampledFrom([]int{50, 2, 1}).Draw(t, "reports"),
		recorded: map[string]protocol.Recorded{}, grants: map[protocol.WorkerID]protocol.Grant{}, statuses: map[protocol.WorkerID]protocol.Report{},
		workers: map[protocol.WorkerID]*process{}, completed: map[protocol.ArchiveID]bool{},
	}
	w.startManager()
	return w
}

// clock reads a clock that runs off by drift.
func clock(now time.Duration, drift float64) time.Duration {
	return time.Duration(float64(now) * (1 + drift))
}

func (w *world) anyDrift() float64 { return (2*w.random.Float64() - 1) * protocol.DriftBound }

func (w *world) managerTime() time.Time { return start.Add(clock(w.now, w.drift)) }

// startManager begins to lead from what the API holds.
func (w *world) startManager() {
	c, err := NewPipelineCoordinator(Options{Rand: newRand(w.random.Uint64()), ReportsPerSecond: w.reports})
	w.check(err)
	w.epoch++
	w.drift, w.handed = w.anyDrift(), map[protocol.WorkerID]protocol.Grant{}
	w.manager = c
	snapshot := w.saved
	snapshot.Epoch = w.epoch
	now := w.managerTime()
	w.check(c.Start(now, snapshot))
	if w.known = protocol.MaxWindow; snapshot.Path != nil {
		w.known = snapshot.Path.Window
	}
	w.check(c.PutTransfer(now, protocol.Transfer{ID: testTransfer, Weight: 1, Config: testConfig(), Recorded: w.recorded}))
	for id := range w.workers {
		if g, ok := w.grants[id]; ok {
			c.AdoptGrant(now, g)
		}
	}
	for _, prefix := range testPrefixes {
		w.check(c.RegisterPrefix(now, testTransfer, prefix))
	}
	w.plan()
	c.SetPlanning(testTransfer, true)
	for id := range w.workers {
		c.AddWorker(now, id, testTransfer, 40)
		if r, ok := w.statuses[id]; ok {
			w.observe(r)
		}
	}
}

// plan deals the archives out to the prefixes, in turn.
func (w *world) plan() {
	for i, prefix := range testPrefixes {
		n := (w.scheduled + int64(len(testPrefixes)-1-i)) / int64(len(testPrefixes))
		w.check(w.manager.PlanPrefix(w.managerTime(), testTransfer, protocol.PlannedPrefix{Prefix: prefix, Planned: protocol.Planned{Archives: n, Files: n, Bytes: n}}))
	}
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) startWorker() {
	id := protocol.WorkerID(fmt.Sprintf("w%d", w.created))
	w.created++
	p := &process{id: id, drift: w.anyDrift()}
	w.workers[id] = p
	p.start(w.now, 0)
	if w.manager != nil {
		w.manager.AddWorker(w.managerTime(), id, testTransfer, 40)
	}
}

// deliver hands out the messages that are due.
func (w *world) deliver() {
	due := slices.Clone(w.messages)
	w.messages = slices.DeleteFunc(w.messages, func(m message) bool { return m.at <= w.now })
	for _, m := range due {
		switch {
		case m.at > w.now:
		case m.grant != nil:
			if p := w.workers[m.grant.Worker]; p != nil && p.alive && !p.cutOff {
				p.take(w.now, *m.grant)
			}
		case w.manager != nil:
			w.observe(*m.report)
		}
	}
}

func (w *world) observe(r protocol.Report) {
	err := w.manager.Observe(w.managerTime(), r)
	if err != nil && !errors.Is(err, ErrStaleReport) && !errors.Is(err, ErrUnknownWorker) {
		w.t.Fatal(err)
	}
}

// send puts a message under way; while faulty it may be lost, late or doubled.
func (w *world) send(m message) {
	m.at = w.now + 50*time.Millisecond
	copies := 1
	if w.faulty {
		copies = []int{0, 1, 1, 1, 1, 1, 1, 2}[w.random.IntN(8)]
	}
	for range copies {
		if w.faulty && w.random.IntN(4) == 0 {
			m.at = w.now + time.Duration(w.random.Int64N(int64(20*time.Second)))
		}
		w.messages = append(w.messages, m)
	}
}

// work lets a process finish archives and report.
func (w *world) work(p *process) {
	if !p.alive {
		return
	}
	if p.using(w.now) > 0 {
		w.finishArchives(p)
	}
	if w.now < p.next {
		return
	}
	p.next = w.now + max(p.grant.ReportInterval, time.Second)
	p.report.Sequence++
	p.sentAt[p.report.Sequence] = clock(w.now, p.drift)
	p.report.Prefixes = p.counters(w.random)
	p.report.Finished = nil
	p.report.Drained = p.grant.Drain
	for a, f := range p.finished {
		if f.report == 0 {
			f.report = p.report.Sequence
			p.finished[a] = f
		}
		p.report.Finished = append(p.report.Finished, f.outcome)
	}
	r := p.report
	if p.cutOff {
		return
	}
	w.statuses[p.id] = r
	w.send(message{report: &r})
	if stored, ok := w.grants[p.id]; ok && w.random.IntN(3) > 0 {
		p.ask(w.now, stored)
	}
}

func (w *world) finishArchives(p *process) {
	for _, g := range p.grant.Prefixes {
		for _, a := range slices.Concat(g.Assignments, p.reserved(w.now, g)) {
			if _, told := p.finished[a.Archive]; told || w.random.IntN(4) > 0 {
				continue
			}
			if stored := w.grants[p.id]; stored.ID().Before(p.grant.ID()) {
				w.t.Fatalf("I6: %s works on a grant that the API does not hold", p.id)
			}
			o := protocol.Outcome{Archive: a.Archive, Done: protocol.Tally{Files: 1, Bytes: 1}}
			if w.random.IntN(5) == 0 {
				o = protocol.Outcome{Archive: a.Archive, Retry: true, Reason: "Reset"}
			} else {
				w.completed[a.Archive] = true
			}
			p.finished[a.Archive] = finishedAt{outcome: o}
		}
	}
}

// tick lets the manager decide, record and hand over what is to be written, in that order.
func (w *world) tick() {
	for id, g := range w.grants {
		w.manager.Stored(w.managerTime(), id, g.ID())
	}
	plan := w.manager.Tick(w.managerTime())
	w.bounds = append(w.bounds, boundAt{w.now, w.manager.control.Bound()})
	w.checkManager()
	w.saved = w.manager.Snapshot()
	for _, p := range w.manager.Progress(testTransfer).Prefixes {
		w.recorded[p.Prefix] = p.Recorded()
	}
	for _, g := range plan.Grants {
		if old := w.grants[g.Worker]; old.Epoch == g.Epoch && old.Sequence > g.Sequence {
			w.t.Fatalf("I3: grant %d of %s follows grant %d", g.Sequence, g.Worker, old.Sequence)
		}
		w.handed[g.Worker] = g
	}
}

// write writes what was handed over; while faulty some of it only later, when the manager has
// perhaps decided anew, or died.
func (w *world) write() {
	for _, id := range slices.Sorted(maps.Keys(w.handed)) {
		if w.faulty && w.random.IntN(3) > 0 {
			continue
		}
		g := w.handed[id]
		delete(w.handed, id)
		if w.grants[id].ID().Before(g.ID()) {
			w.grants[id] = g
			w.send(message{grant: &g})
		}
	}
	if w.faulty && w.random.IntN(160) == 0 {
		w.manager = nil
	}
}

// advance lets time pass in steps of half a second.
func (w *world) advance(d time.Duration) {
	for end := w.now + d; w.now < end; {
		w.now += 500 * time.Millisecond
		w.deliver()
		for _, id := range slices.Sorted(maps.Keys(w.workers)) {
			w.work(w.workers[id])
		}
		if w.manager != nil && w.now%(2*time.Second) == 0 {
			w.tick()
		}
		if w.manager != nil {
			w.write()
		}
		w.checkWorkers()
	}
}

// act draws and does one thing.
func (w *world) act() {
	ids := slices.Sorted(maps.Keys(w.workers))
	var p *process
	if len(ids) > 0 {
		p = w.workers[rapid.SampledFrom(ids).Draw(w.t, "worker")]
	}
	switch action := rapid.IntRange(0, 12).Draw(w.t, "action"); {
	case action == 0 && len(ids) < 6 || p == nil:
		w.startWorker()
	case action == 1:
		p.start(w.now, w.statuses[p.id].Sequence) // the container was restarted
	case action == 2:
		p.alive = !p.alive // the node froze, or thawed
	case action == 3:
		p.alive = false
		delete(w.workers, p.id)
		w.removeWorker(p.id, true)
	case action == 4:
		w.removeWorker(p.id, false)
	case action == 5:
		w.manager = nil
	case action == 6 && w.manager == nil:
		w.startManager()
	case action == 7 && w.manager != nil && w.scheduled < 120:
		for range 10 {
			w.scheduled++
			w.plan()
		}
	case action == 8:
		p.cutOff = !p.cutOff
	default:
		w.advance(time.Duration(rapid.IntRange(1, 12).Draw(w.t, "seconds")) * time.Second)
	}
}

func (w *world) removeWorker(id protocol.WorkerID, confirmed bool) {
	if w.manager != nil {
		w.manager.RemoveWorker(w.managerTime(), id, confirmed)
	}
}

// settle ends all faults; then every archive must be finished in time.
func (w *world) settle() {
	w.faulty = false
	if w.manager == nil {
		w.startManager()
	}
	for _, id := range slices.Sorted(maps.Keys(w.workers)) {
		delete(w.workers, id)
		w.removeWorker(id, true)
	}
	w.startWorker()
	w.startWorker()
	w.advance(10 * time.Minute)
	for _, p := range w.manager.Progress(testTransfer).Prefixes {
		if p.Queued+p.Assigned > 0 {
			w.t.Fatalf("prefix %s has %d archives queued and %d assigned after ten quiet minutes", p.Prefix, p.Queued, p.Assigned)
		}
	}
}

func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(5, 60).Draw(t, "actions") {
			w.act()
		}
		w.settle()
	})
}
