package coordination

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkTick is one tick at 100 prefixes and 1,000 workers of two transfers,
// every worker's lease being due and half of the archives in hand finished.
func BenchmarkTick(b *testing.B) {
	c, err := NewPipelineCoordinator(Options{Rand: newRand(1)})
	if err != nil {
		b.Fatal(err)
	}
	now := start
	if err := c.Start(now, Snapshot{Epoch: 1}); err != nil {
		b.Fatal(err)
	}
	config := DefaultConfig()
	config.MaxActivePrefixes, config.GlobalCongestionWindow, config.PipelineDepth = 50, 4000, 4
	workers := addBenchTransfers(b, c, now, config)
	for range 4 {
		now = benchRound(b, c, now, workers)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		now = benchReports(b, c, now, workers)
		b.StartTimer()
		keepGrants(workers, c.Tick(now))
	}
}

func addBenchTransfers(b *testing.B, c *PipelineCoordinator, now time.Time, config Config) []*loopWorker {
	var workers []*loopWorker
	for _, id := range []TransferID{"t", "u"} {
		if err := c.PutTransfer(now, Transfer{ID: id, Weight: 1, Config: config}); err != nil {
			b.Fatal(err)
		}
		for p := range 50 {
			prefix := fmt.Sprintf("%02d", p)
			if err := c.RegisterPrefix(now, id, prefix, 0); err != nil {
				b.Fatal(err)
			}
			for n := range int64(20_000) {
				if err := c.ScheduleUpload(Upload{Archive: ArchiveID{id, prefix, n}}); err != nil {
					b.Fatal(err)
				}
			}
		}
		for i := range 500 {
			name := WorkerID(fmt.Sprintf("%s%03d", id, i))
			c.AddWorker(now, name, id, 100)
			workers = append(workers, &loopWorker{report: Report{Worker: name, Transfer: id, Instance: "1", MaxInFlight: 100}})
		}
	}
	return workers
}

func benchRound(b *testing.B, c *PipelineCoordinator, now time.Time, workers []*loopWorker) time.Time {
	now = benchReports(b, c, now, workers)
	keepGrants(workers, c.Tick(now))
	return now
}

func keepGrants(workers []*loopWorker, plan Plan) {
	for i, g := range plan.Grants {
		workers[i].grant = g
	}
}

// benchReports lets every worker finish half of what it holds and report.
func benchReports(b *testing.B, c *PipelineCoordinator, now time.Time, workers []*loopWorker) time.Time {
	now = now.Add(20 * time.Second)
	for _, w := range workers {
		r := &w.report
		r.Sequence++
		if w.sent == nil {
			w.sent = map[string]int64{}
		}
		r.Epoch, r.GrantSequence = w.grant.Epoch, w.grant.Sequence
		r.Prefixes, r.Finished = nil, nil
		for _, g := range w.grant.Prefixes {
			w.sent[g.Prefix] += 1000
			sent := w.sent[g.Prefix]
			r.Prefixes = append(r.Prefixes, PrefixCounters{
				Prefix: g.Prefix, Started: sent, Accepted: sent, Bytes: sent << 20,
				MaxInFlight: g.Window, AttemptP50: 100 * time.Millisecond,
			})
			for _, a := range g.Assignments[:len(g.Assignments)/2] {
				r.Finished = append(r.Finished, Outcome{Archive: a.Archive, Done: Tally{1, 1}})
			}
		}
		if err := c.Observe(now, *r); err != nil {
			b.Fatal(err)
		}
	}
	return now
}
