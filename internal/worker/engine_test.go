package worker

import (
	"path"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/upload"
)

// bubble runs a test on synthetic time. It fails when a goroutine is left behind.
func bubble(t *testing.T, test func(t *testing.T, b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		test(t, b)
		if b.stop != nil {
			b.end()
		}
	})
}

func TestNothingIsSentBeforeAReportIsAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.on("a", 2, 0)
		b.send()
		after(testLease / 2)
		if keys, _ := b.dest.sinceLast(); len(keys) > 0 {
			t.Fatalf("sent %q on a grant that may be older than the process", keys)
		}
		b.renew()
		after(time.Second)
		if keys, most := b.dest.sinceLast(); len(keys) != b.files || most != 2 {
			t.Errorf("sent %d files, at most %d at once; want %d and 2", len(keys), most, b.files)
		}
	})
}

func TestAnAcknowledgementOfAnEarlierProcessIsNoLease(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.options.AfterReport = 41
		b.run()
		b.on("a", 2, 0)
		b.grant.AcknowledgedReport, b.grant.AcknowledgedInstance = new(int64(41)), "zero"
		b.send()
		if r := b.Report(); *r.ReportSequence != 42 {
			t.Errorf("first report is number %d, want 42", *r.ReportSequence)
		}
		after(time.Second)
		if keys, _ := b.dest.sinceLast(); len(keys) > 0 {
			t.Errorf("sent %q on what another process had acknowledged", keys)
		}
		// A report of the process before that came late, by a number that is also one of ours.
		b.grant.AcknowledgedReport, b.grant.AcknowledgedInstance = new(int64(42)), "zero"
		b.send()
		after(time.Second)
		if keys, _ := b.dest.sinceLast(); len(keys) > 0 {
			t.Errorf("sent %q on a report of another process", keys)
		}
	})
}

func TestFinishedIsRepeatedUntilAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		first := b.endsTwo()
		slices.SortFunc(first.Finished, func(a, b v1alpha1.FinishedArchive) int { return int(*a.Number - *b.Number) })
		want := v1alpha1.FinishedArchive{Result: v1alpha1.ArchiveFinished, Prefix: "a", Number: new(int64(0)), Done: &v1alpha1.Tally{Files: new(int64(5)), Bytes: new(int64(5000))}}
		if diff := cmp.Diff(want, first.Finished[0]); diff != "" {
			t.Errorf("finished (-want +got):\n%s", diff)
		}
		if got := numbers(b.Report()); len(got) != 2 {
			t.Errorf("second report tells of %v", got)
		}
		b.dest.sinceLast()
		b.send()
		after(time.Second)
		if keys, _ := b.dest.sinceLast(); len(keys) > 0 {
			t.Errorf("sent %q again before the outcome was acknowledged", keys)
		}
		b.grant.AcknowledgedReport, b.grant.AcknowledgedInstance = first.ReportSequence, first.Instance
		b.on("a", 4)
		b.send()
		after(time.Second)
		if got := numbers(b.Report()); len(got) > 0 {
			t.Errorf("after the acknowledgment %v is still reported", got)
		}
	})
}

// The manager ignores an outcome of a grant before the one that it takes as the first to name
// the archive: it gave the archive back to the worker under the same attempt, and the worker has
// not seen the grants between.
func TestWhatEndedAndIsGrantedStillBeginsAgain(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		first := b.endsTwo()
		b.dest.sinceLast()
		b.grant.AcknowledgedReport, b.grant.AcknowledgedInstance = first.ReportSequence, first.Instance
		b.on("a", 4, 1)
		b.send()
		after(time.Second)
		if keys, _ := b.dest.sinceLast(); len(keys) == 0 {
			t.Error("an archive that is granted after its end was acknowledged is not sent")
		}
		if got := numbers(b.Report()); !slices.Equal(got, []string{"a1"}) {
			t.Errorf("reported %v, want archive 1", got)
		}
	})
}

func TestExpiryLeavesTheFloor(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.files = 1000
		b.run()
		b.on("a", 3, 0)
		b.on("b", 3, 0)
		b.renew()
		b.renew()
		after(testLease * 98 / 100)
		if _, most := b.dest.sinceLast(); most != 6 {
			t.Errorf("%d in flight under the lease, want 6", most)
		}
		if s, _ := condition(b.Report(), v1alpha1.LeaseConditionDegraded); s != metav1.ConditionFalse {
			t.Errorf("degraded while the lease holds")
		}
		after(testLease * 2 / 100)
		b.dest.sinceLast() // what was in flight may end
		after(testUpload)
		b.dest.sinceLast()
		after(testLease)
		keys, most := b.dest.sinceLast()
		if most != 1 || len(keys) < 90 {
			t.Errorf("%d files, %d at once after expiry; want about 100 one by one", len(keys), most)
		}
		if s, reason := condition(b.Report(), v1alpha1.LeaseConditionDegraded); s != metav1.ConditionTrue || reason != v1alpha1.ReasonLeaseExpired {
			t.Errorf("Degraded is %s %s after expiry", s, reason)
		}
		b.renew()
		after(time.Second)
		if _, most := b.dest.sinceLast(); most != 6 {
			t.Errorf("%d in flight after renewal, want 6", most)
		}
		if s, _ := condition(b.Report(), v1alpha1.LeaseConditionDegraded); s != metav1.ConditionFalse {
			t.Errorf("still degraded after renewal")
		}
	})
}

// After its lease a worker goes on: with all of its grant as long as it finds that in the API,
// with half when it cannot tell, and with one request when the coasting time is over.
func TestCoasting(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.files = 10000
		b.grant.CoastingDuration = &metav1.Duration{Duration: 10 * testLease}
		b.run()
		b.on("a", 3, 0)
		b.on("b", 5, 0)
		b.renew()
		inFlight := func() int {
			b.dest.sinceLast()
			after(3 * testUpload) // what was in flight may end
			b.dest.sinceLast()
			after(3 * testUpload)
			_, most := b.dest.sinceLast()
			return most
		}
		for range 8 {
			after(testLease / 2)
			b.Confirm(grantID(b.grant), time.Now())
		}
		if most := inFlight(); most != 8 {
			t.Errorf("%d in flight while the API holds the grant, want 8", most)
		}
		b.Confirm(protocol.GrantID{Epoch: b.grant.Epoch, Sequence: b.grant.Sequence + 1}, time.Now())
		after(testLease)
		if most := inFlight(); most != 4 {
			t.Errorf("%d in flight when it is not known what the API holds, want half of 8", most)
		}
		b.Confirm(grantID(b.grant), time.Now())
		if most := inFlight(); most != 8 {
			t.Errorf("%d in flight when the API is known again to hold the grant, want 8", most)
		}
		after(7 * testLease)
		b.Confirm(grantID(b.grant), time.Now())
		if most := inFlight(); most != 1 {
			t.Errorf("%d in flight after the coasting time, want 1", most)
		}
	})
}

// A worker begins its reserve when nobody renews its lease and it has begun all else, each
// archive once, and goes on with what it has begun of it under the next lease.
func TestReserve(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.grant.CoastingDuration = &metav1.Duration{Duration: time.Hour}
		b.run()
		b.on("a", 2, 0)
		b.grant.Prefixes[0].Reserve = "5-7,9"
		b.renew()
		after(testLease / 2)
		if diff := cmp.Diff([]string{"a0"}, numbers(b.Report())); diff != "" {
			t.Errorf("ended under the lease (-want +got):\n%s", diff)
		}
		after(10 * testLease)
		got := numbers(b.Report())
		slices.Sort(got)
		if diff := cmp.Diff([]string{"a0", "a5", "a6", "a7", "a9"}, got); diff != "" {
			t.Errorf("ended without a manager (-want +got):\n%s", diff)
		}
		b.renew()
		after(10 * testLease)
		if got := numbers(b.Report()); len(got) > 0 {
			t.Errorf("%v ended once more", got)
		}
	})
}

// A grant without any window, of which the manager charges nothing, leaves no floor.
func TestNoFloorWithoutAWindow(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.on("a", 0, 0)
		b.renew()
		b.renew()
		after(2 * testLease)
		if keys, _ := b.dest.sinceLast(); len(keys) > 0 {
			t.Errorf("it sent %v", keys)
		}
	})
}

func TestFloorEndsEveryArchiveHeld(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.on("a", 2, 0, 1, 2)
		b.on("b", 2, 0, 1, 2)
		b.send() // with no report acknowledged
		after(testLease + 30*time.Second)
		got := numbers(b.Report())
		slices.Sort(got)
		if diff := cmp.Diff([]string{"a0", "a1", "a2", "b0", "b1", "b2"}, got); diff != "" {
			t.Errorf("ended on the floor (-want +got):\n%s", diff)
		}
		if _, most := b.dest.sinceLast(); most != 1 {
			t.Errorf("%d in flight on the floor", most)
		}
	})
}

func TestLeaseCountsFromTheReportNotFromTheAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.files = 10000
		b.run()
		b.on("a", 3, 0)
		r := b.Report()
		b.send()
		after(testLease - 2*time.Second)
		b.grant.AcknowledgedReport, b.grant.AcknowledgedInstance = r.ReportSequence, r.Instance
		b.send()
		after(3 * time.Second)
		if s, _ := condition(b.Report(), v1alpha1.LeaseConditionDegraded); s != metav1.ConditionTrue {
			t.Errorf("the lease holds %s after the report that it was answered by", testLease+time.Second)
		}
	})
}

func TestFencing(t *testing.T) {
	tests := map[string]struct {
		epoch, sequence int64
		wantObeyed      bool
	}{
		"higher sequence":              {5, 11, true},
		"same":                         {5, 10, true},
		"lower sequence":               {5, 9, false},
		"lower epoch, higher sequence": {4, 100, false},
		"higher epoch, lower sequence": {6, 1, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.run()
				b.grant.Epoch, b.grant.Sequence = 5, 9
				b.on("a", 1, 0)
				b.renew()
				b.grant.Epoch, b.grant.Sequence = tt.epoch, tt.sequence
				b.Apply(b.grant)
				r := b.Report()
				obeyed := *r.ObservedEpoch == tt.epoch && *r.ObservedSequence == tt.sequence
				if obeyed != tt.wantObeyed {
					t.Errorf("observed (%d, %d)", *r.ObservedEpoch, *r.ObservedSequence)
				}
			})
		})
	}
}

// Samples go on under a grant with other archives, and begin anew with other limits.
func TestSamplesAreByLimits(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var set []upload.Grant
		b.options.Gate = gateFunc(func(from upload.Grant, _ []upload.PrefixLimit) { set = append(set, from) })
		b.Engine = NewEngine(b.options)
		b.on("a", 2, 0)
		b.send()
		b.on("a", 2, 0, 1)
		b.send()
		b.on("a", 3, 0, 1)
		b.send()
		want := []upload.Grant{{Epoch: 1, Sequence: 1}, {Epoch: 1, Sequence: 1}, {Epoch: 1, Sequence: 3}}
		if diff := cmp.Diff(want, set); diff != "" {
			t.Errorf("the gate was told (-want +got):\n%s", diff)
		}
	})
}

// gateFunc is a gate that is told limits.
type gateFunc func(from upload.Grant, limits []upload.PrefixLimit)

func (f gateFunc) Set(from upload.Grant, limits []upload.PrefixLimit) { f(from, limits) }

func (f gateFunc) Pace(upload.Pace) {}

func (f gateFunc) Narrow(from upload.Grant, limits []upload.PrefixLimit) { f(from, limits) }

func TestWithdrawnArchive(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.dest.linger = 3 * time.Second
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		after(testUpload / 2)
		b.on("a", 2)
		b.send()
		after(time.Second)
		if r := b.Report(); *r.ObservedSequence == b.grant.Sequence {
			t.Errorf("the withdrawal is acknowledged while a request of the archive is in flight")
		}
		after(3 * time.Second)
		r := b.Report()
		if *r.ObservedSequence != b.grant.Sequence {
			t.Errorf("observed %d, want %d", *r.ObservedSequence, b.grant.Sequence)
		}
		if len(r.Finished) > 0 || len(b.dest.objects) > 0 {
			t.Errorf("a withdrawn archive left %v and %d manifests", numbers(r), len(b.dest.objects))
		}
	})
}

func TestShrunkWindowIsAcknowledgedOnceItIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.files = 1000
		b.run()
		b.on("a", 8, 0)
		b.renew()
		b.renew()
		after(testUpload / 2)
		b.on("a", 2, 0)
		b.renew()
		if r := b.Report(); *r.ObservedSequence == b.grant.Sequence {
			t.Errorf("acknowledged with more in flight than the window")
		}
		after(testUpload)
		if r := b.Report(); *r.ObservedSequence != b.grant.Sequence {
			t.Errorf("observed %d, want %d", *r.ObservedSequence, b.grant.Sequence)
		}
	})
}

func TestArchivesGoInTheOrderGranted(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.on("a", 1, 5, 3, 4)
		b.renew()
		b.renew()
		after(5 * time.Second)
		var order []string
		keys, _ := b.dest.sinceLast()
		for _, key := range keys {
			if dir := path.Dir(key); !slices.Contains(order, dir) {
				order = append(order, dir)
			}
		}
		if diff := cmp.Diff([]string{"base/a/5", "base/a/3", "base/a/4"}, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}
