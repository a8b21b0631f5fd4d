package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
	"cargoship.dev/operator/internal/workload"
)

var _ = Describe("What limits a transfer", func() {
	It("is recorded in the word that the command line gives, and not after the end", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		a := s.startPuppet(ctx, "w-a")
		a.report(ctx)
		a.plans(2, "Complete")
		a.report(ctx)
		Eventually(func() int { a.take(ctx); a.report(ctx); return len(a.held) }).Should(Equal(2))
		for by, want := range map[v1alpha1.Bottleneck]v1alpha1.Limit{
			v1alpha1.LimitedBySource: v1alpha1.LimitSource,
			// The puppet has memory for 16 requests, which it is granted.
			v1alpha1.LimitedByWindow: v1alpha1.LimitMemory,
		} {
			Eventually(func() v1alpha1.Limit {
				Expect(a.lie(ctx, func(status *v1alpha1.PrefixLeaseStatus) {
					status.Prefixes = []v1alpha1.PrefixReport{{Name: "a", MaxInFlight: ptr.To(int32(1)), LimitedBy: by}}
				})).To(Succeed())
				return s.transfer(ctx).Status.Coordination.LimitedBy
			}).Should(Equal(want))
			var leases v1alpha1.PrefixLeaseList
			Expect(api.List(ctx, &leases, client.InNamespace(s.namespace))).To(Succeed())
			Expect(explain.Limit(explain.FromWorkload(workload.Of(s.transfer(ctx))), leases.Items)).To(Equal(want))
		}
		work(ctx, s, 2, a)
		finishTransfer(ctx, s, a)
		Eventually(func() v1alpha1.Limit { return s.transfer(ctx).Status.Coordination.LimitedBy }).Should(BeEmpty())
	})
})
