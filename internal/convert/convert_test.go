package convert

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/workload"
)

// A manager that starts anew must read from a lease what the one before wrote.
func TestGrantSurvivesTheAPI(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawGrant(t)
		encoded, err := json.Marshal(Grant(want))
		if err != nil {
			t.Fatal(err)
		}
		lease := &v1alpha1.PrefixLease{}
		if err := json.Unmarshal(encoded, &lease.Spec); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, LeaseGrant("uid", lease), cmp.Comparer(protocol.Ranges.Equal)); diff != "" {
			t.Errorf("a grant changed on its way through the API (-want +got):\n%s", diff)
		}
	})
}

// drawGrant draws a grant of a few prefixes.
func drawGrant(t *rapid.T) protocol.Grant {
	g := protocol.Grant{
		Worker: "w", Transfer: "uid",
		Epoch:              rapid.Int64Range(1, 1e6).Draw(t, "epoch"),
		Sequence:           rapid.Int64Range(1, 1e6).Draw(t, "sequence"),
		AcknowledgedReport: rapid.Int64Range(0, 1e6).Draw(t, "acknowledged"),
		Instance:           rapid.StringMatching("[a-z]{0,8}").Draw(t, "instance"),
		Duration:           time.Duration(rapid.IntRange(1, 600).Draw(t, "duration")) * time.Second,
		ReportInterval:     time.Duration(rapid.IntRange(1, 60).Draw(t, "interval")) * time.Second,
		Drain:              rapid.Bool().Draw(t, "drain"),
		Plan:               rapid.Bool().Draw(t, "plan"),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "prefixes") {
		p := protocol.PrefixGrant{
			Prefix: string(rune('a' + i)),
			Window: rapid.IntRange(0, 1000).Draw(t, "window"),
			Rate:   float64(rapid.IntRange(0, 4000).Draw(t, "rate")),
		}
		for n := range rapid.IntRange(0, 4).Draw(t, "archives") {
			p.Assignments = append(p.Assignments, protocol.Assignment{
				Archive: protocol.ArchiveID{Transfer: "uid", Prefix: p.Prefix, Number: int64(n)}, Attempt: n + 1})
			p.Recalled = append(p.Recalled, protocol.Assignment{
				Archive: protocol.ArchiveID{Transfer: "uid", Prefix: p.Prefix, Number: int64(n + 10)}, Attempt: n + 1})
			p.Withdrawn.Add(int64(100 + 2*n))
		}
		for _, n := range rapid.SliceOfN(rapid.Int64Range(0, 40), 0, 8).Draw(t, "reserve") {
			p.Reserve.Add(n)
		}
		g.Prefixes = append(g.Prefixes, p)
	}
	g.Coasting = time.Duration(rapid.IntRange(0, 7200).Draw(t, "coasting")) * time.Second
	if more := rapid.IntRange(0, 100).Draw(t, "coasting"); more > 0 {
		g.CoastingWindow = g.Window() + more
	}
	g.Pace = protocol.Pace{Bytes: float64(rapid.IntRange(0, 100).Draw(t, "bytes")), Requests: float64(rapid.IntRange(0, 100).Draw(t, "requests"))}
	g.Charged = g.Charge()
	if rapid.Bool().Draw(t, "charged") {
		g.Charged = g.Charged.Or(drawCharge(t))
	}
	return g
}

// drawCharge draws what grants before one may allow.
func drawCharge(t *rapid.T) protocol.Charge {
	pace := rapid.SampledFrom([]float64{0, 1, 50, 200, math.Inf(1)})
	return protocol.Charge{
		Window:   rapid.IntRange(0, 5000).Draw(t, "window"),
		Duration: time.Duration(rapid.IntRange(0, 1200).Draw(t, "duration")) * time.Second,
		Coasting: time.Duration(rapid.IntRange(0, 14400).Draw(t, "coasting")) * time.Second,
		Pace:     protocol.Pace{Bytes: pace.Draw(t, "bytes"), Requests: pace.Draw(t, "requests")},
	}
}

func TestConfigKeepsDefaultsForWhatIsAbsent(t *testing.T) {
	if diff := cmp.Diff(protocol.DefaultConfig(), Config(v1alpha1.Fleet{})); diff != "" {
		t.Errorf("an empty spec changed the defaults (-want +got):\n%s", diff)
	}
	got := Config(v1alpha1.Fleet{Coordination: v1alpha1.Coordination{
		Mode: v1alpha1.ModeUncoordinated, AdvancedFlowControl: "Disabled",
		Adaptive: v1alpha1.AdaptiveParameters{CongestionSensitivityPercent: ptr.To(int32(0)), LearningRatePercent: 25},
	}})
	if !got.Uncoordinated || got.AdvancedFlowControl || got.CongestionSensitivity != 0 || got.LearningRate != 0.25 {
		t.Errorf("Config() = %+v, want what the spec says", got)
	}
}

func TestProgress(t *testing.T) {
	finished := func(ranges string) protocol.Ranges {
		r, err := protocol.ParseRanges(ranges)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	tests := map[string]struct {
		progress         protocol.Progress
		wantPercent      *int32
		wantSummary      string
		wantRemainingSec float64
	}{
		"planning":      {protocol.Progress{Prefixes: prefixes(4, finished("0"), 1<<20)}, nil, "1.00 MiB/4.00 MiB+", 0},
		"transferring":  {protocol.Progress{Planned: true, Prefixes: prefixes(4, finished("0"), 1<<20)}, ptr.To(int32(25)), "1.00 MiB/4.00 MiB", 3},
		"almost there":  {protocol.Progress{Planned: true, Prefixes: prefixes(4, finished("0-2"), 4<<20)}, ptr.To(int32(99)), "4.00 MiB/4.00 MiB", 0},
		"there":         {protocol.Progress{Planned: true, Prefixes: prefixes(4, finished("0-3"), 4<<20)}, ptr.To(int32(100)), "4.00 MiB/4.00 MiB", 0},
		"nothing to do": {protocol.Progress{Planned: true}, ptr.To(int32(100)), "0 B/0 B", 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := Progress(tc.progress)
			if diff := cmp.Diff(tc.wantPercent, p.Percent); diff != "" {
				t.Errorf("percent (-want +got):\n%s", diff)
			}
			if p.Summary != tc.wantSummary {
				t.Errorf("summary is %q, want %q", p.Summary, tc.wantSummary)
			}
			if left, _ := Remaining(p); left.Seconds() != tc.wantRemainingSec {
				t.Errorf("remaining is %v, want %v s", left, tc.wantRemainingSec)
			}
		})
	}
}

// prefixes is one prefix of so many archives of 1 MiB that sends 1 MiB/s.
func prefixes(archives int64, finished protocol.Ranges, done int64) []protocol.PrefixProgress {
	return []protocol.PrefixProgress{{
		Prefix: "a", Planned: protocol.Planned{Archives: archives, Files: archives, Bytes: archives << 20},
		Finished: finished, Done: protocol.Tally{Bytes: done}, Throughput: 1 << 20,
	}}
}

// A manager that starts anew must count on from what the one before recorded.
func TestRecordedSurvivesTheAPI(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, protocol.MaxPlannedBytes))
		want := protocol.PrefixProgress{
			Prefix:  "a",
			Planned: protocol.Planned{Archives: count.Draw(t, "archives"), Files: count.Draw(t, "files"), Bytes: count.Draw(t, "bytes")},
			Done:    protocol.Tally{Files: count.Draw(t, "done"), Bytes: count.Draw(t, "done bytes")},
			Failed:  protocol.Tally{Files: count.Draw(t, "failed"), Bytes: count.Draw(t, "failed bytes")},
			Skipped: protocol.Tally{Files: count.Draw(t, "skipped"), Bytes: count.Draw(t, "skipped bytes")}, Exhausted: count.Draw(t, "exhausted"),
		}
		for range rapid.IntRange(0, 20).Draw(t, "finished") {
			want.Finished.Add(rapid.Int64Range(0, 40).Draw(t, "number"))
		}
		for i := range rapid.SampledFrom([]int64{0, 1000}).Draw(t, "finished of many") {
			want.Finished.Add(100_000 + 2*i)
		}
		at := &v1alpha1.ArchiveTransfer{}
		encoded, err := json.Marshal(PrefixStatuses([]protocol.PrefixProgress{want}))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(encoded, &at.Status.Prefixes); err != nil {
			t.Fatal(err)
		}
		got, err := Transfer(workload.Of(at))
		if err != nil {
			t.Fatal(err)
		}
		same := cmp.Comparer(func(x, y protocol.Ranges) bool { return x.String() == y.String() })
		if diff := cmp.Diff(map[string]protocol.Recorded{"a": want.Recorded()}, got.Recorded, same); diff != "" {
			t.Errorf("what is recorded changed on its way through the API (-want +got):\n%s", diff)
		}
	})
}

// What the ranges of all prefixes take together says which form is written: few as every release reads
// them, many in fewer bytes.
func TestManyRangesArePacked(t *testing.T) {
	for _, ranges := range []int64{1, 250, 400} {
		prefixes := make([]protocol.PrefixProgress, 2)
		for i := range ranges {
			prefixes[0].Finished.Add(100_000 + 2*i)
			prefixes[1].Finished.Add(100_000 + 2*i)
		}
		for _, p := range PrefixStatuses(prefixes) {
			_, err := protocol.ParseRanges(*p.FinishedArchives)
			if packed := err != nil; packed != (ranges > 250) {
				t.Errorf("twice %d ranges are written as %.40s: packed %t", ranges, *p.FinishedArchives, packed)
			}
		}
	}
}

// What was not measured is absent, not 0.
func TestCoordinationMetrics(t *testing.T) {
	m := coordination.CoordinationMetrics{
		Overhead: 0.0314, LoadBalance: 0.75, PipelineUtilization: 0.5, Throughput: 1e9, AdaptationRate: 0.69, ArchivesMoved: 3,
		CongestionCauses: map[string]int64{"Throttled": 2, "NoSuccess": 1},
		Groups:           []coordination.GroupMetrics{{CongestionEvents: 3}, {CongestionEvents: 4}},
	}
	want := &v1alpha1.CoordinationMetrics{
		OverheadPerMille: ptr.To(int32(31)), LoadBalancePercent: ptr.To(int32(75)), PipelineUtilizationPercent: ptr.To(int32(50)),
		CongestionEvents: ptr.To(int64(7)), BytesPerSecond: ptr.To(int64(1e9)), AdaptationPerMille: ptr.To(int32(690)),
		ArchivesMoved: ptr.To(int64(3)),
		CongestionCauses: []v1alpha1.CongestionCause{
			{Cause: "NoSuccess", Count: ptr.To(int64(1))}, {Cause: "Throttled", Count: ptr.To(int64(2))}},
	}
	if diff := cmp.Diff(want, CoordinationMetrics(m)); diff != "" {
		t.Errorf("before the baseline (-want +got):\n%s", diff)
	}
	m.Baseline.Measured, m.Improvement, m.LatencyReduction = true, 0.3, -0.25
	want.ImprovementPercent, want.LatencyReductionPercent = ptr.To(int32(130)), ptr.To(int32(-25))
	if diff := cmp.Diff(want, CoordinationMetrics(m)); diff != "" {
		t.Errorf("after the baseline (-want +got):\n%s", diff)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 10239: "10.0 KiB", 1 << 20: "1.00 MiB", 1<<20 - 1: "1024 KiB",
		118 << 20: "118 MiB", 1 << 62: "4.00 EiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}
