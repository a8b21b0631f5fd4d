package integration

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

var _ = Describe("A CoordinationPolicy", func() {
	It("holds a transfer of three workers to its limit, suspends it, and lets it go on", func(ctx SpecContext) {
		const limit = 6_000_000
		c := furnish(ctx, "limited", 100, 30, 20, 10)
		p := &v1alpha1.CoordinationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "limited"}, Spec: v1alpha1.CoordinationPolicySpec{
			Match:  v1alpha1.DestinationMatch{Bucket: c.to.Bucket},
			Limits: []v1alpha1.DestinationLimit{{Name: "all", BytesPerSecond: resource.NewQuantity(limit, resource.DecimalSI)}},
		}}
		Expect(ship.Client.Create(ctx, p)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { _ = ship.Client.Delete(ctx, p) })
		begun := time.Now()
		c.start(ctx, nil)
		Eventually(func() v1alpha1.Limit {
			return ptr.Deref(c.transfer(ctx).Status.Coordination, v1alpha1.CoordinationStatus{}).LimitedBy
		}).Should(Equal(v1alpha1.LimitPolicy))

		By("allowing nothing")
		change := func(bytes int64) {
			Expect(ship.Client.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
			p.Spec.Limits[0].BytesPerSecond = resource.NewQuantity(bytes, resource.DecimalSI)
			Expect(ship.Client.Update(ctx, p)).To(Succeed())
		}
		change(0)
		Eventually(func(g Gomega) {
			g.Expect(ship.Client.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
			g.Expect(meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionSuspended)).To(BeTrue())
			var leases v1alpha1.PrefixLeaseList
			g.Expect(ship.Client.List(ctx, &leases, client.InNamespace(c.namespace))).To(Succeed())
			for _, l := range leases.Items {
				g.Expect(ptr.Deref(l.Status.ObservedSequence, 0)).To(Equal(l.Spec.Sequence), "a worker has yet to obey")
				for _, granted := range l.Spec.Prefixes {
					g.Expect(granted.Window).To(HaveValue(BeZero()))
				}
			}
		}).Should(Succeed())
		paused := time.Now()
		var before int64
		Eventually(func() int64 {
			seen := c.finished(ctx)
			time.Sleep(3 * time.Second) // what ended just before is in the status a moment later
			before = c.finished(ctx)
			return before - seen
		}).Should(BeZero())
		Consistently(func() int64 { return c.finished(ctx) }).WithTimeout(5 * time.Second).Should(Equal(before))
		held := time.Since(paused)

		By("allowing as much as before")
		change(limit)
		Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
		tally := c.expectVerified(ctx)
		took := time.Since(begun) - held
		Expect(took.Seconds()).To(BeNumerically(">=", float64(tally.Bytes)/limit/1.02), "more was sent than the policy allows")
	}, SpecTimeout(8*time.Minute))
})
