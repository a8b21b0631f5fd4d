package controllers_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

var _ = Describe("A precondition", func() {
	It("that does not hold is named, and starts the transfer when it is fixed", func(ctx SpecContext) {
		startManager()
		s := makeEmptyStage(ctx)
		s.createTransfer(ctx, nil)
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/PersistentVolumeClaimNotFound"))
		Eventually(warnings(ctx, s)).Should(ContainElement(v1alpha1.ReasonClaimNotFound))
		s.createClaim(ctx)
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/SecretNotFound"))
		_, err := s.job(ctx, "-workers")
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "workers were started without credentials")
		s.createSecret(ctx)
		s.awaitJob(ctx, "-workers")
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("True/WorkersPending"))
	})

	It("is a metric of a restore that waits for it, and of none that is gone", func(ctx SpecContext) {
		startManager()
		s := makeEmptyStage(ctx)
		ar := &v1alpha1.ArchiveRestore{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "held"},
			Spec: v1alpha1.ArchiveRestoreSpec{
				From: v1alpha1.RestoreSource{TransferRef: &v1alpha1.TransferReference{Name: "nowhere"}},
				To:   v1alpha1.RestoreTarget{PersistentVolumeClaim: v1alpha1.ClaimSource{ClaimName: "data"}},
			},
		}
		Expect(api.Create(ctx, ar)).To(Succeed())
		series := func(name, label, value string) func() float64 {
			return func() float64 { return seriesOf(name, map[string]string{"restore": "held", label: value}) }
		}
		Eventually(series("cargoship_restore_condition", "condition", v1alpha1.ConditionStalled)).Should(Equal(1.))
		Expect(series("cargoship_restore_reason", "reason", v1alpha1.ReasonTransferNotFound)()).To(Equal(1.))
		Expect(api.Delete(ctx, ar)).To(Succeed())
		Eventually(series("cargoship_restore_condition", "condition", v1alpha1.ConditionStalled)).Should(Equal(-1.))
	})

	It("is the cluster's when it rejects the workers' pods", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		job := s.awaitJob(ctx, "-workers")
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("True/WorkersPending"))
		// As the Job controller tells it.
		Expect(api.Create(ctx, &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: s.namespace, Name: "rejected"},
			InvolvedObject: corev1.ObjectReference{Kind: "Job", Namespace: s.namespace, Name: job.Name, UID: job.UID},
			Reason:         "FailedCreate", Message: "exceeded quota: few", Type: corev1.EventTypeWarning,
			LastTimestamp: metav1.Now(),
		})).To(Succeed())
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/PodsRejected"))
		By("creating them at last")
		s.startPuppet(ctx, "w-a").report(ctx)
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(HavePrefix("True/"))
	})

	It("rejects a hostPath that the administrator has not allowed", func(ctx SpecContext) {
		startManager()
		s := makeEmptyStage(ctx)
		s.createTransfer(ctx, func(at *v1alpha1.ArchiveTransfer) {
			at.Spec.Source = v1alpha1.Source{HostPath: &v1alpha1.HostPathSource{Path: "/etc"}}
		})
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/HostPathNotAllowed"))
	})

	It("does not take somebody else's Job for its own", func(ctx SpecContext) {
		startManager()
		s := makeEmptyStage(ctx)
		s.createClaim(ctx)
		s.createSecret(ctx)
		Expect(api.Create(ctx, &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "photos-workers"},
			Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}}}}},
		})).To(Succeed())
		s.createTransfer(ctx, nil)
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/NameTaken"))
	})
})

var _ = Describe("The workers' Job", func() {
	It("is restricted, read-only and keeps secrets out of the API", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		job := s.awaitJob(ctx, "-workers")
		Expect(*job.Spec.CompletionMode).To(Equal(batchv1.IndexedCompletion))
		Expect(*job.Spec.Parallelism).To(Equal(int32(2)))
		pod := job.Spec.Template.Spec
		Expect(pod.ServiceAccountName).To(Equal("cargoship-worker"))
		Expect(*pod.SecurityContext.RunAsNonRoot).To(BeTrue())
		container := pod.Containers[0]
		Expect(*container.SecurityContext.ReadOnlyRootFilesystem).To(BeTrue())
		Expect(container.SecurityContext.Capabilities.Drop).To(ConsistOf(corev1.Capability("ALL")))
		for _, m := range container.VolumeMounts {
			Expect(m.ReadOnly).To(BeTrue(), "mount %s is writable", m.Name)
		}
		text := job.String()
		Expect(strings.Contains(text, "top-secret")).To(BeFalse(), "the credentials stand in the Job")
	})

	It("follows suspend, scale and resume", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		s.awaitJob(ctx, "-workers")
		set := func(change func(*v1alpha1.ArchiveTransfer)) { s.change(ctx, change) }
		suspend := func() bool { job, _ := s.job(ctx, "-workers"); return ptr.Deref(job.Spec.Suspend, false) }

		set(func(at *v1alpha1.ArchiveTransfer) { at.Spec.Suspend = ptr.To(true) })
		Eventually(suspend).Should(BeTrue())
		Eventually(s.condition(ctx, v1alpha1.ConditionSuspended)).Should(Equal("True/Suspended"))
		set(func(at *v1alpha1.ArchiveTransfer) { at.Spec.Suspend, at.Spec.Workers.Count = ptr.To(false), 5 })
		Eventually(suspend).Should(BeFalse())
		Eventually(func() int32 { job, _ := s.job(ctx, "-workers"); return ptr.Deref(job.Spec.Parallelism, 0) }).Should(Equal(int32(5)))

		By("leaving a Job alone that a job queue has suspended")
		job := s.awaitJob(ctx, "-workers")
		patch := client.MergeFrom(job.DeepCopy())
		job.Spec.Suspend = ptr.To(true)
		Expect(api.Patch(ctx, job, patch)).To(Succeed())
		Eventually(s.condition(ctx, v1alpha1.ConditionSuspended)).Should(Equal("True/Suspended"))
		Consistently(suspend).WithTimeout(2 * time.Second).Should(BeTrue())
	})
})

var _ = Describe("Deleting a transfer", func() {
	It("aborts open uploads first when it runs", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		a := s.startPuppet(ctx, "w-a")
		a.report(ctx)
		Eventually(func() string { return s.transfer(ctx).Status.ChecksumAlgorithm }).ShouldNot(BeEmpty())
		Expect(api.Delete(ctx, s.transfer(ctx))).To(Succeed())
		Consistently(func() error { _, err := s.job(ctx, "-abort"); return err }).WithTimeout(time.Second).
			Should(MatchError(apierrors.IsNotFound, "IsNotFound"), "uploads are aborted while a worker still sends")
		a.end(ctx, corev1.PodFailed)
		job := s.awaitJob(ctx, "-abort")
		Expect(job.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--abort"))
		Expect(s.transfer(ctx).Finalizers).To(ContainElement(v1alpha1.Finalizer))
		s.completeJob(ctx, "-abort")
		Eventually(func() error { return api.Get(ctx, s.key, &v1alpha1.ArchiveTransfer{}) }).
			Should(MatchError(apierrors.IsNotFound, "IsNotFound"))
	})

	It("needs no aborting pod when no worker was ever given an archive", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		s.startPuppet(ctx, "w-a").end(ctx, corev1.PodFailed)
		Expect(api.Delete(ctx, s.transfer(ctx))).To(Succeed())
		Eventually(func() error { return api.Get(ctx, s.key, &v1alpha1.ArchiveTransfer{}) }).
			Should(MatchError(apierrors.IsNotFound, "IsNotFound"))
	})

	It("takes the workers' Job away first when the namespace goes", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		a := s.startPuppet(ctx, "w-a")
		pod := &corev1.Pod{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: s.key.Namespace, Name: "w-a"}, pod)).To(Succeed())
		// As the Job controller keeps a pod until its index has another.
		pod.Finalizers = []string{batchv1.JobTrackingFinalizer}
		Expect(api.Update(ctx, pod)).To(Succeed())
		Expect(api.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.key.Namespace}})).To(Succeed())
		_, err := s.job(ctx, "-workers")
		Expect(err).NotTo(HaveOccurred(), "the Job went before any pod did")
		Expect(api.Delete(ctx, pod)).To(Succeed())
		a.end(ctx, corev1.PodFailed)
		Eventually(func() error { _, err := s.job(ctx, "-workers"); return err }).Should(MatchError(apierrors.IsNotFound, "IsNotFound"))
	})

	It("happens by itself when its time to live is over", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.TTLSecondsAfterFinished = ptr.To(int32(1)) })
		a := s.startPlanner(ctx, 0)
		a.report(ctx)
		Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("True/Finishing"))
		a.end(ctx, corev1.PodSucceeded)
		s.completeJob(ctx, "-workers")
		s.completeJob(ctx, "-finish")
		Eventually(func() error { return api.Get(ctx, s.key, &v1alpha1.ArchiveTransfer{}) }).
			Should(MatchError(apierrors.IsNotFound, "IsNotFound"))
	})
})

// seriesOf is the value of an exported gauge with such labels, -1 if there is none.
func seriesOf(name string, labels map[string]string) float64 {
	GinkgoHelper()
	families, err := exported.Gather()
	Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		for _, m := range family.GetMetric() {
			found := 0
			for _, l := range m.GetLabel() {
				if labels[l.GetName()] == l.GetValue() {
					found++
				}
			}
			if family.GetName() == name && found == len(labels) {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}
