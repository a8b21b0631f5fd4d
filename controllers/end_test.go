package controllers_test

import (
	"context"
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/report"
)

// eventsOf counts the events of a transfer with a reason, repetitions included.
func eventsOf(ctx context.Context, s *stage, reason string) func() int {
	return func() int {
		var list eventsv1.EventList
		Expect(api.List(ctx, &list, client.InNamespace(s.namespace))).To(Succeed())
		n := 0
		for _, e := range list.Items {
			if e.Reason == reason {
				n++
				if e.Series != nil {
					n += int(e.Series.Count) - 1
				}
			}
		}
		return n
	}
}

// failFinish plays the kubelet and the Job controller when the finish pod ends with
// an exit code that fails its Job.
func (s *stage) failFinish(ctx context.Context, code int32, message string) {
	GinkgoHelper()
	job := s.awaitJob(ctx, "-finish")
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "finish", Labels: job.Spec.Template.Labels},
		Spec: corev1.PodSpec{NodeName: "node", RestartPolicy: corev1.RestartPolicyNever, ServiceAccountName: "default",
			Containers: []corev1.Container{{Name: "worker", Image: "worker:test"}}},
	}
	Expect(controllerutil.SetControllerReference(job, pod, scheme)).To(Succeed())
	Expect(api.Create(ctx, pod)).To(Succeed())
	pod.Status.Phase = corev1.PodFailed
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "worker", State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: message}}}}
	Expect(api.Status().Update(ctx, pod)).To(Succeed())
	now := metav1.Now()
	job.Status.StartTime, job.Status.Failed = &now, 1
	for _, kind := range []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now, Reason: batchv1.JobReasonPodFailurePolicy})
	}
	job.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	Expect(api.Status().Update(ctx, job)).To(Succeed())
}

var _ = Describe("A transfer that has ended", func() {
	It("shows mean throughput and duration, no state of control, and is announced once", func(ctx SpecContext) {
		stop := startManager()
		s := makeStage(ctx, nil)
		a := s.startPlanner(ctx, 4)
		work(ctx, s, 4, a)
		finishTransfer(ctx, s, a)
		Eventually(func(g Gomega) {
			at := s.transfer(ctx).Status
			g.Expect(at.Duration).NotTo(BeEmpty())
			g.Expect(at.Progress.Throughput).NotTo(Equal("0 B/s"))
			g.Expect(*at.Progress.BytesPerSecond).To(BeNumerically(">", 0))
			g.Expect(at.EstimatedCompletionTime).To(BeNil())
			g.Expect(at.Coordination.State).To(BeEmpty())
			g.Expect(at.Coordination.Window).To(BeNil())
			g.Expect(at.Prefixes[0].Window).To(BeNil())
			g.Expect(*at.Progress.Done.Files).To(Equal(int64(40)))
		}).Should(Succeed())
		Eventually(eventsOf(ctx, s, v1alpha1.ReasonComplete)).Should(Equal(1))
		By("restarting the manager")
		stop()
		startManager()
		s.change(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Workers.Count = 3 })
		Consistently(eventsOf(ctx, s, v1alpha1.ReasonComplete)).WithTimeout(3 * time.Second).Should(Equal(1))
		at := s.transfer(ctx).Status
		Expect(at.Coordination.State).To(BeEmpty())
		Expect(at.Progress.Throughput).NotTo(Equal("0 B/s"))
	})

	It("has failed when the last pod counts something else, with its words", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		a := s.startPlanner(ctx, 1)
		work(ctx, s, 1, a)
		a.end(ctx, corev1.PodSucceeded)
		s.completeJob(ctx, "-workers")
		args := s.awaitJob(ctx, "-finish").Spec.Template.Spec.Containers[0].Args
		Expect(args).To(ContainElements("--expect-planned=10/1000", "--expect-done=10/1000", "--expect-failed=0/0", "--expect-skipped=0/0"))
		Expect(args).NotTo(ContainElement("--partial"))
		s.failFinish(ctx, 3, "10/1000 planned, the inventory lists 9/900\n")
		Eventually(s.condition(ctx, v1alpha1.ConditionFailed)).Should(Equal("True/CountsDiffer"))
		Expect(s.condition(ctx, v1alpha1.ConditionComplete)()).To(Equal("False/CountsDiffer"))
		for _, c := range s.transfer(ctx).Status.Conditions {
			if c.Type == v1alpha1.ConditionFailed {
				Expect(c.Message).To(ContainSubstring(`"10/1000 planned, the inventory lists 9/900\n"`))
			}
		}
		Eventually(eventsOf(ctx, s, v1alpha1.ReasonCountsDiffer)).Should(Equal(1))
	})

	It("has the last pod told what was sent, through a change of managers", func(ctx SpecContext) {
		stop := startManager()
		s := makeStage(ctx, nil)
		a := s.startPlanner(ctx, 8)
		a.sends = true
		work(ctx, s, 3, a)
		stop()
		By("sending on while there is no manager")
		a.take(ctx)
		a.finish(1)
		a.report(ctx)
		startManager()
		work(ctx, s, 8, a)
		a.end(ctx, corev1.PodSucceeded)
		s.completeJob(ctx, "-workers")
		var told v1alpha1.ArchiveTransfer
		for _, e := range s.awaitJob(ctx, "-finish").Spec.Template.Spec.Containers[0].Env {
			if e.Name == v1alpha1.WorkerConfigEnv {
				Expect(json.Unmarshal([]byte(e.Value), &told)).To(Succeed())
			}
		}
		sent := report.ByWorkers(told.Status.Sending)
		Expect(sent).NotTo(BeNil())
		n := int64(len(a.ended)) // some twice: a puppet takes up what it has ended, but is still assigned
		Expect([]int64{sent.Bytes, sent.Requests, sent.Throttled, sent.Failed}).To(Equal([]int64{1000 * n, n + 1, 1, 0}))
		Expect(sent.ThrottledPrefixes).To(Equal([]report.ThrottledPrefix{{Name: "a", Throttled: 1}}))
	})

	DescribeTable("says when nothing was selected",
		func(ctx SpecContext, policy v1alpha1.NothingSelectedAction, include []string, want string) {
			startManager()
			s := makeStage(ctx, func(at *v1alpha1.ArchiveTransfer) {
				at.Spec.Source.Include, at.Spec.FailurePolicy.OnNothingSelected = include, policy
			})
			a := s.startPlanner(ctx, 0)
			a.plan.Prefixes[0].Archives = ptr.To(int64(0))
			a.report(ctx)
			Eventually(s.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("True/Finishing"))
			a.end(ctx, corev1.PodSucceeded)
			s.completeJob(ctx, "-workers")
			s.completeJob(ctx, "-finish")
			Eventually(s.condition(ctx, want)).Should(Equal("True/NothingSelected"))
			Eventually(warnings(ctx, s)).Should(ContainElement(v1alpha1.ReasonNothingSelected))
		},
		Entry("by patterns, which fails", v1alpha1.NothingSelectedAction(""), []string{"*.jpgg"}, v1alpha1.ConditionFailed),
		Entry("of an empty source, which is complete", v1alpha1.NothingSelectedAction(""), nil, v1alpha1.ConditionComplete),
		Entry("by patterns that may", v1alpha1.NothingSelectedCompletes, []string{"*.jpgg"}, v1alpha1.ConditionComplete),
	)
})
