package coordinator

import (
	"testing"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
)

// A manager that has lost its leadership does not overwrite what a later one has found out,
// neither in a profile that it knew nor in one that it is the first to write. What somebody
// wrote by hand is overwritten after the grace.
func TestALaterLeadersProfileIsLeftAlone(t *testing.T) {
	cluster, clock := newCluster(t), newClock()
	leader := func(epoch int64) *domain {
		return &domain{Coordinator: &Coordinator{Client: cluster, APIReader: cluster, Clock: clock}, name: "d", epoch: epoch}
	}
	name := convert.ProfileName("d")
	write := func(d *domain, snapshot string) error {
		return d.applyProfile(t.Context(), name, v1alpha1.DestinationProfileStatus{Epoch: ptr.To(d.epoch), Snapshot: snapshot})
	}
	wants := func(snapshot string) {
		t.Helper()
		var p v1alpha1.DestinationProfile
		if err := cluster.Get(t.Context(), client.ObjectKey{Name: name}, &p); err != nil || p.Status.Snapshot != snapshot {
			t.Fatalf("the profile holds %q, want %q; error %v", p.Status.Snapshot, snapshot, err)
		}
	}
	former, latecomer, next := leader(7), leader(7), leader(8)

	for _, snapshot := range []string{"former", "former again"} {
		if err := write(former, snapshot); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(next, "next"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, d := range []*domain{former, latecomer} {
			if err := write(d, "outdated"); err == nil {
				t.Error("it was overwritten")
			}
		}
		wants("next")
	}
	if err := write(next, "next again"); err != nil {
		t.Fatal(err)
	}
	wants("next again")

	clock.Step(foreignGrace)
	if err := write(former, "still the leader"); err != nil {
		t.Fatal(err)
	}
	wants("still the leader")
}
