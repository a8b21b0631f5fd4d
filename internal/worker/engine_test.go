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
		b.run()
		b.on("a", 4, 0, 1)
		b.renew()
		b.renew()
		after(time.Second)
		first := b.Report()
		slices.SortFunc(first.Finished, func(a, b v1alpha1.FinishedArchive) int { return int(*a.Number - *b.Number) })
		want := v1alpha1.FinishedArchive{Result: v1alpha1.ArchiveFinished, Prefix: "a", Number: new(int64(0)), Done: &v1alpha1.Tally{Files: new(int64(5)), Bytes: new(int64(5000))}}
		if diff := cmp.Diff(want, first.Finished[0]); diff != "" {
			t.Errorf("finished (-want +got):\n%s", diff)
		}
		if got := numbers(b.Report()); len(got) != 2 {
			t.Errorf("second report tells of %v", got)
		}
		b.dest.sinceLast()
		b.grant.AcknowledgedReport, b.grant.AcknowledgedInstance = first.ReportSequence, first.Instance
		b.send()
		after(time.Second)
		if got := numbers(b.Report()); len(got) > 0 {
			t.Errorf("after the acknowledgment %v is still reported", got)
		}
		if keys, _ := b.dest.sinceLast(); len(keys) > 0 {
			t.Errorf("sent %q again while it was still granted", keys)
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
		b.options.Gate = gateFunc(func(from upload.Grant, _ []upload.Limit) { set = append(set, from) })
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
type gateFunc func(from upload.Grant, limits []upload.Limit)

func (f gateFunc) Set(from upload.Grant, limits []upload.Limit) { f(from, limits) }

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

func TestEagerWhenAPrefixRunsDry(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		<-b.Eager() // it may send
		select {
		case <-b.Eager():
		case <-time.After(2 * time.Second):
			t.Error("no signal though nothing is left to send")
		}
	})
}

func TestEagerWhenItMaySend(t *testing.T) {
	eager := func(b *bench) bool {
		select {
		case <-b.Eager():
			return true
		default:
			return false
		}
	}
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.on("a", 0)
		b.renew()
		if eager(b) {
			t.Error("a signal before anything may be sent")
		}
		b.on("a", 2, 0)
		b.renew()
		if !eager(b) {
			t.Error("no signal though sending begins")
		}
		b.on("a", 3, 0)
		b.renew()
		if eager(b) {
			t.Error("a signal for a window that only grew")
		}
	})
}
