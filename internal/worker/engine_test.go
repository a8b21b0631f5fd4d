package worker

import (
	"context"
	"errors"
	"path"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
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

func TestManifestNamesEveryEntry(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.options.Fetch = func(context.Context, string, int64) (archive.Archive, error) {
			return archive.Archive{Prefix: "a", Number: 7, Entries: []archive.Entry{
				{Path: "a/file", Size: 3},
				{Path: "a/gone", Size: 4},
				{Path: "a/bad\xff", Failed: archive.ReasonNameNotUTF8, Size: 5},
				{Path: "a/socket", Skipped: archive.ReasonSocket},
			}}, nil
		}
		b.dest.answer = func(key string) error {
			if key == "base/a/gone" {
				return &s3.Error{Class: s3.Source, Reason: archive.ReasonVanished, Op: "read", Key: key, Err: errors.New("gone")}
			}
			return nil
		}
		b.run()
		b.on("a", 4, 7)
		b.renew()
		b.renew()
		after(time.Second)
		m, err := archive.DecodeManifest(b.dest.objects["base/.cargoship/uid/manifests/00/0000000007.json.zst"])
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range m.Members {
			got = append(got, x.Key+" "+string(x.Outcome)+" "+x.Reason+" "+x.Checksum)
		}
		want := []string{"base/a/file Done  sum", " Failed Vanished ", " Failed NameNotUTF8 ", " Skipped Socket "}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("manifest (-want +got):\n%s", diff)
		}
		f := b.Report().Finished[0]
		if *f.Done.Files != 1 || *f.Failed.Files != 2 || *f.Failed.Bytes != 4 || *f.Skipped.Files != 1 || f.Result == v1alpha1.ArchiveRetry || f.Reason != archive.ReasonVanished {
			t.Errorf("reported %+v", f)
		}
	})
}

// stuck begins tars and never ends them.
type stuck struct {
	*destination
	begun map[string]int // by prefix
}

func (s *stuck) UploadStream(ctx context.Context, f upload.Stream) (upload.Receipt, error) {
	s.mu.Lock()
	s.begun[f.Prefix]++
	s.mu.Unlock()
	<-ctx.Done()
	return upload.Receipt{}, ctx.Err()
}

// However large the windows, names of no more than maxMembers and two archives are in
// memory; but every prefix gets on.
func TestArchivesOfManyMembersWaitForEachOther(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		s := &stuck{b.dest, map[string]int{}}
		b.options.Uploader, b.files = s, 10_000
		layout := archive.Layout{Pattern: archive.Hash, Count: 2, UID: "uid", Tar: &archive.Tar{
			Name: "tar", TargetSize: archive.DefaultTargetSize, Compression: archive.Plain, LargeFile: archive.DefaultTarLargeFile,
		}}
		b.options.Layout = func(context.Context) (archive.Layout, error) { return layout, nil }
		b.run()
		b.on("00", 64, 0, 1, 2, 3, 4, 5, 6, 7, 8)
		b.renew()
		after(time.Second)
		b.on("01", 64, 0, 1, 2)
		b.renew()
		after(time.Second)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.begun["00"] < 4 || s.begun["00"] > 5 || s.begun["01"] != 1 {
			t.Errorf("%d and %d archives of 10,000 members are under way, want 4 or 5 and 1", s.begun["00"], s.begun["01"])
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

func TestSecondAttemptGoesOnWithWhatTheFirstHasLeft(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.options.Fetch = func(context.Context, string, int64) (archive.Archive, error) {
			return archive.Archive{Prefix: "a", Number: 0, Entries: []archive.Entry{{Path: "a/big", Size: 1 << 30}}}, nil
		}
		b.dest.open = []s3.OpenUpload{{Key: "base/a/big", UploadID: "1"}, {Key: "base/a/bigger", UploadID: "2"}}
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		after(time.Second)
		if len(b.dest.left) > 0 || b.dest.again > 0 {
			t.Fatalf("the first attempt goes on with %v, asks for %d files that may stand", b.dest.left, b.dest.again)
		}
		b.grant.Prefixes[0].Archives[0].Attempt = 2
		b.renew()
		after(time.Second)
		if diff := cmp.Diff(b.dest.open[:1], b.dest.left); diff != "" || b.dest.again != 1 {
			t.Errorf("resumed (-want +got):\n%s, %d files that may stand, want 1", diff, b.dest.again)
		}
		if keys, _ := b.dest.sinceLast(); len(keys) != 2 {
			t.Errorf("sent %q, want the file twice", keys)
		}
	})
}

func TestBlockedAndMended(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		broken := true
		refuse := func(op, key string) error {
			if !broken {
				return nil
			}
			return &s3.Error{Class: s3.Credentials, Reason: s3.ReasonCredentialsRejected, Op: op, Key: key, Err: errors.New("403")}
		}
		b.dest.answer = func(key string) error { return refuse("put object", key) }
		b.dest.probe = func() error { return refuse("head bucket", "bucket") }
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		for range 30 {
			after(time.Second)
			b.renew()
		}
		keys, _ := b.dest.sinceLast()
		// Files that are under way may slip through the gate before the first refusal is read.
		if len(keys) > 2+filesAhead || b.dest.probes < 4 || b.dest.probes > 7 {
			t.Errorf("%d files and %d probes while blocked for 30 s, want at most %d and 4 to 7", len(keys), b.dest.probes, 2+filesAhead)
		}
		if s, reason := condition(b.Report(), v1alpha1.LeaseConditionBlocked); s != metav1.ConditionTrue || reason != s3.ReasonCredentialsRejected {
			t.Errorf("Blocked is %s %s", s, reason)
		}
		broken = false
		for range 17 {
			after(time.Second)
			b.renew()
		}
		r := b.Report()
		if s, _ := condition(r, v1alpha1.LeaseConditionBlocked); s != metav1.ConditionFalse {
			t.Errorf("still blocked")
		}
		if got := b.dest.objects; len(got) != 1 {
			t.Errorf("%d manifests, want 1", len(got))
		}
		if s := b.dest.stats["a"]; s.Accepted != int64(b.files) {
			t.Errorf("%d files accepted, want %d", s.Accepted, b.files)
		}
	})
}

// A probe may succeed where a file does not: what is refused must not be asked
// for again and again at full speed.
func TestBlockedThoughProbesSucceed(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.dest.answer = func(key string) error {
			return &s3.Error{Class: s3.Permission, Reason: s3.ReasonPermissionDenied, Op: "put object", Key: key, Err: errors.New("403")}
		}
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		for range 60 {
			after(time.Second)
			b.renew()
		}
		// Nine probes, and after each the files that are under way before the next refusal is read.
		if keys, _ := b.dest.sinceLast(); len(keys) > 9*(2+filesAhead) {
			t.Errorf("%d requests in a minute of rejections", len(keys))
		}
	})
}

func TestTroubleAsksForAnotherAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.files = 100
		b.dest.answer = func(key string) error {
			return &s3.Error{Class: s3.Transient, Reason: s3.ReasonServerError, Op: "put object", Key: key, Err: errors.New("500")}
		}
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		after(5 * time.Second)
		f := b.Report().Finished[0]
		if f.Result != v1alpha1.ArchiveRetry || f.Reason != s3.ReasonServerError || *f.Failed.Files != 100 {
			t.Errorf("reported %+v", f)
		}
		if keys, _ := b.dest.sinceLast(); len(keys) > maxTroubles+2+filesAhead {
			t.Errorf("%d files begun at a destination that is plainly unwell", len(keys))
		}
	})
}

func TestOneTroubledFileLeavesTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.dest.answer = func(key string) error {
			if key != "base/a/0/2" {
				return nil
			}
			return &s3.Error{Class: s3.Integrity, Reason: s3.ReasonChecksumMismatch, Op: "put object", Key: key, Err: errors.New("BadDigest")}
		}
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		after(5 * time.Second)
		f := b.Report().Finished[0]
		if f.Result != v1alpha1.ArchiveRetry || *f.Done.Files != 4 || *f.Failed.Files != 1 || f.Reason != s3.ReasonChecksumMismatch {
			t.Errorf("reported %+v", f)
		}
	})
}

func TestDrain(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.dest.linger = time.Second
		b.run()
		b.on("a", 2, 0, 1)
		b.renew()
		b.renew()
		after(testUpload / 2)
		b.grant.Mode, b.grant.Prefixes = v1alpha1.LeaseDrain, nil
		b.send()
		synctest.Wait()
		if s, _ := condition(b.Report(), v1alpha1.LeaseConditionDrained); s != metav1.ConditionFalse {
			t.Errorf("Drained is %q with requests in flight", s)
		}
		start := time.Now()
		if err := <-b.ran; err != nil {
			t.Errorf("Run returned %v", err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("draining took %s", d)
		}
		if s, _ := condition(b.Report(), v1alpha1.LeaseConditionDrained); s != metav1.ConditionTrue {
			t.Errorf("Drained is %q after Run", s)
		}
		b.ran <- nil
	})
}

func TestTerminated(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		after(testUpload / 2)
		b.stop()
		if err := <-b.ran; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		r := b.Report()
		if s, _ := condition(r, v1alpha1.LeaseConditionDrained); s != metav1.ConditionTrue || len(r.Finished) > 0 {
			t.Errorf("Drained is %q, finished %v", s, numbers(r))
		}
		b.ran <- nil
	})
}

func TestReportStaysBounded(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.files = 1
		b.run()
		r := b.Report()
		for n := int64(0); n < 3*maxFinished; n += 64 {
			var all []int64
			for i := range int64(64) {
				all = append(all, n+i)
			}
			b.on("a", 50, all...)
			b.grant.AcknowledgedReport, b.grant.AcknowledgedInstance = r.ReportSequence, r.Instance // never a later one
			b.grant.LeaseDuration.Duration = time.Hour
			b.send()
			after(10 * time.Second)
		}
		if got := len(b.Report().Finished); got != maxFinished {
			t.Errorf("a report of %d archives, want %d", got, maxFinished)
		}
		if keys, _ := b.dest.sinceLast(); len(keys) != maxFinished {
			t.Errorf("%d archives sent, of which %d can be reported", len(keys), maxFinished)
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
