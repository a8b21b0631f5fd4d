package controllers_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/lifecycle"
)

// labeledJob makes a Job by hand, with the labels of one of the transfer's own.
func (s *stage) labeledJob(ctx context.Context, suffix, role string, change func(*batchv1.Job)) *batchv1.Job {
	GinkgoHelper()
	at := s.transfer(ctx)
	labels := map[string]string{
		v1alpha1.LabelTransfer: at.Name, v1alpha1.LabelTransferUID: string(at.UID), v1alpha1.LabelRole: role,
	}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.key.Name + suffix, Labels: labels},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}}}}},
	}
	if change != nil {
		change(job)
	}
	Expect(api.Create(ctx, job)).To(Succeed())
	return job
}

// labeledPod makes a running pod by hand, controlled by a Job.
func (s *stage) labeledPod(ctx context.Context, job *batchv1.Job) {
	GinkgoHelper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "by-hand", Labels: job.Spec.Template.Labels},
		Spec: corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "worker", Image: "worker:test"}},
			ServiceAccountName: "default"},
	}
	Expect(controllerutil.SetControllerReference(job, pod, scheme)).To(Succeed())
	Expect(api.Create(ctx, pod)).To(Succeed())
	pod.Status.Phase = corev1.PodRunning
	Expect(api.Status().Update(ctx, pod)).To(Succeed())
}

var _ = Describe("A transfer whose source is not allowed", func() {
	sources := map[string]v1alpha1.Source{
		"HostPathNotAllowed": {HostPath: &v1alpha1.HostPathSource{Path: "/etc"}},
		"NFSNotAllowed":      {NFS: &v1alpha1.NFSSource{Server: "files.example.com", Path: "/home"}},
	}
	DescribeTable("stays held whatever Jobs and pods are made by hand",
		func(ctx SpecContext, reason string, claimed bool) {
			startManager()
			s := makeEmptyStage(ctx)
			s.createSecret(ctx)
			s.createTransfer(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Source = sources[reason] })
			Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/" + reason))

			job := s.labeledJob(ctx, "-workers", v1alpha1.RoleWorker, func(job *batchv1.Job) {
				if claimed {
					Expect(controllerutil.SetControllerReference(s.transfer(ctx), job, scheme)).To(Succeed())
				}
			})
			s.labeledPod(ctx, job)
			Consistently(func(g Gomega) {
				at := s.transfer(ctx)
				g.Expect(at.Status.StartTime).To(BeNil(), "the transfer counts as started")
				g.Expect(at.Status.ChecksumAlgorithm).To(BeEmpty())
				var leases v1alpha1.PrefixLeaseList
				g.Expect(api.List(ctx, &leases, client.InNamespace(s.namespace))).To(Succeed())
				g.Expect(leases.Items).To(BeEmpty(), "a pod made by hand was given a lease")
			}).WithTimeout(3 * time.Second).Should(Succeed())
			Expect(s.condition(ctx, v1alpha1.ConditionProgressing)()).To(Equal("False/" + reason))

			Expect(api.Delete(ctx, s.transfer(ctx))).To(Succeed())
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "by-hand"}}
			Expect(api.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
			Eventually(func() error { return api.Get(ctx, s.key, &v1alpha1.ArchiveTransfer{}) }).
				Should(MatchError(apierrors.IsNotFound, "IsNotFound"))
			_, err := s.job(ctx, "-abort")
			Expect(apierrors.IsNotFound(err)).To(BeTrue(), "a Job was made for a transfer that was never allowed")
			if !claimed {
				there, err := s.job(ctx, "-workers")
				Expect(err).NotTo(HaveOccurred(), "somebody else's Job was deleted")
				Expect(there.DeletionTimestamp).To(BeNil())
			}
		},
		Entry("hostPath, a Job with our labels", "HostPathNotAllowed", false),
		Entry("hostPath, a Job that also claims to be the transfer's", "HostPathNotAllowed", true),
		Entry("nfs, a Job with our labels", "NFSNotAllowed", false),
		Entry("nfs, a Job that also claims to be the transfer's", "NFSNotAllowed", true),
	)
})

var _ = Describe("A source that is allowed no longer", func() {
	It("stops the workers, and goes on when it is allowed again", func(ctx SpecContext) {
		nfs := lifecycle.AllowedSources{NFS: true}
		stop := startManager(nfs)
		s := makeEmptyStage(ctx)
		s.createSecret(ctx)
		s.createTransfer(ctx, func(at *v1alpha1.ArchiveTransfer) {
			at.Spec.Source = v1alpha1.Source{NFS: &v1alpha1.NFSSource{Server: "files.example.com", Path: "/home"}}
		})
		suspended := func() bool { return ptr.Deref(s.awaitJob(ctx, "-workers").Spec.Suspend, false) }
		Expect(s.awaitJob(ctx, "-workers").Spec.Template.Spec.Volumes).To(ContainElement(HaveField("NFS", Not(BeNil()))))
		Expect(suspended()).To(BeFalse())
		stop()
		stop = startManager()
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/NFSNotAllowed"))
		Eventually(suspended).Should(BeTrue())
		stop()
		startManager(nfs)
		Eventually(suspended).Should(BeFalse())
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("True/WorkersPending"))
	})
})

var _ = Describe("A Job of the same name and labels", func() {
	It("is no workers' Job unless the transfer controls it", func(ctx SpecContext) {
		startManager()
		s := makeEmptyStage(ctx)
		s.createTransfer(ctx, nil)
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/PersistentVolumeClaimNotFound"))
		foreign := s.labeledJob(ctx, "-workers", v1alpha1.RoleWorker, nil)
		s.createClaim(ctx)
		s.createSecret(ctx)
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/NameTaken"))
		By("going on once it is gone")
		Expect(api.Delete(ctx, foreign, client.PropagationPolicy("Background"))).To(Succeed())
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("True/WorkersPending"))
	})

	It("does not finish a transfer, nor is it deleted", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		foreign := s.labeledJob(ctx, "-finish", v1alpha1.RoleFinisher, nil)
		s.completeJob(ctx, "-finish")
		a := s.startPlanner(ctx, 1)
		work(ctx, s, 1, a)
		a.end(ctx, corev1.PodSucceeded)
		s.completeJob(ctx, "-workers")
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/NameTaken"))
		there, err := s.job(ctx, "-finish")
		Expect(err).NotTo(HaveOccurred())
		Expect(there.UID).To(Equal(foreign.UID))
		Expect(s.condition(ctx, v1alpha1.ConditionComplete)()).To(HavePrefix("False/"))
	})
})
