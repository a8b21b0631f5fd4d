package controllers_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

func quantity(s string) resource.Quantity { return resource.MustParse(s) }

// workTimeout bounds work. A new leader learns for a whole lease first, which is 30 s.
const workTimeout = 4 * time.Minute

// work moves a puppet on until the transfer has finished n archives.
func work(ctx context.Context, s *stage, n int64, fleet ...*puppet) {
	GinkgoHelper()
	Eventually(func() int64 {
		for _, p := range fleet {
			p.take(ctx)
			done := int64(0)
			if progress := s.transfer(ctx).Status.Progress; progress != nil {
				done = ptr.Deref(progress.ArchivesFinished, 0)
			}
			p.finish(int(max(0, min(2, n-done-int64(len(p.finished))))))
			p.report(ctx)
		}
		if progress := s.transfer(ctx).Status.Progress; progress != nil {
			return ptr.Deref(progress.ArchivesFinished, 0)
		}
		return 0
	}).WithTimeout(workTimeout).WithPolling(300 * time.Millisecond).Should(BeNumerically(">=", n))
}

// close plays the rest of a transfer whose archives have all ended.
func finishTransfer(ctx context.Context, s *stage, fleet ...*puppet) {
	GinkgoHelper()
	for _, p := range fleet {
		Eventually(func() v1alpha1.LeaseMode { return p.take(ctx).Spec.Mode }).Should(Equal(v1alpha1.LeaseDrain))
		p.drained = true
		p.report(ctx)
		p.end(ctx, corev1.PodSucceeded)
	}
	s.completeJob(ctx, "-workers")
	s.completeJob(ctx, "-finish")
	Eventually(s.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
}

var _ = Describe("A transfer", func() {
	It("goes from apply to Complete, and counts every archive once", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		a := s.startPuppet(ctx, "w-a")
		b := s.startPuppet(ctx, "w-b")

		By("leasing the planning duty to exactly one worker")
		planner := a
		Eventually(func() int {
			duties := 0
			for _, p := range []*puppet{a, b} {
				p.report(ctx)
				if p.take(ctx).Spec.Duty == v1alpha1.DutyPlan {
					duties++
					planner = p
				}
			}
			return duties
		}).Should(Equal(1))

		By("assigning archives while planning goes on")
		planner.plans(4, "Running")
		work(ctx, s, 2, a, b)
		Expect(s.condition(ctx, v1alpha1.ConditionProgressing)()).To(Equal("True/Planning"))
		planner.plans(10, "Complete")
		work(ctx, s, 10, a, b)

		at := s.transfer(ctx)
		Expect(*at.Status.Progress.Done.Files).To(Equal(int64(100)))
		Expect(*at.Status.Progress.Done.Bytes).To(Equal(int64(10_000)))
		Expect(*at.Status.Prefixes[0].FinishedArchives).To(Equal("0-9"))
		Expect(at.Status.ChecksumAlgorithm).To(Equal("CRC64NVME"))

		By("draining, finishing and cleaning up")
		finishTransfer(ctx, s, a, b)
		var leases v1alpha1.PrefixLeaseList
		Eventually(func() int {
			Expect(api.List(ctx, &leases, client.InNamespace(s.namespace))).To(Succeed())
			return len(leases.Items)
		}).Should(BeZero(), "leases are left over")
		at = s.transfer(ctx)
		Expect(at.Status.CompletionTime).NotTo(BeNil())
		Expect(*at.Status.ObservedGeneration).To(Equal(at.Generation))
		Expect(*at.Status.Progress.Percent).To(Equal(int32(100)))
	})

	It("continues under another manager, which counts on and takes nothing twice", func(ctx SpecContext) {
		stop := startManager()
		s := makeStage(ctx, nil)
		a := s.startPlanner(ctx, 12)
		work(ctx, s, 5, a)
		before := s.transfer(ctx)
		finished := *before.Status.Progress.ArchivesFinished
		epoch := a.take(ctx).Spec.Epoch

		By("killing the manager")
		stop()
		repeated := a.finished
		startManager()
		Eventually(func() int64 { a.report(ctx); return a.take(ctx).Spec.Epoch }).Should(BeNumerically(">", epoch))
		a.finished = append(repeated, v1alpha1.FinishedArchive{
			Result: v1alpha1.ArchiveFinished,
			Prefix: "a", Number: ptr.To(a.ended[0]), Done: &v1alpha1.Tally{Files: ptr.To(int64(10)), Bytes: ptr.To(int64(1000))}})
		a.report(ctx)
		Consistently(func() int64 { return *s.transfer(ctx).Status.Progress.ArchivesFinished }).
			WithTimeout(2 * time.Second).Should(BeNumerically("<=", finished+int64(len(repeated))))
		work(ctx, s, 12, a)
		at := s.transfer(ctx)
		Expect(*at.Status.Progress.Done.Files).To(Equal(int64(120)), "an archive was counted twice, or not at all")
		Expect(at.Status.StartTime).To(Equal(before.Status.StartTime))
	})

	It("has what was begun resumed, though its manager died while it was suspended", func(ctx SpecContext) {
		stop := startManager()
		s := makeStage(ctx, nil)
		a := s.startPlanner(ctx, 2)
		Eventually(func() int { a.report(ctx); a.take(ctx); return len(a.held) }).Should(Equal(2))
		s.change(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Suspend = ptr.To(true) })
		a.end(ctx, corev1.PodFailed)
		Eventually(func() error { _, err := a.lease(ctx); return err }).Should(MatchError(apierrors.IsNotFound, "IsNotFound"))
		stop()

		startManager()
		s.change(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Suspend = ptr.To(false) })
		b := s.startPuppet(ctx, "w-b")
		Eventually(func(g Gomega) {
			b.report(ctx)
			lease, err := b.lease(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(lease.Spec.Prefixes).To(HaveLen(1))
			g.Expect(lease.Spec.Prefixes[0].Archives).To(HaveLen(2))
			for _, archive := range lease.Spec.Prefixes[0].Archives {
				g.Expect(archive.Attempt).To(BeNumerically(">", 1), "its worker would not look for what is left of it")
			}
		}).Should(Succeed())
	})

	It("gives a killed worker's archives to another", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		a := s.startPlanner(ctx, 6)
		a.report(ctx)
		Eventually(func() int { a.take(ctx); a.report(ctx); return len(a.held) }).Should(BeNumerically(">", 0))
		a.end(ctx, corev1.PodFailed)
		b := s.startPuppet(ctx, "w-b")
		work(ctx, s, 6, b)
		Expect(*s.transfer(ctx).Status.Progress.Done.Files).To(Equal(int64(60)))
		Eventually(func() bool { _, err := a.lease(ctx); return apierrors.IsNotFound(err) }).Should(BeTrue(), "the dead worker's lease is left over")
	})

	It("is as its manager wants it whatever is done to its leases by hand", func(ctx SpecContext) {
		startManager()
		// From its last report on the worker is silent, and its lease must outlast the test.
		s := makeStage(ctx, func(at *v1alpha1.ArchiveTransfer) {
			at.Spec.Coordination.LeaseDuration = metav1.Duration{Duration: 12 * time.Second}
		})
		a := s.startPuppet(ctx, "w-a")
		a.plans(6, "Complete")
		// A lease is renewed while its worker reports, and acknowledges the last
		// report only then.
		var before *v1alpha1.PrefixLease
		Eventually(func() bool {
			a.report(ctx)
			time.Sleep(300 * time.Millisecond)
			before = a.take(ctx)
			return len(before.Spec.Prefixes) == 1 && ptr.Deref(before.Spec.AcknowledgedReport, 0) == a.sequence
		}).WithTimeout(time.Minute).Should(BeTrue())

		By("writing nothing as long as nothing changes")
		Consistently(func() string { lease, _ := a.lease(ctx); return lease.ResourceVersion }).WithTimeout(1200 * time.Millisecond).
			Should(Equal(before.ResourceVersion))

		By("repairing an edited grant")
		edited := before.DeepCopy()
		edited.Spec.Prefixes[0].Window = ptr.To(int32(99999))
		Expect(api.Update(ctx, edited)).To(Succeed())
		Eventually(func() v1alpha1.PrefixLeaseSpec { lease, _ := a.lease(ctx); return lease.Spec }).Should(Equal(before.Spec))

		By("changing grants whatever the worker reports meanwhile")
		talking, silence := context.WithCancel(ctx)
		var talk sync.WaitGroup
		talk.Go(func() {
			for n := 0; talking.Err() == nil; n++ {
				patch := fmt.Sprintf(`{"status":{"uptimeMilliseconds":%d}}`, n)
				_ = api.Status().Patch(talking, before.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)))
			}
		})
		body := `[{"op":"replace","path":"/spec/prefixes/0/window","value":99998}]`
		Expect(api.Patch(ctx, edited, client.RawPatch(types.JSONPatchType, []byte(body)))).To(Succeed())
		Eventually(func() v1alpha1.PrefixLeaseSpec { lease, _ := a.lease(ctx); return lease.Spec }).WithTimeout(10 * time.Second).Should(Equal(before.Spec))
		silence()
		talk.Wait()

		By("making a deleted lease again")
		Expect(api.Delete(ctx, before)).To(Succeed())
		Eventually(func() error { _, err := a.lease(ctx); return err }).Should(Succeed())

		By("dropping a lease whose grant no manager wrote")
		lease, err := a.lease(ctx)
		Expect(err).NotTo(HaveOccurred())
		lease.Spec.Epoch = 1 << 53 // the most that the schema takes
		Expect(api.Update(ctx, lease)).To(Succeed())
		Eventually(func() int64 {
			if lease, err := a.lease(ctx); err == nil {
				return lease.Spec.Epoch
			}
			return 0
		}).Should(Equal(before.Spec.Epoch))
	})

	It("says what blocks its workers, and goes on when they do", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		a := s.startPuppet(ctx, "w-a")
		a.blocked = v1alpha1.ReasonBucketNotFound
		a.report(ctx)
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/BucketNotFound"))
		Eventually(warnings(ctx, s)).Should(ContainElement(v1alpha1.ReasonBucketNotFound))
		a.blocked = ""
		a.report(ctx)
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("True/Planning"))
	})

	It("fails, and says which archive, when more files fail than are tolerated", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		a := s.startHolder(ctx, 1)
		a.finished = []v1alpha1.FinishedArchive{{Result: v1alpha1.ArchiveFinished, Prefix: "a", Number: ptr.To(int64(0)),
			Done: &v1alpha1.Tally{Files: ptr.To(int64(9))}, Failed: &v1alpha1.Tally{Files: ptr.To(int64(1))},
			Reason: "Changed", Message: "reading a/b: it changed"}}
		a.report(ctx)
		Eventually(func() []v1alpha1.ArchiveFailure { return s.transfer(ctx).Status.Failures }).Should(HaveLen(1))
		a.take(ctx)
		Eventually(s.condition(ctx, v1alpha1.ConditionDegraded)).Should(Equal("True/FilesFailed"))
		a.end(ctx, corev1.PodSucceeded)
		s.completeJob(ctx, "-workers")
		s.completeJob(ctx, "-finish")
		Eventually(s.condition(ctx, v1alpha1.ConditionFailed)).Should(Equal("True/FilesFailed"))
		f := s.transfer(ctx).Status.Failures[0]
		Expect(f.Reason).To(Equal("Changed"))
		Expect(f.Message).To(Equal("reading a/b: it changed"))
	})

	DescribeTable("stays stopped by its failure policy, and says why, though more failures are tolerated",
		func(ctx SpecContext, early bool) {
			startManager()
			s := makeStage(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.FailurePolicy.OnFailure = v1alpha1.FailureStop })
			tolerate := func() {
				s.change(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.FailurePolicy.ToleratedFailures = ptr.To(int64(5)) })
			}
			a := s.startHolder(ctx, 3)
			a.finish(1)
			a.finished[0].Done = &v1alpha1.Tally{Files: ptr.To(int64(9)), Bytes: ptr.To(int64(900))}
			a.finished[0].Failed = &v1alpha1.Tally{Files: ptr.To(int64(1)), Bytes: ptr.To(int64(100))}
			a.report(ctx)
			Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("True/Finishing"))
			if early {
				tolerate()
			}
			Eventually(func() v1alpha1.LeaseMode { return a.take(ctx).Spec.Mode }).Should(Equal(v1alpha1.LeaseDrain))
			a.drained = true
			a.report(ctx)
			a.end(ctx, corev1.PodSucceeded)
			s.completeJob(ctx, "-workers")
			Expect(s.awaitJob(ctx, "-finish").Spec.Template.Spec.Containers[0].Args).To(ContainElement("--partial"))
			if !early {
				tolerate()
			}
			s.completeJob(ctx, "-finish")
			Eventually(s.condition(ctx, v1alpha1.ConditionFailed)).Should(Equal("True/FilesFailed"))
			Expect(s.message(ctx, v1alpha1.ConditionFailed)).To(ContainSubstring("stopped"))
		},
		Entry("before its workers have drained", true),
		Entry("once its index is written", false),
	)
})

// warnings are the reasons of the warning events of a transfer.
func warnings(ctx context.Context, s *stage) func() []string {
	return func() []string {
		var list eventsv1.EventList
		Expect(api.List(ctx, &list, client.InNamespace(s.namespace))).To(Succeed())
		var out []string
		for _, e := range list.Items {
			if e.Type == corev1.EventTypeWarning {
				out = append(out, e.Reason)
			}
		}
		return out
	}
}
