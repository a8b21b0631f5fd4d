package coordinator

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/metrics"
)

// mostStatus is what the status of a transfer with 16 prefixes may have, in bytes.
const mostStatus = 16_000

// A status has 16 kB at most where the record of what has ended is as long as a thousand workers
// are allowed (schedule has the bound), all numbers are long, and nothing has failed.
func TestTheStatusIsBounded(t *testing.T) {
	l := newLed(t)
	const recorded, prefixes = 6 << 10, 16
	full := protocol.Transfer{ID: "full", Weight: 1, Config: protocol.DefaultConfig(), Recorded: map[string]protocol.Recorded{}}
	for p := range prefixes {
		finished := halfOf(recorded / prefixes)
		full.Recorded[fmt.Sprintf("%02x", p)] = protocol.Recorded{
			Finished: finished, Done: protocol.Tally{Files: 1_234_567_890, Bytes: 123_456_789_012_345},
			Planned: protocol.Planned{Archives: 6_000_000, Files: 6_000_000_000, Bytes: 500_000_000_000_000},
		}
	}
	if err := l.core.PutTransfer(l.began, full); err != nil {
		t.Fatal(err)
	}
	l.m.transfer.UID, l.claims["full"] = "full", newClaim(v1alpha1.ArchiveTransferStatus{})
	l.claims["full"].sending = takeUp(l.began, nil, sentCounters{})
	for i := range curvePoints {
		l.claims["full"].sending.add(l.began.Add(time.Duration(i)*time.Second), "00", true, metrics.Requests{Bytes: 123_456_789_012})
	}

	s := l.status(l.began, l.m, l.claims["full"], l.core.Snapshot())
	addTheLifecyclesPart(&s)
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(*s.Prefixes[0].FinishedArchives, "packed,") {
		t.Errorf("the record is not packed: %s", *s.Prefixes[0].FinishedArchives)
	}
	t.Logf("%d bytes, of which %d are the record", len(text), prefixes*len(*s.Prefixes[0].FinishedArchives))
	if len(text) > mostStatus || len(text) < mostStatus-3000 {
		t.Errorf("the status has %d bytes, want %d at most, and nearly: %s", len(text), mostStatus, text)
	}
}

// halfOf gives archives of which the later ones have ended in no order, so many that they take
// nearly so many bytes.
func halfOf(size int) (finished protocol.Ranges) {
	finished.AddRange(0, 1_000_000)
	random := rand.New(rand.NewPCG(1, 2))
	for n := int64(1_000_002); len(finished.Packed()) < size; n++ {
		if random.IntN(2) == 0 {
			finished.Add(n)
		}
	}
	return finished
}

// addTheLifecyclesPart adds what another controller writes: times, counts and nine conditions.
func addTheLifecyclesPart(s *v1alpha1.ArchiveTransferStatus) {
	now := metav1.Now()
	s.ObservedGeneration, s.StartTime, s.EstimatedCompletionTime = ptr.To(int64(7)), &now, &now
	s.Workers = &v1alpha1.WorkersStatus{Desired: ptr.To(int32(1000)), Leased: ptr.To(int32(1000)), Blocked: ptr.To(int32(0)), Failed: ptr.To(int32(0))}
	for i := len(s.Conditions); i < 9; i++ {
		s.Conditions = append(s.Conditions, metav1.Condition{
			Type: "Reconciling", Status: metav1.ConditionFalse, Reason: "Transferring", ObservedGeneration: 7,
			LastTransitionTime: now, Message: "workers are archiving the source, of which everything is planned",
		})
	}
}
