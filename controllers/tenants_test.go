package controllers_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// leaseNames are the leases of the stage's namespace.
func (s *stage) leaseNames(ctx context.Context) func() []string {
	return func() []string {
		var list v1alpha1.PrefixLeaseList
		Expect(api.List(ctx, &list, client.InNamespace(s.namespace))).To(Succeed())
		names := []string{}
		for _, l := range list.Items {
			names = append(names, l.Name)
		}
		return names
	}
}

// intoBucketOf has a transfer write into the bucket of another stage.
func intoBucketOf(s *stage) func(*v1alpha1.ArchiveTransfer) {
	return func(at *v1alpha1.ArchiveTransfer) { at.Spec.Destination.Bucket = s.namespace }
}

var _ = Describe("Tenants of one bucket", func() {
	It("are known by the UIDs of pods and Jobs, not by labels and names", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		a := s.startPlanner(ctx, 8)
		job := s.awaitJob(ctx, "-workers")
		before, err := a.lease(ctx)
		Expect(err).NotTo(HaveOccurred())

		By("running a pod of the same name, labels and owner in another namespace")
		foreign := makeEmptyStage(ctx)
		foreign.startPod(ctx, "w-a", job)
		By("running a pod of a Job that somebody made by hand, with our labels")
		byHand := job.DeepCopy()
		byHand.ObjectMeta = metav1.ObjectMeta{Namespace: s.namespace, Name: "by-hand", Labels: job.Labels}
		byHand.Spec.Selector, byHand.Spec.Template.Labels = nil, nil
		Expect(api.Create(ctx, byHand)).To(Succeed())
		byHand.Spec.Template.Labels = job.Spec.Template.Labels
		s.startPod(ctx, "w-by-hand", byHand)
		By("making a lease with our labels in another namespace")
		Expect(api.Create(ctx, &v1alpha1.PrefixLease{
			ObjectMeta: metav1.ObjectMeta{Namespace: foreign.namespace, Name: "w-x", Labels: before.Labels, OwnerReferences: before.OwnerReferences},
			Spec:       before.Spec,
		})).To(Succeed())
		theirs := &v1alpha1.PrefixLease{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: foreign.namespace, Name: "w-x"}, theirs)).To(Succeed())

		work(ctx, s, 8, a)
		Expect(s.leaseNames(ctx)()).To(Equal([]string{"w-a"}), "a pod that the transfer's Job does not own has a lease")
		Expect(foreign.leaseNames(ctx)()).To(Equal([]string{"w-x"}))
		after, err := a.lease(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(after.UID).To(Equal(before.UID), "the lease of the true worker was replaced")
		Expect(foreign.leaseVersion(ctx, "w-x")).To(Equal(theirs.ResourceVersion), "a lease of another namespace was written")
	})

	It("get on side by side though their transfers and pods have the same names", func(ctx SpecContext) {
		startManager()
		s1 := makeStage(ctx, nil)
		s2 := makeStage(ctx, intoBucketOf(s1))
		a1, a2 := s1.startPuppet(ctx, "photos-workers-0-x"), s2.startPuppet(ctx, "photos-workers-0-x")
		for _, p := range []*puppet{a1, a2} {
			p.report(ctx)
			p.plans(6, "Complete")
			p.report(ctx)
		}
		stop := time.Now().Add(30 * time.Second)
		for finishedArchives(ctx, s1) < 6 || finishedArchives(ctx, s2) < 6 {
			Expect(time.Now()).To(BeTemporally("<", stop), "%d and %d of 6 archives have ended", finishedArchives(ctx, s1), finishedArchives(ctx, s2))
			for _, p := range []*puppet{a1, a2} {
				p.take(ctx)
				p.finish(2)
				p.report(ctx)
			}
			time.Sleep(200 * time.Millisecond)
		}
		finishTransfer(ctx, s1, a1)
		finishTransfer(ctx, s2, a2)
	})
})

var _ = Describe("A lease of somebody else under the name of a worker's pod", func() {
	DescribeTable("is left alone and told of, until it is deleted",
		func(ctx SpecContext, owned bool) {
			startManager()
			s := makeStage(ctx, nil)
			s.startPuppet(ctx, "w-a")
			job := s.awaitJob(ctx, "-workers")
			foreign := &v1alpha1.PrefixLease{}
			Expect(api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: "w-a"}, foreign)).To(Succeed())
			labels, owners := foreign.Labels, foreign.OwnerReferences
			foreign.ObjectMeta = metav1.ObjectMeta{Namespace: s.namespace, Name: "w-b", Labels: labels}
			if owned { // and says that it is of the pod that has one already
				foreign.OwnerReferences = owners
			}
			Expect(api.Create(ctx, foreign)).To(Succeed())

			pod := s.startPod(ctx, "w-b", job)
			Eventually(s.condition(ctx, v1alpha1.ConditionDegraded)).Should(Equal("True/" + v1alpha1.ReasonCoordinationParked))
			Eventually(warnings(ctx, s)).Should(ContainElement(v1alpha1.ReasonCoordinationParked))
			Expect(s.leaseVersion(ctx, "w-b")).To(Equal(foreign.ResourceVersion), "it was written")

			Expect(api.Delete(ctx, foreign)).To(Succeed())
			Eventually(func() (string, error) {
				lease := &v1alpha1.PrefixLease{}
				err := api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: "w-b"}, lease)
				return lease.Spec.PodUID, err
			}).WithTimeout(time.Minute).Should(Equal(string(pod.UID)))
			Eventually(s.condition(ctx, v1alpha1.ConditionDegraded)).Should(Equal("False/" + v1alpha1.ReasonHealthy))
		},
		Entry("with our labels", false),
		Entry("with our labels and owner", true),
	)
})

func (s *stage) leaseVersion(ctx context.Context, name string) string {
	GinkgoHelper()
	lease := &v1alpha1.PrefixLease{}
	Expect(api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, lease)).To(Succeed())
	return lease.ResourceVersion
}

// finishedArchives is how many archives of the transfer have ended by its status.
func finishedArchives(ctx context.Context, s *stage) int64 {
	GinkgoHelper()
	if progress := s.transfer(ctx).Status.Progress; progress != nil {
		return ptr.Deref(progress.ArchivesFinished, 0)
	}
	return 0
}
