package integration

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
	"cargoship.dev/operator/internal/workload"
)

// answer is what `kubectl cargoship explain` says.
func (c *cargo) answer(ctx SpecContext) func() explain.Answer {
	return func() explain.Answer {
		var leases v1alpha1.PrefixLeaseList
		Expect(ship.Client.List(ctx, &leases, client.InNamespace(c.namespace))).To(Succeed())
		return explain.Explain(explain.FromWorkload(workload.Of(c.transfer(ctx))), leases.Items)
	}
}

// says is an answer with a word.
func says(word v1alpha1.Limit) OmegaMatcher {
	return WithTransform(func(a explain.Answer) v1alpha1.Limit { return a.LimitedBy }, Equal(word))
}

// The answers that need a cluster; internal/explain has those that the simulator shows.
var _ = Describe("What limits a transfer", func() {
	It("is explained in each state that it passes through", func(ctx SpecContext) {
		c := furnish(ctx, "explained", 200, 60, 60, 60, 60)
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "none"},
			Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}}}
		Expect(ship.Client.Create(ctx, quota)).To(Succeed())
		// The control plane of the kit has no controller of quotas.
		quota.Status = corev1.ResourceQuotaStatus{Hard: quota.Spec.Hard, Used: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}}
		Expect(ship.Client.Status().Update(ctx, quota)).To(Succeed())
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) {
			slowly(at)
			at.Spec.Workers.Count = 1
			// Nothing enforces it here, and every worker that sends uses more.
			at.Spec.Workers.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2m"), corev1.ResourceMemory: resource.MustParse("512Mi")}
		})
		Eventually(c.answer(ctx)).Should(says(explain.Quota))

		By("letting the pods in")
		Expect(ship.Client.Delete(ctx, quota)).To(Succeed())
		Eventually(c.answer(ctx)).Should(says(v1alpha1.LimitCPU))

		By("suspending it, and then its Job, as a queue does")
		c.suspend(ctx, true)
		Eventually(c.answer(ctx)).Should(says(explain.Suspended))
		Eventually(func() []string { return c.workers(ctx) }).Should(BeEmpty())
		c.suspend(ctx, false)
		Eventually(c.answer(ctx)).Should(says(v1alpha1.LimitCPU))
		c.queue(ctx, true)
		Eventually(c.answer(ctx)).Should(says(explain.Queue))
		c.queue(ctx, false)

		Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
		Expect(c.answer(ctx)()).To(says(explain.Ended))
		c.expectVerified(ctx)
	}, SpecTimeout(10*time.Minute))
})

// suspend sets spec.suspend.
func (c *cargo) suspend(ctx SpecContext, is bool) {
	GinkgoHelper()
	at := c.transfer(ctx)
	patch := client.MergeFrom(at.DeepCopy())
	at.Spec.Suspend = ptr.To(is)
	Expect(ship.Client.Patch(ctx, at, patch)).To(Succeed())
}

// queue suspends or resumes the Job of the workers.
func (c *cargo) queue(ctx SpecContext, is bool) {
	GinkgoHelper()
	var job batchv1.Job
	Expect(ship.Client.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: c.key.Name + "-workers"}, &job)).To(Succeed())
	patch := client.MergeFrom(job.DeepCopy())
	job.Spec.Suspend = ptr.To(is)
	Expect(ship.Client.Patch(ctx, &job, patch)).To(Succeed())
}
