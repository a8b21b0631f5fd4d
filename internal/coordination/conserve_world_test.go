package coordination

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// TestConservation lets a transfer run while workers die, lie and give up, configurations
// are rejected and the manager is replaced at any point: it never counts as conserved
// unless the sums agree with the truth, and it always ends.
//
// make test runs 2,000 cases; 100,000 take half a minute:
//
//	go test ./internal/coordination -run TestConservation -rapid.checks=5000
func TestConservation(t *testing.T) {
	for part := range 20 {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				b := newBooks(t)
				for range rapid.IntRange(0, 60).Draw(t, "steps") {
					b.step()
				}
				b.conclude()
			})
		})
	}
}

// books is a transfer with what is true of it, what the API holds, and its manager.
type books struct {
	t     *rapid.T
	now   time.Time
	epoch int64
	core  *PipelineCoordinator

	content  map[string][]protocol.Outcome // by prefix: the outcome of each archive
	complete map[protocol.ArchiveID]bool   // some worker has done its part, honestly
	// falseCounts: a worker has lied about its own archives.
	falseCounts bool
	config      protocol.Config

	// The API.
	snapshot protocol.Snapshot
	recorded map[string]protocol.Recorded
	planned  bool
	grants   map[protocol.WorkerID]protocol.Grant

	workers map[protocol.WorkerID]*clerk
	created int
	listed  int64 // archives of each prefix that the planner has listed
}

// clerk is a worker. What it has finished is in every report until one is acknowledged.
type clerk struct {
	report   protocol.Report
	finished map[protocol.Assignment]protocol.Outcome
	told     map[protocol.Assignment]int64 // the first report that told of it
	held     map[protocol.ArchiveID]bool   // ever
}

func newBooks(t *rapid.T) *books {
	b := &books{
		t: t, now: start, config: protocol.DefaultConfig(), content: map[string][]protocol.Outcome{}, complete: map[protocol.ArchiveID]bool{},
		recorded: map[string]protocol.Recorded{}, grants: map[protocol.WorkerID]protocol.Grant{}, workers: map[protocol.WorkerID]*clerk{},
	}
	b.config.MaxAttempts = rapid.IntRange(1, 3).Draw(t, "attempts")
	b.config.PipelineDepth = rapid.IntRange(1, 4).Draw(t, "depth")
	for i := range rapid.IntRange(0, 2).Draw(t, "prefixes") {
		prefix := string(rune('a' + i))
		for n := range rapid.Int64Range(1, 8).Draw(t, "archives") {
			size := rapid.Int64Range(1, 3)
			b.content[prefix] = append(b.content[prefix], protocol.Outcome{
				Archive: protocol.ArchiveID{Transfer: "t", Prefix: prefix, Number: n}, Done: protocol.Tally{Files: size.Draw(t, "done"), Bytes: size.Draw(t, "bytes")},
				Failed: protocol.Tally{Files: rapid.Int64Range(0, 1).Draw(t, "failed"), Bytes: 0}, Skipped: protocol.Tally{Files: rapid.Int64Range(0, 1).Draw(t, "skipped"), Bytes: 0},
			})
		}
	}
	b.startManager()
	b.startWorker()
	return b
}

// startManager begins to lead from what the API holds.
func (b *books) startManager() {
	c, err := NewPipelineCoordinator(Options{Rand: newRand(uint64(b.epoch))})
	b.check(err)
	b.epoch++
	b.core, b.snapshot.Epoch = c, b.epoch
	b.check(c.Start(b.now, b.snapshot))
	b.check(c.PutTransfer(b.now, protocol.Transfer{ID: "t", Weight: 1, Config: b.config, Recorded: maps.Clone(b.recorded)}))
	c.SetPlanning("t", !b.planned)
	for _, id := range slices.Sorted(maps.Keys(b.workers)) {
		if g, ok := b.grants[id]; ok {
			c.AdoptGrant(b.now, g)
		}
	}
}

func (b *books) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *books) startWorker() {
	b.created++
	id := protocol.WorkerID(fmt.Sprint("w", b.created))
	b.workers[id] = &clerk{
		report:   protocol.Report{Worker: id, Transfer: "t", Instance: "1", MaxInFlight: 40},
		finished: map[protocol.Assignment]protocol.Outcome{}, told: map[protocol.Assignment]int64{}, held: map[protocol.ArchiveID]bool{},
	}
}

func (b *books) anyWorker() *clerk {
	if len(b.workers) == 0 {
		b.startWorker()
	}
	return b.workers[rapid.SampledFrom(slices.Sorted(maps.Keys(b.workers))).Draw(b.t, "worker")]
}

func (b *books) step() {
	switch rapid.IntRange(0, 11).Draw(b.t, "step") {
	case 0:
		b.startManager()
	case 1:
		b.die(b.anyWorker())
	case 2:
		if len(b.workers) < 4 {
			b.startWorker()
		}
	case 3:
		b.lie(b.anyWorker())
	case 4:
		bad := b.config
		bad.LeaseDuration = bad.UpdateInterval
		if b.core.PutTransfer(b.now, protocol.Transfer{ID: "t", Weight: 1, Config: bad}) == nil {
			b.t.Fatal("a configuration that cannot be was taken")
		}
	case 5:
		b.now = b.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(b.t, "seconds")) * time.Second)
	case 6, 7:
		b.work(b.anyWorker(), rapid.IntRange(0, 2).Draw(b.t, "gives up") > 0)
	default:
		b.turn(rapid.IntRange(0, 5).Draw(b.t, "dies") == 0)
	}
}

// die ends a worker's process; its pod is gone.
func (b *books) die(c *clerk) {
	id := c.report.Worker
	delete(b.workers, id)
	delete(b.grants, id)
	b.core.RemoveWorker(b.now, id, true)
}

// work finishes the archives of a worker's grant, or gives them up.
func (b *books) work(c *clerk, succeeds bool) {
	for _, a := range assignments(b.grants[c.report.Worker]) {
		if _, done := c.finished[a]; done {
			continue
		}
		o := b.content[a.Archive.Prefix][a.Archive.Number]
		if b.complete[a.Archive] = b.complete[a.Archive] || succeeds; !succeeds {
			o.Done, o.Failed, o.Retry, o.Reason = protocol.Tally{}, o.Done.Plus(o.Failed), true, "Reset"
		}
		c.finished[a] = o
	}
}

// next is a worker's next report.
func (b *books) next(c *clerk) protocol.Report {
	g := b.grants[c.report.Worker]
	r := c.report
	r.Sequence++
	r.Epoch, r.GrantSequence = g.Epoch, g.Sequence
	for a, o := range c.finished {
		if at := c.told[a]; at > 0 && at <= g.AcknowledgedReport {
			continue
		}
		r.Finished = append(r.Finished, o)
	}
	slices.SortFunc(r.Finished, func(x, y protocol.Outcome) int {
		return int(x.Archive.Number-y.Archive.Number) + 100*int(x.Archive.Prefix[0]-y.Archive.Prefix[0])
	})
	if g.Plan {
		r.Plan = b.plan(b.listed)
	}
	return r
}

// plan lists so many archives of each prefix.
func (b *books) plan(listed int64) *protocol.PlanProgress {
	p := &protocol.PlanProgress{Complete: true}
	for _, prefix := range slices.Sorted(maps.Keys(b.content)) {
		all := b.content[prefix]
		n := min(listed, int64(len(all)))
		p.Complete = p.Complete && n == int64(len(all))
		if n > 0 {
			p.Prefixes = append(p.Prefixes, protocol.PlannedPrefix{Prefix: prefix, Planned: sumOf(all[:n])})
		}
	}
	return p
}

func sumOf(outcomes []protocol.Outcome) protocol.Planned {
	var sum protocol.Planned
	for _, o := range outcomes {
		all := o.Done.Plus(o.Failed).Plus(o.Skipped)
		sum.Add(protocol.Planned{Archives: 1, Files: all.Files, Bytes: all.Bytes})
	}
	return sum
}

// send gives a report to the manager, which has to take or refuse it as a whole.
func (b *books) send(c *clerk, r protocol.Report) error {
	b.core.AddWorker(b.now, r.Worker, "t", 40)
	before := b.core.Progress("t")
	err := b.core.Observe(b.now, r)
	if err != nil {
		if !errors.Is(err, ErrStaleReport) && !errors.Is(err, ErrImpossibleReport) && !errors.Is(err, ErrNewerEpoch) {
			b.t.Fatalf("report %+v: %v", r, err)
		}
		if after := b.core.Progress("t"); after.Counts() != before.Counts() || after.Planned != before.Planned {
			b.t.Fatalf("a refused report changed %+v to %+v", before, after)
		}
		return err
	}
	for a := range c.finished {
		if c.told[a] == 0 {
			c.told[a] = r.Sequence
		}
	}
	c.report.Sequence = r.Sequence
	return nil
}

// lie sends a report that is not true. What may be told of a worker's own archives, or of
// the plan by whoever has the duty, can only be noticed when the sums differ.
func (b *books) lie(c *clerk) {
	b.work(c, true)
	r := b.next(c)
	own := rapid.SampledFrom([]int{-2, -1, 0, 1, 2, 1000}).Draw(b.t, "by")
	switch rapid.SampledFrom([]int{0, 1, 2, 3, 4, 4, 4, 5, 6}).Draw(b.t, "lie") {
	case 0:
		r.GrantSequence = 999_999
		r.Plan = &protocol.PlanProgress{Complete: true}
	case 1:
		r.Epoch = b.epoch + 1
	case 2:
		r.Instance = "another"
	case 3: // of archives that it never held
		for _, outcomes := range b.content {
			for _, o := range outcomes {
				if !c.held[o.Archive] {
					r.Finished = append(r.Finished, o)
				}
			}
		}
	case 4: // of its own archives
		for i := range r.Finished {
			done := &r.Finished[i].Done
			done.Files, done.Bytes = max(0, done.Files+int64(own)), max(0, done.Bytes+int64(own))
			b.falseCounts = b.falseCounts || !r.Finished[i].Retry
		}
	case 5: // a plan without the duty
		if r.Plan == nil {
			r.Plan = &protocol.PlanProgress{Complete: true}
		}
	default: // a plan that is none
		if r.Plan != nil {
			r.Plan.Prefixes = append(r.Plan.Prefixes, protocol.PlannedPrefix{Prefix: "a", Planned: protocol.Planned{Archives: int64(own), Files: int64(own), Bytes: 1 << 60}}, protocol.PlannedPrefix{Prefix: "z", Planned: protocol.Planned{Archives: 1, Files: 1, Bytes: -1}})
		}
	}
	_ = b.send(c, r)
}

// turn is one round of the manager: it takes in the reports, decides, records, and then
// writes the grants, unless it dies before that.
func (b *books) turn(dies bool) {
	b.now = b.now.Add(2 * time.Second)
	b.listed = min(8, b.listed+1)
	for _, id := range slices.Sorted(maps.Keys(b.workers)) {
		_ = b.send(b.workers[id], b.next(b.workers[id]))
	}
	plan := b.core.Tick(b.now)
	b.record()
	for i, g := range plan.Grants {
		if dies && 2*i >= len(plan.Grants) {
			b.startManager()
			return
		}
		b.grants[g.Worker] = g
		if c := b.workers[g.Worker]; c != nil {
			for _, a := range assignments(g) {
				c.held[a.Archive] = true
			}
		}
	}
}

// record writes the status, and holds it against the one before and the truth.
func (b *books) record() {
	p := b.core.Progress("t")
	if b.planned && !p.Planned {
		b.t.Fatal("the plan was complete, and is no more")
	}
	b.snapshot, b.planned = b.core.Snapshot(), p.Planned
	for _, x := range p.Prefixes {
		old := b.recorded[x.Prefix]
		if old.Finished.Count() > x.Finished.Count() || old.Done.Files > x.Done.Files || old.Failed.Files > x.Failed.Files || old.Exhausted > x.Exhausted {
			b.t.Fatalf("%+v was recorded of prefix %s, now %+v", old, x.Prefix, x)
		}
		b.recorded[x.Prefix] = x.Recorded()
	}
	if p.Conserved() {
		b.compare(p)
	}
}

// compare holds what counts as conserved against the truth.
func (b *books) compare(p protocol.Progress) {
	counts, exhausted := p.Counts(), int64(0)
	var done, failed, skipped, attainable protocol.Tally
	var all []protocol.Outcome
	for _, prefix := range slices.Sorted(maps.Keys(b.content)) {
		for _, o := range b.content[prefix] {
			done, failed, skipped = done.Plus(o.Done), failed.Plus(o.Failed), skipped.Plus(o.Skipped)
			if b.complete[o.Archive] {
				attainable = attainable.Plus(o.Done)
			}
			all = append(all, o)
		}
	}
	for _, x := range p.Prefixes {
		exhausted += x.Exhausted
	}
	if sum := sumOf(all); counts.Planned != sum || counts.Ended != sum.Archives {
		b.t.Fatalf("conserved with %+v planned and %d archives ended, true is %+v", counts.Planned, counts.Ended, sum)
	}
	ended := counts.Done.Plus(counts.Failed).Plus(counts.Skipped)
	if ended != (protocol.Tally{Files: counts.Planned.Files, Bytes: counts.Planned.Bytes}) {
		b.t.Fatalf("conserved with %+v ended of %+v", ended, counts.Planned)
	}
	switch {
	case b.falseCounts && exhausted == 0 && counts.Failed.Files > failed.Files:
		b.t.Fatalf("conserved with %+v, and only %+v failed", counts, failed)
	case b.falseCounts:
	case exhausted == 0 && (counts.Done != done || counts.Failed != failed || counts.Skipped != skipped):
		b.t.Fatalf("conserved with %+v, true is %+v done, %+v failed and %+v skipped", counts, done, failed, skipped)
	case counts.Done.Files > attainable.Files || counts.Done.Bytes > attainable.Bytes || counts.Failed.Files < failed.Files-skipped.Files:
		b.t.Fatalf("conserved with %+v, at most %+v was done", counts, attainable)
	}
}

// conclude has all go well from now on: the transfer ends, and its counts agree unless
// somebody has lied about its own archives.
func (b *books) conclude() {
	for round := range 400 {
		if len(b.workers) == 0 {
			b.startWorker()
		}
		for _, id := range slices.Sorted(maps.Keys(b.workers)) {
			b.work(b.workers[id], true)
		}
		b.turn(false)
		p := b.core.Progress("t")
		if counts := p.Counts(); p.Planned && counts.Ended == counts.Planned.Archives {
			if !p.Conserved() && !b.falseCounts {
				b.t.Fatalf("everybody was honest, and %+v is not conserved: %+v", counts, p.Prefixes)
			}
			return
		}
		if round%100 == 99 { // whoever was refused for good is replaced
			for _, id := range slices.Sorted(maps.Keys(b.workers)) {
				b.die(b.workers[id])
			}
		}
	}
	b.t.Fatalf("the transfer does not end: %+v", b.core.Progress("t"))
}
