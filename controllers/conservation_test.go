package controllers_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
)

// closeTransfer plays the end of the workers and of the last pod.
func closeTransfer(ctx context.Context, s *stage, p *puppet) {
	GinkgoHelper()
	Eventually(func() v1alpha1.LeaseMode { return p.take(ctx).Spec.Mode }).Should(Equal(v1alpha1.LeaseDrain))
	p.drained = true
	p.report(ctx)
	p.end(ctx, corev1.PodSucceeded)
	s.completeJob(ctx, "-workers")
	s.completeJob(ctx, "-finish")
}

// lie writes a report as the puppet would, but for what change makes of it.
func (p *puppet) lie(ctx context.Context, change func(*v1alpha1.PrefixLeaseStatus)) error {
	GinkgoHelper()
	p.sequence++
	return retry.RetryOnConflict(retry.DefaultRetry, func() error { // the manager may write a grant meanwhile
		lease, err := p.lease(ctx)
		Expect(err).NotTo(HaveOccurred())
		lease.Status.ReportSequence = ptr.To(p.sequence)
		lease.Status.ObservedEpoch, lease.Status.ObservedSequence = ptr.To(lease.Spec.Epoch), ptr.To(lease.Spec.Sequence)
		change(&lease.Status)
		return api.Status().Update(ctx, lease)
	})
}

var _ = Describe("The counts of a transfer", func() {
	It("have every file of an archive failed that used up its attempts, also under the next manager", func(ctx SpecContext) {
		stop := startManager()
		s := makeStage(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.FailurePolicy.AttemptsPerArchive = 1 })
		a := s.startHolder(ctx, 3)
		delete(a.held, "a/1")
		a.finished = append(a.finished, v1alpha1.FinishedArchive{
			Prefix: "a", Number: ptr.To(int64(1)), Result: v1alpha1.ArchiveRetry, Reason: "Reset", Message: "connection reset",
			Done: &v1alpha1.Tally{Files: ptr.To(int64(4)), Bytes: ptr.To(int64(400))}, Failed: &v1alpha1.Tally{Files: ptr.To(int64(6)), Bytes: ptr.To(int64(600))}})
		a.report(ctx)
		Eventually(func() int64 {
			if prefixes := s.transfer(ctx).Status.Prefixes; len(prefixes) > 0 {
				return ptr.Deref(prefixes[0].ExhaustedArchives, 0)
			}
			return 0
		}).Should(Equal(int64(1)))
		Expect(*s.transfer(ctx).Status.Progress.Failed.Files).To(Equal(int64(1)), "an archive holds one file at least")

		stop()
		startManager()
		work(ctx, s, 3, a)
		p := s.transfer(ctx).Status.Progress
		Expect([]int64{*p.Done.Files, *p.Failed.Files, *p.Failed.Bytes}).To(Equal([]int64{20, 10, 1000}))
		closeTransfer(ctx, s, a)
		Eventually(s.condition(ctx, v1alpha1.ConditionFailed)).Should(Equal("True/FilesFailed"))
	})

	It("are never Complete when they do not add up", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		a := s.startHolder(ctx, 1)
		a.finish(1)
		*a.finished[0].Done.Files = 9
		a.report(ctx)
		closeTransfer(ctx, s, a)
		Eventually(s.condition(ctx, v1alpha1.ConditionFailed)).Should(Equal("True/CountsDiffer"))
		Expect(s.condition(ctx, v1alpha1.ConditionComplete)()).To(Equal("False/CountsDiffer"))
	})

	It("hold a plan only of the worker that was given the duty, within bounds", func(ctx SpecContext) {
		startManager()
		// The duty would be another's if the lease of the one who has it ran out.
		s := makeStage(ctx, func(at *v1alpha1.ArchiveTransfer) {
			at.Spec.Coordination.LeaseDuration = metav1.Duration{Duration: time.Minute}
		})
		a := s.startPuppet(ctx, "w-a")
		Eventually(func() v1alpha1.Duty { a.report(ctx); return a.take(ctx).Spec.Duty }).Should(Equal(v1alpha1.DutyPlan))
		b := s.startPuppet(ctx, "w-b")
		b.report(ctx)
		planning := func() string {
			if p := s.transfer(ctx).Status.Progress; p != nil {
				return p.Planning
			}
			return ""
		}
		Eventually(planning).Should(Equal("Running"))
		complete := &v1alpha1.PlanReport{State: "Complete"}

		By("rejecting one of a worker without the duty, whatever grant it claims to act on")
		Expect(b.lie(ctx, func(r *v1alpha1.PrefixLeaseStatus) { r.Plan = complete })).To(Succeed())
		Consistently(planning).WithTimeout(2 * time.Second).Should(Equal("Running"))
		Expect(b.lie(ctx, func(r *v1alpha1.PrefixLeaseStatus) { r.Plan, r.ObservedSequence = complete, ptr.To(int64(999_999)) })).To(Succeed())
		Consistently(planning).WithTimeout(2 * time.Second).Should(Equal("Running"))
		Expect(s.condition(ctx, v1alpha1.ConditionProgressing)()).NotTo(Equal("True/Finishing"))

		By("rejecting one beyond the bounds, and taking the largest")
		tell := func(archives int64) error {
			return a.lie(ctx, func(r *v1alpha1.PrefixLeaseStatus) {
				r.Plan = &v1alpha1.PlanReport{State: "Running", Prefixes: []v1alpha1.PlannedPrefix{{
					Name: "a", Archives: ptr.To(archives), Files: ptr.To(int64(100_000_000_000)), Bytes: ptr.To(int64(1 << 53))}}}
			})
		}
		Expect(tell(9e18)).To(MatchError(apierrors.IsInvalid, "IsInvalid"))
		Expect(tell(100_000_000)).To(Succeed())
		Eventually(func() int64 { return *s.transfer(ctx).Status.Progress.ArchivesPlanned }).Should(Equal(int64(100_000_000)))
	})
})
