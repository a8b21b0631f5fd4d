package coordinator

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/metrics"
)

func total(points []int64) (sum int64) {
	for _, n := range points {
		sum += n
	}
	return sum
}

// fleetSent are workers that send, and the manager that counts what they report.
type fleetSent struct {
	now    time.Time
	claim  *claim
	member *member
	// sent is what all workers have ever reported.
	sent     sentCounters
	counters map[string]*v1alpha1.PrefixReport
	sequence int64
}

// report has a worker report that it has sent more; the manager may be there to see it.
func (f *fleetSent) report(uid string, bytes, throttled int64, watched bool) {
	p := f.counters[uid]
	if p == nil {
		p = &v1alpha1.PrefixReport{Name: "p0", Started: ptr.To(int64(0)), Bytes: ptr.To(int64(0)), Throttled: ptr.To(int64(0)), Failed: ptr.To(int64(0))}
		f.counters[uid] = p
	}
	*p.Started += throttled + 2
	*p.Bytes += bytes
	*p.Throttled += throttled
	*p.Failed++
	f.sent.requests, f.sent.bytes = f.sent.requests+throttled+2, f.sent.bytes+bytes
	f.sent.throttled, f.sent.failed = f.sent.throttled+throttled, f.sent.failed+1
	f.sequence++
	f.member.leases[uid] = &v1alpha1.PrefixLease{
		Spec: v1alpha1.PrefixLeaseSpec{PodUID: uid},
		Status: v1alpha1.PrefixLeaseStatus{Instance: uid, ReportSequence: ptr.To(f.sequence), Prefixes: []v1alpha1.PrefixReport{{
			Name: p.Name, Started: ptr.To(*p.Started), Bytes: ptr.To(*p.Bytes), Throttled: ptr.To(*p.Throttled), Failed: ptr.To(*p.Failed)}}},
	}
	if !watched {
		return
	}
	before, next := f.claim.remember(f.now, f.member.leases[uid])
	f.claim.sending.start(next.started - before.started)
	sum, last := next.counters["p0"], before.counters["p0"]
	f.claim.sending.add(f.now, "p0", true, metrics.Requests{
		Throttled: sum.Throttled - last.Throttled, Failed: sum.Failed - last.Failed, Bytes: sum.Bytes - last.Bytes})
}

// change replaces the manager, which knows what the API holds.
func (f *fleetSent) change(s *v1alpha1.SendingStatus) {
	f.claim = newClaim(v1alpha1.ArchiveTransferStatus{})
	for _, lease := range f.member.leases {
		f.claim.remember(f.now, lease)
	}
	f.claim.sending = takeUp(f.now, s, f.claim.reported(f.member))
}

func newFleetSent() *fleetSent {
	f := &fleetSent{now: time.Unix(1000, 0), member: &member{leases: map[string]*v1alpha1.PrefixLease{}}, counters: map[string]*v1alpha1.PrefixReport{}}
	f.change(nil)
	return f
}

// The curve of a transfer and its counts hold everything that its workers have reported, once,
// whenever managers die and whatever they saw of it.
func TestWhatIsSentIsCountedOnceThroughManagers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFleetSent()
		recorded := f.claim.sending.status(f.claim.reported(f.member))
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			f.now = f.now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "pause")))
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				recorded = f.claim.sending.status(f.claim.reported(f.member))
			case 1: // whatever was not recorded, it forgets
				f.change(throughJSON(t, recorded))
				recorded = f.claim.sending.status(f.claim.reported(f.member))
			default:
				f.report(fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "worker")), rapid.Int64Range(0, 1<<40).Draw(t, "bytes"),
					rapid.Int64Range(0, 9).Draw(t, "throttled"), rapid.Bool().Draw(t, "watched"))
			}
		}
		for uid, lease := range f.member.leases { // the last reports
			f.report(uid, 0, 0, lease != nil)
		}
		s := f.claim.sending.status(f.claim.reported(f.member))
		got := sentCounters{bytes: total(s.Bytes), throttled: total(s.Throttled), requests: *s.Requests, failed: *s.Failed}
		if got != f.sent || len(s.Bytes) > curvePoints {
			t.Fatalf("%+v in %d intervals, want %+v", got, len(s.Bytes), f.sent)
		}
	})
}

func throughJSON(t *rapid.T, s *v1alpha1.SendingStatus) *v1alpha1.SendingStatus {
	text, err := json.Marshal(s)
	out := &v1alpha1.SendingStatus{}
	if err == nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What was sent while no manager ran is flat in the curve, and said.
func TestNobodyWatched(t *testing.T) {
	f := newFleetSent()
	f.now = f.now.Add(2 * time.Second)
	f.report("a", 100, 0, true)
	recorded := f.claim.sending.status(f.claim.reported(f.member))
	f.now = f.now.Add(20 * time.Second)
	f.report("a", 2100, 3, false)
	f.change(recorded)
	s := f.claim.sending.status(f.claim.reported(f.member))
	if *s.UnwatchedSeconds != 20 || s.Bytes[2] != 200 || s.Bytes[22] != 100 || total(s.Bytes) != 2200 || total(s.Throttled) != 3 {
		t.Errorf("%d s unwatched, %v", *s.UnwatchedSeconds, s.Bytes)
	}
}

// Leases that a former manager has deleted, and an earlier release that has recorded nothing, make
// no counts that were never sent, nor any below zero.
func TestWhatIsUnknownIsNotCounted(t *testing.T) {
	f := newFleetSent()
	f.report("a", 100, 0, true)
	f.report("b", 50, 0, true)
	recorded := f.claim.sending.status(f.claim.reported(f.member))
	delete(f.member.leases, "a")
	f.change(recorded)
	if s := f.claim.sending.status(f.claim.reported(f.member)); total(s.Bytes) != 150 || *s.UnwatchedSeconds != 0 {
		t.Errorf("%d bytes, want 150", total(s.Bytes))
	}
	f.change(nil) // as after an upgrade
	f.now = f.now.Add(time.Second)
	f.report("b", 7, 0, true)
	if s := f.claim.sending.status(f.claim.reported(f.member)); total(s.Bytes) != 7 {
		t.Errorf("%d bytes, want 7 since the upgrade", total(s.Bytes))
	}
}

// The curve costs a status little, however long it takes, and nothing that lies makes it invalid.
func TestACurveIsSmallInAStatus(t *testing.T) {
	f := newFleetSent()
	for i := range 5000 {
		f.now = f.now.Add(time.Minute)
		f.report("a", 1_000_000_000+int64(i), int64(i%7), true)
	}
	s := f.claim.sending.status(f.claim.reported(f.member))
	text, err := json.Marshal(s)
	if err != nil || len(text) > 2000 {
		t.Errorf("%d bytes: %v", len(text), err)
	}
	f.claim.sending.add(f.now, "p0", true, metrics.Requests{Bytes: -5, Throttled: -5, Failed: -5})
	if after := f.claim.sending.status(f.claim.reported(f.member)); total(after.Bytes) != total(s.Bytes) {
		t.Error("a count that went back was counted")
	}
}
