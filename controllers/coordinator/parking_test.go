package coordinator

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// A panic in one destination parks that one: the manager lives, the transfers that wait are
// told, and after a pause its controller is begun anew with grants above all of before.
func TestAPanicParksOneDestination(t *testing.T) {
	at := photos()
	cluster := newCluster(t, at)
	recorder, clock := events.NewFakeRecorder(10), newClock()
	c := newLeader(t, cluster, clock)
	c.Recorder = recorder
	c.domains["bad"] = &domain{Coordinator: c, name: "bad"} // it has no core
	members := []*member{{transfer: workload.Of(at)}}

	if err := c.tickDomain(t.Context(), "bad", members); err != nil {
		t.Fatalf("a parked destination is an error of the tick: %v", err)
	}
	if c.domains["bad"] != nil {
		t.Error("the controller that panicked is still there")
	}
	if e := <-recorder.Events; !strings.Contains(e, v1alpha1.ReasonCoordinationParked) {
		t.Errorf("the event is %q", e)
	}
	got := &v1alpha1.ArchiveTransfer{}
	if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(at), got); err != nil {
		t.Fatal(err)
	}
	if d := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionDegraded); d == nil || d.Reason != v1alpha1.ReasonCoordinationParked {
		t.Errorf("the condition is %+v", d)
	}

	if err := c.tickDomain(t.Context(), "bad", members); err != nil || c.domains["bad"] != nil {
		t.Errorf("it was tried again at once: %v", err)
	}
	clock.Step(2 * firstRetry)
	if err := c.tickDomain(t.Context(), "bad", members); err != nil || c.domains["bad"] != nil {
		t.Errorf("it was begun anew before what it has written last must have landed: %v", err)
	}
	clock.Step(cacheLag)
	if err := c.tickDomain(t.Context(), "bad", members); err != nil || c.domains["bad"] == nil {
		t.Errorf("it was not tried again: %v", err)
	}
	if c.epoch != 8 {
		t.Errorf("the next domain begins with epoch %d, want 8", c.epoch)
	}
}
