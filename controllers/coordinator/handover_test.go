package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/workload"
)

// led is a domain with one worker, whose lease stands with the first grant, and an API server
// that can be slow.
type led struct {
	*domain
	t       testing.TB
	cluster client.WithWatch
	m       *member
	grant   protocol.Grant
	began   time.Time // what the ticks take for now, so that a second that ends changes no status
	// statuses and grants hold up writes of these while they are not nil; patches counts those
	// of grants that were asked for, applied those of statuses, and created the leases made.
	statuses, grants          chan struct{}
	patches, applied, created atomic.Int32
}

func newLed(t testing.TB) *led {
	t.Helper()
	l := &led{t: t, began: time.Now(), grant: firstGrant()}
	at := photos()
	l.cluster = interceptor.NewClient(
		newCluster(t, at, leaseOf(l.grant)), interceptor.Funcs{
			SubResourceApply: func(ctx context.Context, c client.Client, name string, o runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
				l.applied.Add(1)
				if err := held(ctx, l.statuses); err != nil {
					return err
				}
				return c.SubResource(name).Apply(ctx, o, opts...)
			},
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				o.SetUID(types.UID(fmt.Sprint(l.created.Add(1)))) // which the server does
				return c.Create(ctx, o, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
				l.patches.Add(1)
				if err := held(ctx, l.grants); err != nil {
					return err
				}
				err := c.Patch(ctx, o, patch, opts...)
				o.SetGeneration(int64(l.patches.Load())) // which the server does
				if err != nil && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
					return apierrors.NewInvalid(schema.GroupKind{Kind: "PrefixLease"}, o.GetName(), nil) // so, too
				}
				return err
			},
		})
	l.domain = newDomainOf(t, newLeader(t, l.cluster, clock.RealClock{}))
	lead(t, l.domain, "1", "pod")
	l.claims["1"] = newClaim(v1alpha1.ArchiveTransferStatus{})
	l.m = &member{transfer: workload.Of(at), leases: map[string]*v1alpha1.PrefixLease{"pod": l.stored()}}
	return l
}

// held waits until a channel is closed, nil for not at all.
func held(ctx context.Context, c chan struct{}) error {
	if c == nil {
		return nil
	}
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// decide hands over the next grant, as a tick does whose cache shows what it showed before.
func (l *led) decide() {
	l.t.Helper()
	l.grant.Sequence++
	began := time.Now()
	l.handOver(l.began, []*member{l.m}, protocol.Plan{Grants: []protocol.Grant{l.grant}}, protocol.Snapshot{})
	if took := time.Since(began); took > 10*time.Second {
		l.t.Errorf("handing over took %v", took)
	}
}

func (l *led) stored() *v1alpha1.PrefixLease {
	l.t.Helper()
	lease := &v1alpha1.PrefixLease{}
	if err := l.cluster.Get(l.t.Context(), client.ObjectKey{Namespace: "ns", Name: "w"}, lease); err != nil {
		l.t.Fatal(err)
	}
	return lease
}

// No tick waits for the API server, and what was decided meanwhile is written once it answers:
// the newest grant alone.
func TestATickWaitsForNoGrant(t *testing.T) {
	l := newLed(t)
	l.grants = make(chan struct{})
	l.decide() // 2
	eventually(t, "the grant is being written", func() bool { return l.patches.Load() == 1 })
	for range 5 {
		l.decide() // 3 to 7
	}
	eventually(t, "the status is written", func() bool { return !l.writes.holds(object{transfer: "1"}) })
	close(l.grants)
	settle(t, l.domain)
	if got := l.stored().Spec.Sequence; got != 7 || l.patches.Load() != 2 {
		t.Errorf("grant %d stands after %d writes, want 7 after 2", got, l.patches.Load())
	}
}

// A grant acknowledges reports, so it is not written before what they tell is recorded.
func TestAGrantWaitsForTheRecord(t *testing.T) {
	l := newLed(t)
	l.statuses = make(chan struct{})
	l.decide()
	l.decide()
	time.Sleep(50 * time.Millisecond)
	if l.patches.Load() != 0 {
		t.Error("a grant was written before the status")
	}
	close(l.statuses)
	settle(t, l.domain)
	if got := l.stored().Spec.Sequence; got != 3 {
		t.Errorf("grant %d stands, want 3", got)
	}
}

// A status that is under way is written once, however many ticks would write the same, and the
// newest grant is written after it.
func TestAStatusIsWrittenOnce(t *testing.T) {
	l := newLed(t)
	l.statuses = make(chan struct{})
	l.decide() // 2
	eventually(t, "the status is being written", func() bool { return l.applied.Load() == 1 })
	for range 5 {
		l.decide() // 3 to 7
	}
	close(l.statuses)
	settle(t, l.domain)
	if got := l.stored().Spec.Sequence; got != 7 || l.applied.Load() != 1 || l.patches.Load() != 1 {
		t.Errorf("grant %d stands after %d writes of it and %d of the status, want 7 after one of each", got, l.patches.Load(), l.applied.Load())
	}
}

// Grants that acknowledge more than the status tells that is under way wait for the next one.
func TestAGrantWaitsForItsOwnRecord(t *testing.T) {
	l := newLed(t)
	l.statuses = make(chan struct{})
	l.decide() // 2
	eventually(t, "the status is being written", func() bool { return l.applied.Load() == 1 })
	l.claims["1"].checksum = "CRC64NVME"
	l.decide() // 3
	l.decide() // 4
	close(l.statuses)
	settle(t, l.domain)
	at := &v1alpha1.ArchiveTransfer{}
	if err := l.cluster.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "photos"}, at); err != nil {
		t.Fatal(err)
	}
	if got := l.stored().Spec.Sequence; got != 4 || l.applied.Load() != 2 || at.Status.ChecksumAlgorithm != "CRC64NVME" {
		t.Errorf("grant %d stands after %d writes of the status, which holds the checksum %q, want 4 after two and CRC64NVME",
			got, l.applied.Load(), at.Status.ChecksumAlgorithm)
	}
}

// A grant is written although the cache does not show the one before yet, and written no
// second time; what somebody else has written in between is not overwritten.
func TestTheCacheMayBeBehind(t *testing.T) {
	l := newLed(t)
	for range 3 {
		l.decide()
		settle(t, l.domain)
	}
	l.grant.Sequence--
	l.decide() // again
	settle(t, l.domain)
	if got := l.stored().Spec.Sequence; got != 4 || l.patches.Load() != 3 {
		t.Errorf("grant %d stands after %d writes, want 4 after 3", got, l.patches.Load())
	}
	later := l.stored()
	later.Spec.Epoch = 8
	if err := l.cluster.Update(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	l.decide()
	settle(t, l.domain)
	if got := l.stored().Spec.Epoch; got != 8 {
		t.Errorf("the grant of a later leader was overwritten by one of epoch %d", got)
	}
}

// A lease is made once, also while the cache does not show it; again if it was deleted.
func TestALeaseIsMadeOnce(t *testing.T) {
	l := newLed(t)
	if err := l.cluster.Delete(t.Context(), l.stored()); err != nil {
		t.Fatal(err)
	}
	pod := podWithMemory("")
	pod.Name, pod.Namespace, pod.UID = "w", "ns", "pod"
	l.m.leases, l.m.pods = nil, map[string]*corev1.Pod{"pod": pod}
	for range 2 {
		l.decide()
		settle(t, l.domain)
	}
	if got := l.stored().Spec; got.Sequence != 3 || got.PodUID != "pod" {
		t.Errorf("grant %d of %s stands, want 3", got.Sequence, got.PodUID)
	}
	if err := l.cluster.Delete(t.Context(), l.stored()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // one that finds it gone, and one that makes it
		l.decide()
		settle(t, l.domain)
	}
	if got := l.stored().Spec.Sequence; got != 5 {
		t.Errorf("grant %d stands, want 5", got)
	}
}

// Whatever was under way when a destination is begun anew, nothing of it comes afterwards.
func TestNothingComesAfterTheEndOfADomain(t *testing.T) {
	l := newLed(t)
	l.grants = make(chan struct{})
	l.decide()
	eventually(t, "the grant is being written", func() bool { return l.patches.Load() == 1 })
	l.decide()
	l.end()
	close(l.grants)
	time.Sleep(20 * time.Millisecond)
	if got := l.stored().Spec.Sequence; got != 1 || l.patches.Load() != 1 {
		t.Errorf("grant %d stands after %d writes", got, l.patches.Load())
	}
	if err := l.writes.failures(); errors.Is(err, context.Canceled) {
		t.Errorf("what was cut off counts as failed: %v", err)
	}
}
