package coordinator

import (
	"testing"
	"time"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// A leader begins once what the one before was writing has landed, if that has granted anything.
func TestALeaderLetsTheWritesOfTheFormerLand(t *testing.T) {
	clock := newClock()
	c := newLeader(t, newCluster(t), clock)
	if err := c.letLand(t.Context()); err != nil {
		t.Fatal(err) // or it has waited for ever
	}
	c = newLeader(t, newCluster(t, running(t, "photos")...), clock)
	began := make(chan error)
	go func() { began <- c.letLand(t.Context()) }()
	for !clock.HasWaiters() {
		time.Sleep(time.Millisecond)
	}
	clock.Step(cacheLag)
	if err := <-began; err != nil {
		t.Error(err)
	}
}

// What a former leader has written lands after its grants were adopted: the worker may act on it, so it is
// charged, its reports are taken in, and its lease stays.
func TestAWriteOfTheFormerLeaderThatComesLate(t *testing.T) {
	c := newLedPart(t)
	all := map[string][]string{"s3/photos": {"photos"}, "s3/films": {"films"}, "s3/letters": {"letters"}}
	c.tick(all)
	lease := &v1alpha1.PrefixLease{}
	key := client.ObjectKey{Namespace: "ns", Name: "w-photos"}
	change := func(change func()) {
		t.Helper()
		if err := c.cluster.Get(t.Context(), key, lease); err != nil {
			t.Fatal(err)
		}
		change()
		if err := c.cluster.Update(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	}
	charged := func() int { return c.domains["s3/photos"].core.LimitClaim().InFlight }
	tick := func() {
		t.Helper()
		c.clock.Step(2 * gatherInterval)
		if err := c.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	change(func() { lease.Spec.Sequence, lease.Spec.Prefixes[0].Window = 4, ptr.To[int32](16) })
	for range 2 * foreignGrace / gatherInterval {
		if tick(); charged() != 16 {
			t.Fatalf("%d are charged for a grant of 16", charged())
		}
	}
	change(func() {
		lease.Status.Instance, lease.Status.ReportSequence = "i", ptr.To[int64](1)
		lease.Status.ObservedEpoch, lease.Status.ObservedSequence = ptr.To[int64](6), ptr.To[int64](4)
	})
	if tick(); !c.domains["s3/photos"].core.HasReport("pod-photos", "i", 1) {
		t.Error("a report by it was refused")
	}
	change(func() { lease.Spec.Sequence, lease.Spec.Prefixes[0].Window = 5, ptr.To[int32](20) })
	if tick(); charged() != 20 { // this leader has granted something meanwhile
		t.Errorf("%d are charged for a grant of 20", charged())
	}
}
