package coordinator

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=destinationprofiles,verbs=get;list;create;patch
// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=destinationprofiles/status,verbs=get;patch

const (
	// longestSnapshot is how many bytes a profile holds.
	longestSnapshot = 64 << 10
	// profileInterval is how often it is written while only figures change.
	profileInterval = 5 * time.Second
	// clockSlack is how far the clocks of two managers may lie apart.
	clockSlack = time.Minute
)

// profile is what was last written of a destination.
type profile struct {
	// snapshot was handed over at that time; failed tells that it was not written.
	snapshot string
	at       time.Time
	failed   atomic.Bool
	// The rest is the writer's. version is that of the object as it was last read or written,
	// "" if it is to be read.
	version string
	// foreign tells since when it holds what a later leader wrote, zero if it does not.
	foreign time.Time
}

// readProfile gives what an earlier leader left. What cannot be read is as if nothing
// had been left: the destination is then found out about anew, from what leases hold.
//
// Where nobody holds a lease any more, nothing has to be learned of what others may be sending: a
// leader begins anew, with what the destination is known for, as far as that can be trusted at its age.
// So it does where all leases are of later leaders than the one that left it: these led the destination
// together with others.
func (c *Coordinator) readProfile(ctx context.Context, domain string, members []*member) (protocol.Snapshot, error) {
	p, err := objects.GetOrNil(ctx, c.APIReader, "", convert.ProfileName(domain), &v1alpha1.DestinationProfile{})
	if err != nil || p == nil || p.Status.Snapshot == "" {
		return protocol.Snapshot{}, err
	}
	s, err := protocol.DecodeSnapshot([]byte(p.Status.Snapshot))
	if err == nil && p.Spec.Domain != domain {
		err = fmt.Errorf("it is of %q", p.Spec.Domain)
	}
	if err != nil {
		log.FromContext(ctx).WithName("coordinator").Error(err, "beginning without what is known of a destination",
			"domain", domain, "destinationProfile", p.Name)
		c.Recorder.Eventf(p, nil, corev1.EventTypeWarning, v1alpha1.ReasonSnapshotUnreadable, "Read",
			"the destination is found out about anew, since status.snapshot of its profile is not used: %v", err)
		return protocol.Snapshot{}, nil
	}
	if s.Known != nil {
		// One without a time, or of the future, was written by hand.
		age := protocol.Forgotten
		if at := p.Status.UpdateTime; at != nil && !at.After(c.Clock.Now().Add(clockSlack)) {
			age = max(0, c.Clock.Since(at.Time))
		}
		s.Known = ptr.To(s.Known.Aged(age))
	}
	if !holdGrantOf(members, ptr.Deref(p.Status.Epoch, 0)) {
		s = s.AtRest()
	}
	return s, nil
}

// holdGrantOf tells that some worker holds a grant of the leader with that epoch, or one before.
func holdGrantOf(members []*member, epoch int64) bool {
	for _, m := range members {
		for _, lease := range m.leases {
			if lease.Spec.Epoch <= epoch {
				return true
			}
		}
	}
	return false
}

// showKnown shows what a destination is known for.
func showKnown(s *v1alpha1.DestinationProfileStatus, known *protocol.NetworkProfile) {
	if known == nil {
		return
	}
	s.BaseLatencyMicroseconds, s.BaseLatency = ptr.To(known.BaseLatency.Microseconds()), known.BaseLatency.Round(100*time.Microsecond).String()
	s.RequestsPerSecond, s.BytesPerSecond = ptr.To(int64(known.RequestRate)), ptr.To(int64(known.Bandwidth))
	s.Throughput = convert.Bytes(int64(known.Bandwidth)) + "/s"
	s.ConfidencePercent = ptr.To(int32(100 * min(1, max(0, known.Confidence))))
}

// handOverProfile hands over what a new leader starts from: at once when a state has changed,
// since a cut is one, and otherwise now and then. A failure stops nothing: with
// an older profile the next leader is but more careful.
func (d *domain) handOverProfile(now time.Time, s protocol.Snapshot, changed bool) {
	name := convert.ProfileName(d.name)
	key := "DestinationProfile/" + name
	if d.profile.failed.Swap(false) {
		d.profile.snapshot, d.profile.at = "", time.Time{}
	}
	if s.Path == nil || !changed && now.Sub(d.profile.at) < profileInterval || d.parked(key) {
		return
	}
	text := string(protocol.EncodeSnapshot(s, longestSnapshot))
	if text == "" || text == d.profile.snapshot {
		return
	}
	d.profile.snapshot, d.profile.at = text, now
	status := v1alpha1.DestinationProfileStatus{
		Epoch: ptr.To(d.epoch), Window: ptr.To(int32(min(s.Path.Window, 1<<30))), Snapshot: text, UpdateTime: ptr.To(metav1.NewTime(now)),
	}
	showKnown(&status, s.Known)
	d.writes.put(object{}, func(ctx context.Context) error {
		if err := d.applyProfile(ctx, name, status); err != nil {
			d.profile.failed.Store(true)
			d.park(ctx, key, "the profile of "+d.name, err)
			return nil
		}
		d.unpark(key)
		d.Metrics.Write("DestinationProfile")
		return nil
	})
}

// applyProfile overwrites the version that was read and no other, so that a manager that no
// longer leads can't overwrite what a later one has found out.
func (d *domain) applyProfile(ctx context.Context, name string, status v1alpha1.DestinationProfileStatus) error {
	if d.profile.version == "" {
		if err := d.reviewProfile(ctx, name); err != nil {
			return err
		}
	}
	p := &v1alpha1.DestinationProfile{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: d.profile.version}, Status: status}
	u, err := objects.ApplyConfiguration(d.Client, p)
	if err != nil {
		return err
	}
	err = d.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), objects.OwnerCoordinator, client.ForceOwnership)
	if err == nil {
		d.profile.version = u.GetResourceVersion()
		return nil
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		d.profile.version = "" // somebody has deleted it, or written it
	}
	return fmt.Errorf("write the status of DestinationProfile %s: %w", name, err)
}

// reviewProfile makes the profile, or reads the version that is to be overwritten, unless a
// later leader wrote it.
func (d *domain) reviewProfile(ctx context.Context, name string) error {
	p, err := objects.GetOrNil(ctx, d.APIReader, "", name, &v1alpha1.DestinationProfile{})
	if err != nil {
		return err
	}
	if p == nil || p.Spec.Domain != d.name {
		p = &v1alpha1.DestinationProfile{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.DestinationProfileSpec{Domain: d.name}}
		if err := objects.Apply(ctx, d.Client, objects.OwnerCoordinator, p); err != nil {
			return err
		}
		if p, err = objects.GetOrNil(ctx, d.APIReader, "", name, &v1alpha1.DestinationProfile{}); err != nil || p == nil {
			return err
		}
	}
	if epoch := ptr.Deref(p.Status.Epoch, 0); d.isForeign(epoch, &d.profile.foreign) {
		return fmt.Errorf("overwrite DestinationProfile %s: a manager of epoch %d has written it, this one has epoch %d", name, epoch, d.epoch)
	}
	d.profile.version = p.ResourceVersion
	return nil
}
