package controllers_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
)

// makePolicy makes a policy for a bucket, which is deleted with the test.
func makePolicy(ctx SpecContext, name, bucket string, limits ...v1alpha1.DestinationLimit) *v1alpha1.CoordinationPolicy {
	GinkgoHelper()
	p := &v1alpha1.CoordinationPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.CoordinationPolicySpec{
		Match: v1alpha1.DestinationMatch{Bucket: bucket}, Limits: limits,
	}}
	Expect(api.Create(ctx, p)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { _ = api.Delete(ctx, p) })
	return p
}

func bytesLimit(name, quantity string) v1alpha1.DestinationLimit {
	return v1alpha1.DestinationLimit{Name: name, BytesPerSecond: ptr.To(resource.MustParse(quantity))}
}

// ready gives the condition Ready of a policy as STATUS/REASON.
func ready(ctx SpecContext, name string) func() string {
	return func() string {
		var p v1alpha1.CoordinationPolicy
		if err := api.Get(ctx, client.ObjectKey{Name: name}, &p); err != nil {
			return err.Error()
		}
		c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil || ptr.Deref(p.Status.ObservedGeneration, 0) != p.Generation {
			return ""
		}
		return fmt.Sprintf("%s/%s", c.Status, c.Reason)
	}
}

// paces sums what the leases of a namespace allow by policy, in bytes per second; -1 if one has no bound.
func paces(ctx SpecContext, namespace string) func() int64 {
	return func() int64 {
		var leases v1alpha1.PrefixLeaseList
		Expect(api.List(ctx, &leases, client.InNamespace(namespace))).To(Succeed())
		sum := int64(0)
		for _, l := range leases.Items {
			if l.Spec.BytesPerSecond == 0 {
				return -1
			}
			sum += l.Spec.BytesPerSecond
		}
		return sum
	}
}

var _ = Describe("A CoordinationPolicy", func() {
	It("tells what is in force and until when, and says so when that changes", func(ctx SpecContext) {
		startManager()
		in := time.Now().UTC().Truncate(time.Minute)
		p := makePolicy(ctx, "scheduled", "scheduled-bucket", bytesLimit("always", "100M"), v1alpha1.DestinationLimit{
			Name: "today", RequestsPerSecond: ptr.To(int32(50)),
			Schedule: &v1alpha1.LimitSchedule{From: in.Add(-time.Hour).Format("15:04"), To: in.Add(time.Hour).Format("15:04")},
		})
		Eventually(ready(ctx, p.Name)).Should(Equal("True/InForce"))
		Expect(api.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
		now := p.Status.InForce
		Expect(now.Limits).To(ConsistOf("always", "today"))
		Expect(now.BytesPerSecond.String()).To(Equal("100M"))
		Expect(now.RequestsPerSecond).To(HaveValue(BeEquivalentTo(50)))
		Expect(now.Until.Time).To(BeTemporally("==", in.Add(time.Hour)))

		p.Spec.Limits = p.Spec.Limits[:1]
		Expect(api.Update(ctx, p)).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(api.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
			g.Expect(p.Status.InForce.RequestsPerSecond).To(BeNil())
			g.Expect(p.Status.InForce.Until).To(BeNil())
			var events eventsv1.EventList
			g.Expect(api.List(ctx, &events)).To(Succeed())
			var notes []string
			for _, e := range events.Items {
				if e.Regarding.Name == p.Name && e.Reason == v1alpha1.ReasonLimitsChanged {
					notes = append(notes, e.Note)
				}
			}
			g.Expect(notes).To(ContainElement("in force now: at most 100M bytes per second"))
		}).Should(Succeed())
	})

	It("names an unknown zone, whose limit then holds always", func(ctx SpecContext) {
		startManager()
		p := makePolicy(ctx, "atlantis", "atlantis-bucket", v1alpha1.DestinationLimit{
			Name: "never", RequestsInFlight: ptr.To(int32(7)),
			Schedule: &v1alpha1.LimitSchedule{From: "08:00", To: "18:00", TimeZone: "Europe/Atlantis"},
		})
		Eventually(ready(ctx, p.Name)).Should(Equal("False/UnknownTimeZone"))
		Expect(api.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
		Expect(p.Status.InForce.RequestsInFlight).To(HaveValue(BeEquivalentTo(7)))
	})

	It("that is as specific as another is not ready, nor is the other, until one is gone", func(ctx SpecContext) {
		startManager()
		one := makePolicy(ctx, "one", "shared-bucket", bytesLimit("a", "10M"))
		other := makePolicy(ctx, "other", "shared-bucket", bytesLimit("a", "20M"))
		for _, p := range []*v1alpha1.CoordinationPolicy{one, other} {
			Eventually(ready(ctx, p.Name)).Should(Equal("False/PoliciesContradict"))
		}
		Expect(api.Delete(ctx, other)).To(Succeed())
		Eventually(ready(ctx, one.Name)).Should(Equal("True/InForce"))
	})

	It("bounds what all leases allow together, switches, and suspends", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		bucket := s.transfer(ctx).Spec.Destination.Bucket
		p := makePolicy(ctx, "bounding", bucket, bytesLimit("all", "10M"))
		a := s.startPuppet(ctx, "w-a")
		a.report(ctx)
		a.plans(40, "Complete")
		a.report(ctx)
		b := s.startPuppet(ctx, "w-b")
		b.report(ctx)
		move := func() {
			for _, w := range []*puppet{a, b} {
				w.take(ctx)
				w.report(ctx)
			}
		}
		sum := paces(ctx, s.namespace)
		Eventually(func() int64 { move(); return sum() }).Should(BeNumerically("~", 10_000_000, 100_000))
		Consistently(func() int64 { move(); return sum() }).WithTimeout(3 * time.Second).Should(BeNumerically("<=", 10_200_000))

		By("allowing more")
		Expect(api.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
		p.Spec.Limits[0] = bytesLimit("all", "30M")
		Expect(api.Update(ctx, p)).To(Succeed())
		Eventually(func() int64 { move(); return sum() }).Should(BeNumerically("~", 30_000_000, 300_000))

		By("allowing nothing")
		Expect(api.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
		p.Spec.Limits[0] = bytesLimit("all", "0")
		Expect(api.Update(ctx, p)).To(Succeed())
		Eventually(func(g Gomega) {
			move()
			var leases v1alpha1.PrefixLeaseList
			g.Expect(api.List(ctx, &leases, client.InNamespace(s.namespace))).To(Succeed())
			for _, l := range leases.Items {
				for _, granted := range l.Spec.Prefixes {
					g.Expect(granted.Window).To(HaveValue(BeZero()))
				}
			}
			g.Expect(s.transfer(ctx).Status.Coordination.LimitedBy).To(Equal(v1alpha1.LimitPolicy))
			g.Expect(api.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
			g.Expect(meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionSuspended)).To(BeTrue())
			g.Expect(p.Status.Destinations).To(HaveLen(1))
		}).Should(Succeed())

		By("allowing anything")
		Expect(api.Delete(ctx, p)).To(Succeed())
		Eventually(func() int64 { move(); return sum() }).Should(BeEquivalentTo(-1))
	})

	It("that denies a namespace holds what runs there and lets nothing begin, until it is lifted", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		a := s.startPuppet(ctx, "w-a")
		a.report(ctx)
		a.plans(40, "Complete")
		windows := func() (sum int32) {
			a.report(ctx)
			a.take(ctx)
			var leases v1alpha1.PrefixLeaseList
			Expect(api.List(ctx, &leases, client.InNamespace(s.namespace))).To(Succeed())
			for _, l := range leases.Items {
				for _, granted := range l.Spec.Prefixes {
					sum += *granted.Window
				}
			}
			return sum
		}
		Eventually(windows).Should(BeNumerically(">", 0))
		p := &v1alpha1.CoordinationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "denying"}, Spec: v1alpha1.CoordinationPolicySpec{
			Match:      v1alpha1.DestinationMatch{Bucket: s.transfer(ctx).Spec.Destination.Bucket},
			Namespaces: []v1alpha1.NamespaceShare{{Name: s.namespace, Access: v1alpha1.AccessDenied}},
		}}
		Expect(api.Create(ctx, p)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { _ = api.Delete(ctx, p) })
		Eventually(windows).Should(BeZero())
		Eventually(func() string {
			a.report(ctx)
			c := meta.FindStatusCondition(s.transfer(ctx).Status.Conditions, v1alpha1.ConditionDegraded)
			return fmt.Sprintf("%s/%s", c.Status, c.Reason)
		}).Should(Equal("True/NamespaceDenied"))
		Expect(s.transfer(ctx).Status.Coordination.LimitedBy).To(Equal(v1alpha1.LimitPolicy))

		other := s.transfer(ctx).DeepCopy()
		other.ObjectMeta = metav1.ObjectMeta{Namespace: s.namespace, Name: "later"}
		other.Status = v1alpha1.ArchiveTransferStatus{}
		Expect(api.Create(ctx, other)).To(Succeed())
		Eventually(func() string {
			Expect(api.Get(ctx, client.ObjectKeyFromObject(other), other)).To(Succeed())
			if c := meta.FindStatusCondition(other.Status.Conditions, v1alpha1.ConditionProgressing); c != nil {
				return fmt.Sprintf("%s/%s", c.Status, c.Reason)
			}
			return ""
		}).Should(Equal("False/NamespaceDenied"))

		Expect(api.Delete(ctx, p)).To(Succeed())
		Eventually(windows).Should(BeNumerically(">", 0))
	})
})

// knownWindow is the window of a transfer's destination once its coordinator has taken control.
func knownWindow(ctx SpecContext, s *stage, a *puppet) func() int32 {
	return func() int32 {
		a.report(ctx)
		a.take(ctx)
		c := s.transfer(ctx).Status.Coordination
		if c == nil {
			return 0
		}
		return ptr.Deref(c.Window, 0)
	}
}

var _ = Describe("A DestinationProfile", func() {
	for name, c := range map[string]struct {
		status func() v1alpha1.DestinationProfileStatus
		want   int32
	}{
		"lets a transfer begin with what the destination is known for": {func() v1alpha1.DestinationProfileStatus {
			return profileOf(`{"version":1,"epoch":1,"leaseLifetime":1,"known":{"baseLatency":100000000,"requestRate":10000,"confidence":1}}`, time.Now())
		}, 124},
		"of a month ago is hardly trusted": {func() v1alpha1.DestinationProfileStatus {
			return profileOf(`{"version":1,"epoch":1,"leaseLifetime":1,"known":{"baseLatency":100000000,"requestRate":10000,"confidence":1}}`, time.Now().AddDate(0, -1, 0))
		}, 32},
		"of the future is not trusted": {func() v1alpha1.DestinationProfileStatus {
			return profileOf(`{"version":1,"epoch":1,"leaseLifetime":1,"known":{"baseLatency":100000000,"requestRate":10000,"confidence":1}}`, time.Now().AddDate(1, 0, 0))
		}, 32},
		"of absurd values is bounded": {func() v1alpha1.DestinationProfileStatus {
			return profileOf(`{"version":1,"epoch":1,"leaseLifetime":1,"known":{"baseLatency":9000000000000000000,"requestRate":1e300,"confidence":1e9}}`, time.Now())
		}, 256},
		"of another version is not read": {func() v1alpha1.DestinationProfileStatus {
			return profileOf(`{"version":99,"known":{"baseLatency":100000000,"requestRate":10000,"confidence":1}}`, time.Now())
		}, 32},
	} {
		It(name, func(ctx SpecContext) {
			s := makeStage(ctx, nil)
			domain := convert.Domain(s.transfer(ctx).Spec.Destination.Location)
			p := &v1alpha1.DestinationProfile{ObjectMeta: metav1.ObjectMeta{Name: convert.ProfileName(domain)}, Spec: v1alpha1.DestinationProfileSpec{Domain: domain}}
			// Another test has all profiles rejected, which outlasts it by a little.
			Eventually(func() error { return api.Create(ctx, p) }).Should(Succeed())
			DeferCleanup(func(ctx SpecContext) { _ = api.Delete(ctx, p) })
			Eventually(func() error { p.Status = c.status(); return api.Status().Update(ctx, p) }).Should(Succeed())
			startManager()
			a := s.startPuppet(ctx, "w-a")
			a.report(ctx)
			a.plans(40, "Complete")
			Eventually(knownWindow(ctx, s, a)).Should(BeNumerically("~", c.want, 1))
		})
	}
})

func profileOf(snapshot string, at time.Time) v1alpha1.DestinationProfileStatus {
	return v1alpha1.DestinationProfileStatus{Epoch: ptr.To(int64(1)), Snapshot: snapshot, UpdateTime: ptr.To(metav1.NewTime(at))}
}
