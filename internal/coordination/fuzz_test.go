package coordination

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
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

func (r *fuzzReader) counters(prefix string) protocol.PrefixCounters {
	p := protocol.PrefixCounters{
		Prefix: prefix, Accepted: r.int64() >> 1, Throttled: r.small(1000), Failed: r.small(1000), Bytes: r.int64(),
		Busy: time.Duration(r.int64()), MaxInFlight: int(r.small(1 << 40)),
		AttemptP50: time.Duration(r.int64()), ServiceP99: time.Duration(r.int64()), SenderLimited: r.small(2) == 0,
	}
	p.Started = protocol.SaturatingAdd(max(p.Accepted, 0), 2000) + r.small(10)
	return p
}

func (r *fuzzReader) report() protocol.Report {
	flags := r.small(16)
	return protocol.Report{
		Worker: []protocol.WorkerID{"w", "v", "x"}[max(0, r.small(3))], Transfer: "t", Instance: string(rune('0' + max(0, r.small(3)))),
		Sequence: r.int64(), Uptime: time.Duration(r.int64()), Epoch: r.small(3), GrantSequence: r.small(5), MaxInFlight: int(r.int64()),
		Prefixes: []protocol.PrefixCounters{r.counters("a"), r.counters("b")},
		Finished: []protocol.Outcome{{
			Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: r.small(12)}, Retry: flags&4 > 0,
			Done: protocol.Tally{Files: r.int64(), Bytes: r.int64()}, Failed: protocol.Tally{Files: r.small(2), Bytes: r.small(2)},
		}},
		Blocked: flags&1 > 0, Drained: flags&2 > 0,
	}
}

// plausible is what a worker could say next. Its interval may have no length.
func (r *fuzzReader) plausible(fix *fixture, id protocol.WorkerID) protocol.Report {
	next := *fix.reports[id]
	next.Sequence++
	next.Epoch, next.GrantSequence = fix.grants[id].Epoch, fix.grants[id].Sequence
	next.Uptime += max(0, time.Duration(r.small(int64(20*time.Second))))
	next.Prefixes, next.Finished = nil, nil
	for _, g := range fix.grants[id].Prefixes {
		p := protocol.PrefixCounters{Prefix: g.Prefix}
		for _, before := range fix.reports[id].Prefixes {
			if before.Prefix == g.Prefix {
				p = before
			}
		}
		accepted, throttled, failed := max(0, r.small(3000)), max(0, r.small(300)), max(0, r.small(300))
		p.Accepted, p.Throttled, p.Failed = p.Accepted+accepted, p.Throttled+throttled, p.Failed+failed
		p.Started += accepted + throttled + failed + max(0, r.small(3))
		p.Bytes += accepted * max(0, r.small(1<<24))
		p.Busy += max(0, time.Duration(r.small(int64(time.Hour))))
		p.AttemptP50 = max(0, time.Duration(r.small(int64(time.Minute))))
		p.MaxInFlight, p.SenderLimited = int(max(0, r.small(100))), r.small(2) == 0
		next.Prefixes = append(next.Prefixes, p)
		for _, a := range g.Assignments {
			if r.small(3) == 0 {
				next.Finished = append(next.Finished, protocol.Outcome{Archive: a.Archive, Done: protocol.Tally{Files: 2, Bytes: 100}, Retry: r.small(4) == 0})
			}
		}
	}
	return next
}

// FuzzObserve sends reports of any content, in any order, some twice, while the clock
// jumps either way or stands.
func FuzzObserve(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("0123456701234567012345670123456701234567012345670123456701234567"))
	random := newRand(7)
	mixed := make([]byte, 20_000)
	for i := range mixed {
		mixed[i] = byte(random.Uint32())
	}
	f.Add(mixed)
	f.Fuzz(func(t *testing.T, data []byte) {
		fix := newFixture(t, protocol.DefaultConfig())
		fix.schedule("t", "a", 10)
		fix.start("t", "w", "v")
		for r := fuzzReader(data); len(r) > 0; {
			report := r.report()
			likely := r.small(4) != 0 && fix.reports[report.Worker] != nil
			if likely {
				report = r.plausible(fix, report.Worker)
			}
			switch err := fix.c.Observe(fix.now, report); {
			case err == nil:
				if again := fix.c.Observe(fix.now, report); !errors.Is(again, ErrStaleReport) {
					t.Fatalf("the same report again gives %v", again)
				}
				fix.reports[report.Worker] = &report
			case !errors.Is(err, ErrUnknownWorker) && !errors.Is(err, ErrStaleReport) &&
				!errors.Is(err, ErrNewerEpoch) && !errors.Is(err, ErrImpossibleReport):
				t.Fatalf("an error of no known kind: %v", err)
			}
			switch r.small(6) {
			case 0:
				fix.now = fix.now.Add(time.Duration(r.small(int64(2 * time.Hour))))
			case 1:
				fix.now = fix.now.Add(-2 * time.Second) // the tick passes as much: none in all
			}
			checkBounded(t, fix.c, fix.tick())
		}
	})
}

// checkBounded looks for anything in what the coordinator says that cannot be.
func checkBounded(t *testing.T, c *PipelineCoordinator, plan protocol.Plan) {
	t.Helper()
	for _, g := range plan.Grants {
		for _, p := range g.Prefixes {
			if p.Window < 0 || p.Window > protocol.MaxWindow || !(p.Rate >= 0) || math.IsInf(p.Rate, 0) {
				t.Fatalf("worker %s is granted %+v", g.Worker, p)
			}
		}
	}
	var archives int64
	for _, p := range c.Progress("t").Prefixes {
		archives += p.Queued + p.Assigned + p.Finished.Count()
		for _, tally := range []protocol.Tally{p.Done, p.Failed, p.Skipped} {
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

// However many prefixes somebody names, a bounded number is kept.
func TestAMillionPrefixesAreNotKept(t *testing.T) {
	fix := newFixture(t, protocol.DefaultConfig())
	fix.start("t", "w")
	refused := 0
	for i := range 1_000_000 {
		if fix.c.RegisterPrefix(fix.now, "t", strconv.Itoa(i)) != nil {
			refused++
		}
	}
	if kept := len(fix.c.transfer("t").prefixes); kept != protocol.MaxPrefixes || refused != 1_000_000-protocol.MaxPrefixes+2 {
		t.Errorf("%d prefixes are kept and %d refused", kept, refused)
	}
	many := make([]protocol.PrefixCounters, 1_000_000)
	for i := range many {
		many[i].Prefix = strconv.Itoa(i)
	}
	report := fix.reports["w"]
	report.Sequence++
	report.Prefixes = many
	if err := fix.c.Observe(fix.now, *report); !errors.Is(err, ErrImpossibleReport) {
		t.Errorf("a report on a million prefixes gives %v", err)
	}
	if kept := len(fix.c.workers["w"].prefixes); kept > protocol.MaxPrefixesPerWorker {
		t.Errorf("%d prefixes of the worker are kept", kept)
	}
}
