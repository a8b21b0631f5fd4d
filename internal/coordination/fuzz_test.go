package coordination

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"
)

// fuzzReader makes values of the bytes it is given, zeros beyond their end.
type fuzzReader []byte

func (r *fuzzReader) int64() int64 {
	var b [8]byte
	*r = (*r)[copy(b[:], *r):]
	return int64(binary.LittleEndian.Uint64(b[:]))
}

// small gives numbers that are mostly plausible.
func (r *fuzzReader) small(n int64) int64 { return r.int64() % n }

func (r *fuzzReader) counters(prefix string) PrefixCounters {
	p := PrefixCounters{
		Prefix: prefix, Accepted: r.int64() >> 1, Throttled: r.small(1000), Failed: r.small(1000), Bytes: r.int64(),
		Busy: time.Duration(r.int64()), MaxInFlight: int(r.small(1 << 40)),
		AttemptP50: time.Duration(r.int64()), ServiceP99: time.Duration(r.int64()), SenderLimited: r.small(2) == 0,
	}
	p.Started = saturate(max(p.Accepted, 0), 2000) + r.small(10)
	return p
}

func (r *fuzzReader) report() Report {
	flags := r.small(16)
	return Report{
		Worker: []WorkerID{"w", "v", "x"}[max(0, r.small(3))], Transfer: "t", Instance: string(rune('0' + max(0, r.small(3)))),
		Sequence: r.int64(), Epoch: r.small(3), GrantSequence: r.small(5), MaxInFlight: int(r.int64()),
		Prefixes: []PrefixCounters{r.counters("a"), r.counters("b")},
		Finished: []Outcome{{
			Archive: ArchiveID{"t", "a", r.small(12)}, Retry: flags&4 > 0,
			Done: Tally{r.int64(), r.int64()}, Failed: Tally{r.small(2), r.small(2)},
		}},
		Blocked: flags&1 > 0, Drained: flags&2 > 0,
	}
}

func FuzzObserve(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("0123456701234567012345670123456701234567012345670123456701234567"))
	f.Fuzz(func(t *testing.T, data []byte) {
		fix := newFixture(t, DefaultConfig())
		fix.schedule("t", "a", 10)
		fix.start("t", "w", "v")
		for r := fuzzReader(data); len(r) > 0; {
			err := fix.c.Observe(fix.now, r.report())
			known := errors.Is(err, ErrUnknownWorker) || errors.Is(err, ErrStaleReport) ||
				errors.Is(err, ErrNewerEpoch) || errors.Is(err, ErrImpossibleReport)
			if err != nil && !known {
				t.Fatalf("an error of no known kind: %v", err)
			}
			checkBounded(t, fix.c, fix.tick())
		}
	})
}

// checkBounded looks for anything in what the coordinator says that cannot be.
func checkBounded(t *testing.T, c *PipelineCoordinator, plan Plan) {
	t.Helper()
	for _, g := range plan.Grants {
		for _, p := range g.Prefixes {
			if p.Window < 0 || p.Window > maxWindow || !(p.Rate >= 0) || math.IsInf(p.Rate, 0) {
				t.Fatalf("worker %s is granted %+v", g.Worker, p)
			}
		}
	}
	var archives int64
	for _, p := range c.Progress("t").Prefixes {
		archives += p.Queued + p.Assigned + p.Finished.Count()
		for _, tally := range []Tally{p.Done, p.Failed, p.Skipped} {
			if tally.Files < 0 || tally.Bytes < 0 {
				t.Fatalf("prefix %s counts %+v", p.Prefix, tally)
			}
		}
	}
	if archives != 10 {
		t.Fatalf("%d archives, want 10", archives)
	}
	m := c.Metrics(c.now)
	for _, x := range []float64{m.Overhead, m.LoadBalance, m.Fairness, m.PipelineUtilization, m.Throughput,
		m.AdaptationRate, m.Improvement, m.LatencyReduction, m.Groups[0].Rate, m.Profile.Trend, m.Profile.Confidence} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			t.Fatalf("a metric is not finite: %+v", m)
		}
	}
}
