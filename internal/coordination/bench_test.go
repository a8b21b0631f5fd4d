package coordination

import (
	"fmt"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// BenchmarkTick is one tick at 100 prefixes and 1,000 workers of two transfers, every
// worker's lease being due and half of the archives in hand finished: "steady" while
// every prefix has archives for all workers, "whole" in the mean from a transfer's
// first archive to its last, with the slowest tick beside it. Towards the end prefixes
// run out one by one, and each worker is on many. "large" is what the manager does for a thousand
// workers of one transfer with 16 prefixes and 2,000 slots: a tick every 2 s, with the reports that have come since.
func BenchmarkTick(b *testing.B) {
	b.Run("steady", func(b *testing.B) {
		f := newTickFleet(b)
		f.schedule(20_000)
		for range 4 {
			f.report()
			f.tick()
		}
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			if f.ended > f.scheduled/2 {
				f.schedule(20_000)
			}
			f.report()
			b.StartTimer()
			f.tick()
		}
	})
	b.Run("large", benchmarkLargeFleet)
	b.Run("whole", func(b *testing.B) {
		f := newTickFleet(b)
		var slowest time.Duration
		for b.Loop() {
			b.StopTimer()
			if f.ended == f.scheduled {
				f.schedule(5_000)
			}
			f.report()
			b.StartTimer()
			before := b.Elapsed()
			f.tick()
			slowest = max(slowest, b.Elapsed()-before)
		}
		b.ReportMetric(float64(slowest.Nanoseconds()), "ns/slowest")
	})
}

func benchmarkLargeFleet(b *testing.B) {
	f := newFleetOf(b, []protocol.TransferID{"t"}, 16, 1000, 2000)
	f.schedule(50_000)
	step := func() {
		f.now = f.now.Add(2 * time.Second)
		for _, w := range f.workers {
			if !f.now.Before(w.due) {
				f.reportOf(w)
			}
		}
		f.tick()
	}
	for range 100 { // until all take part
		step()
	}
	b.ReportAllocs()
	for b.Loop() {
		if f.ended > f.scheduled/2 {
			b.StopTimer()
			f.schedule(50_000)
			b.StartTimer()
		}
		step()
	}
}

// tickFleet is a coordinator with its workers, which finish what they are given.
type tickFleet struct {
	b                testing.TB
	c                *PipelineCoordinator
	now              time.Time
	transfers        []protocol.TransferID
	prefixes         int // of each transfer
	workers          []*loopWorker
	next             int64 // number of the next archive of each prefix
	scheduled, ended int
}

// newTickFleet is a fleet of two transfers.
func newTickFleet(b testing.TB) *tickFleet {
	return newFleetOf(b, []protocol.TransferID{"t", "u"}, 50, 500, 4000)
}

// newFleetOf gives each transfer so many prefixes and workers, and all together a window.
func newFleetOf(b testing.TB, transfers []protocol.TransferID, prefixes, workers, window int) *tickFleet {
	c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
	if err != nil {
		b.Fatal(err)
	}
	f := &tickFleet{b: b, c: c, now: start, transfers: transfers, prefixes: prefixes}
	if err := c.Start(f.now, protocol.Snapshot{Epoch: 1}); err != nil {
		b.Fatal(err)
	}
	config := protocol.DefaultConfig()
	config.MaxActivePrefixes, config.GlobalCongestionWindow, config.PipelineDepth = prefixes, window, 4
	for _, id := range f.transfers {
		if err := c.PutTransfer(f.now, protocol.Transfer{ID: id, Weight: 1, Config: config}); err != nil {
			b.Fatal(err)
		}
		for i := range workers {
			name := protocol.WorkerID(fmt.Sprintf("%s%03d", id, i))
			c.AddWorker(f.now, name, id, 100)
			f.workers = append(f.workers, &loopWorker{
				sent:   map[string]int64{},
				report: protocol.Report{Worker: name, Transfer: id, Instance: "1", MaxInFlight: 100},
			})
		}
	}
	return f
}

// schedule queues so many further archives of every prefix.
func (f *tickFleet) schedule(archives int64) {
	for _, id := range f.transfers {
		for p := range f.prefixes {
			prefix := fmt.Sprintf("%02d", p)
			if err := f.c.RegisterPrefix(f.now, id, prefix); err != nil {
				f.b.Fatal(err)
			}
			for n := range archives {
				if err := f.c.ScheduleUpload(protocol.Upload{Archive: protocol.ArchiveID{Transfer: id, Prefix: prefix, Number: f.next + n}}); err != nil {
					f.b.Fatal(err)
				}
			}
		}
	}
	f.next += archives
	f.scheduled += int(archives) * f.prefixes * len(f.transfers)
}

func (f *tickFleet) tick() {
	for i, g := range f.c.Tick(f.now).Grants {
		f.workers[i].grant = g
	}
}

// report lets every worker finish half of what it holds where it has a window, rounded
// up, and say so.
func (f *tickFleet) report() {
	f.now = f.now.Add(20 * time.Second)
	for _, w := range f.workers {
		f.reportOf(w)
	}
}

func (f *tickFleet) reportOf(w *loopWorker) {
	r := &w.report
	r.Sequence++
	r.Epoch, r.GrantSequence = w.grant.Epoch, w.grant.Sequence
	r.Prefixes, r.Finished = nil, nil
	for _, g := range w.grant.Prefixes {
		if g.Window == 0 {
			continue
		}
		w.sent[g.Prefix] += 1000
		sent := w.sent[g.Prefix]
		r.Prefixes = append(r.Prefixes, protocol.PrefixCounters{
			Prefix: g.Prefix, Started: sent, Accepted: sent, Bytes: sent << 20,
			MaxInFlight: g.Window, AttemptP50: 100 * time.Millisecond,
		})
		for _, a := range g.Assignments[:(len(g.Assignments)+1)/2] {
			r.Finished = append(r.Finished, protocol.Outcome{Archive: a.Archive, Done: protocol.Tally{Files: 1, Bytes: 1}})
		}
	}
	f.ended += len(r.Finished)
	w.due = f.now.Add(w.grant.ReportInterval)
	if err := f.c.Observe(f.now, *r); err != nil {
		f.b.Fatal(err)
	}
}
