package coordinator

import (
	"context"
	"maps"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// running returns a transfer into a bucket of its own name that runs, and the lease of its worker,
// of a leader with epoch 6, with a window of 8.
func running(t testing.TB, name string) []client.Object {
	t.Helper()
	at := photos()
	at.Name, at.UID, at.Spec.Destination.Bucket, at.Spec.Destination.Endpoint = name, types.UID(name), name, "http://s3"
	at.Status.StartTime = ptr.To(metav1.Now())
	lease := leaseOf(protocol.Grant{
		Worker: protocol.WorkerID("pod-" + name), Transfer: protocol.TransferID(name), Epoch: 6, Sequence: 3, Duration: protocol.DefaultConfig().LeaseDuration,
		Prefixes: []protocol.PrefixGrant{{Prefix: "a", Window: 8}},
	})
	lease.Name, lease.UID, lease.Spec.TransferName = "w-"+name, types.UID("lease-"+name), name
	lease.OwnerReferences = []metav1.OwnerReference{{UID: at.UID, Controller: ptr.To(true)}}
	return []client.Object{at, lease}
}

// keyed returns a policy that gives the transfer's bucket a quota key.
func keyed(bucket, quotaKey string) *v1alpha1.CoordinationPolicy {
	p := &v1alpha1.CoordinationPolicy{Spec: v1alpha1.CoordinationPolicySpec{Match: v1alpha1.DestinationMatch{Bucket: bucket}, QuotaKey: quotaKey}}
	p.Name = bucket
	return p
}

// control is what is under control: of each domain its transfers, and what their workers are charged.
func control(c *Coordinator) (transfers map[string][]string, charged map[string]int) {
	transfers, charged = map[string][]string{}, map[string]int{}
	for name, d := range c.domains {
		if d == nil {
			continue
		}
		for id := range d.claims {
			transfers[name] = append(transfers[name], string(id))
		}
		slices.Sort(transfers[name])
		charged[name] = d.core.LimitClaim().InFlight
	}
	return transfers, charged
}

// ledPart is a coordinator of three transfers whose policies change.
type ledPart struct {
	*Coordinator
	t       *testing.T
	cluster client.WithWatch
	clock   *testingclock.FakeClock
}

func newLedPart(t *testing.T) ledPart {
	t.Helper()
	var objects []client.Object
	for _, name := range []string{"photos", "films", "letters"} {
		objects = append(objects, running(t, name)...)
	}
	// What stands is what the leader of before has granted, whatever is written.
	cluster, clock := interceptor.NewClient(newCluster(t, objects...), interceptor.Funcs{
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			return nil
		},
	}), newClock()
	c := newLeader(t, cluster, clock)
	t.Cleanup(c.endDomains)
	return ledPart{c, t, cluster, clock}
}

// give gives buckets quota keys, and takes all others away.
func (c ledPart) give(keys map[string]string) {
	c.t.Helper()
	if err := c.cluster.DeleteAllOf(c.t.Context(), &v1alpha1.CoordinationPolicy{}); err != nil {
		c.t.Fatal(err)
	}
	for bucket, key := range keys {
		if err := c.cluster.Create(c.t.Context(), keyed(bucket, key)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// tick has the coordinator tick, after which transfers are under control in these domains, which are
// charged what was granted to them.
func (c ledPart) tick(want map[string][]string) {
	c.t.Helper()
	c.clock.Step(gatherInterval)
	if err := c.Tick(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	transfers, charged := control(c.Coordinator)
	if !maps.EqualFunc(transfers, want, slices.Equal) {
		c.t.Fatalf("under control are %v, want %v", transfers, want)
	}
	for name, ids := range want {
		if charged[name] != 8*len(ids) {
			c.t.Errorf("%s is charged %d, want 8 for each of %v", name, charged[name], ids)
		}
	}
}

// A change of keys is a change of leader of those domains alone between which transfers move: what
// was granted is charged in one domain at any time, and replaced by later grants.
func TestAChangeOfKeysIsAChangeOfLeader(t *testing.T) {
	c := newLedPart(t)
	alone := map[string][]string{"s3/photos": {"photos"}, "s3/films": {"films"}, "s3/letters": {"letters"}}
	c.tick(alone)
	for _, step := range []struct {
		keys         map[string]string
		settle, then map[string][]string // what is under control until the others have settled, and after that
	}{
		{map[string]string{"photos": "kms", "films": "kms"},
			map[string][]string{"s3/letters": {"letters"}},
			map[string][]string{"s3/letters": {"letters"}, "quota:kms": {"films", "photos"}}},
		{map[string]string{"photos": "kms", "films": "link"},
			map[string][]string{"s3/letters": {"letters"}},
			map[string][]string{"s3/letters": {"letters"}, "quota:kms": {"photos"}, "quota:link": {"films"}}},
		{map[string]string{"photos": "link", "films": "link", "letters": "link"}, nil, map[string][]string{"quota:link": {"films", "letters", "photos"}}},
		{nil, nil, alone},
	} {
		before, last := maps.Clone(c.domains), c.epoch-1
		c.give(step.keys)
		for range cacheLag / gatherInterval {
			c.tick(step.settle)
		}
		c.tick(step.then)
		for name, d := range c.domains {
			if _, stayed := step.settle[name]; stayed {
				if d != before[name] {
					t.Errorf("%s was begun anew", name)
				}
			} else if d.epoch <= last {
				t.Errorf("%s began with epoch %d, though grants of epoch %d stand", name, d.epoch, last)
			}
		}
	}
}

// What nobody controls at present may be using all of a limit that this domain does not use.
func TestALimitIsHeldForADomainThatIsNotThere(t *testing.T) {
	c := newLeader(t, newCluster(t), newClock())
	d := newDomainOf(t, c)
	limits := protocol.Limits{Pace: protocol.Pace{Bytes: 1000}, InFlight: 10}
	c.domains["d"] = d
	if got := d.core.LimitClaim().Part(limits, protocol.Limits{}, d.others(limits, d.core.LimitClaim())); got != limits {
		t.Errorf("alone it has %+v, want %+v", got, limits)
	}
	c.domains["d#read"] = nil
	if got := d.core.LimitClaim().Part(limits, protocol.Limits{}, d.others(limits, d.core.LimitClaim())); !got.Suspended || got.Pace.Bytes > 1 {
		t.Errorf("of what others may be using it has %+v", got)
	}
}

// A destination that was led together with others begins with what it is known for, not with the
// window that it had before.
func TestASnapshotIsOfThoseWhoHoldGrants(t *testing.T) {
	const path = `{"version":1,"epoch":5,"leaseLifetime":1,"path":{"window":500,"state":"CongestionAvoidance","threshold":32,"profile":{"confidence":1}},"known":{"confidence":1}}`
	for name, test := range map[string]struct {
		epochs []int64 // of the leases
		want   bool    // that the window is taken over
	}{
		"of this leader":                        {[]int64{5}, true},
		"of one before":                         {[]int64{4}, true},
		"of this leader, and one of the others": {[]int64{9, 5}, true},
		"of leaders of all of them":             {[]int64{9, 8}, false},
		"none":                                  {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.DestinationProfile{Spec: v1alpha1.DestinationProfileSpec{Domain: "d"}}
			p.Name = convert.ProfileName("d")
			p.Status = v1alpha1.DestinationProfileStatus{Epoch: ptr.To(int64(5)), Snapshot: path}
			c := newLeader(t, newCluster(t, p), newClock())
			m := &member{leases: map[string]*v1alpha1.PrefixLease{}}
			for i, epoch := range test.epochs {
				m.leases[string(rune('a'+i))] = leaseOf(protocol.Grant{Epoch: epoch})
			}
			s, err := c.readProfile(t.Context(), "d", []*member{m})
			if err != nil || s.Known == nil || (s.Path != nil) != test.want {
				t.Errorf("the snapshot is %+v, error %v", s, err)
			}
		})
	}
}
