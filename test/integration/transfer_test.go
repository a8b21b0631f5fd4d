package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
	"cargoship.dev/operator/test/kit/loopback"
)

// slowly keeps a transfer busy long enough to be disturbed.
func slowly(at *v1alpha1.ArchiveTransfer) {
	at.Spec.Coordination.Mode = v1alpha1.ModeUncoordinated
	at.Spec.Coordination.Uncoordinated = v1alpha1.FixedWindows{MaxPrefixes: 1, MaxConcurrentUploads: 1}
}

var _ = Describe("A transfer with three workers", func() {
	for _, mode := range []v1alpha1.CoordinationMode{v1alpha1.ModeCoordinated, v1alpha1.ModeUncoordinated} {
		It(fmt.Sprintf("survives the death of a worker and of the manager (%s)", mode), func(ctx SpecContext) {
			c := furnish(ctx, "killed-"+strings.ToLower(string(mode)), 600, 40, 30, 50, 40, 30, 40)
			c.start(ctx, func(at *v1alpha1.ArchiveTransfer) {
				if mode == v1alpha1.ModeUncoordinated {
					slowly(at)
				}
			})
			By("waiting until large uploads are under way")
			Eventually(func() []string { return c.openUploads(ctx) }).WithPolling(10 * time.Millisecond).ShouldNot(BeEmpty())

			By("killing a worker that holds archives")
			c.kill(c.holder(ctx))
			By("killing the manager")
			Expect(ship.KillManager()).To(Succeed())
			Expect(c.condition(ctx, v1alpha1.ConditionComplete)()).To(Equal("False/"+c.progressing(ctx)), "the transfer was over too soon to be disturbed")
			time.Sleep(time.Second)
			Expect(ship.StartManager(ctx)).To(Succeed())

			Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
			tally := c.expectVerified(ctx)
			at := c.transfer(ctx)
			Expect(*at.Status.Progress.Done.Files).To(Equal(int64(tally.Files)), "files were counted twice, or not at all")
			Expect(*at.Status.Progress.Done.Bytes).To(Equal(tally.Bytes))
			Expect(*at.Status.Progress.ArchivesFinished).To(Equal(*at.Status.Progress.ArchivesPlanned))
			Expect(*at.Status.Coordination.Epoch).To(BeNumerically(">", 1), "the second manager did not begin an epoch of its own")
			Expect(*at.Status.Workers.Failed).To(BeNumerically(">=", 1))
		}, SpecTimeout(8*time.Minute))
	}

	It("is held by its budget until that is raised", func(ctx SpecContext) {
		c := furnish(ctx, "budget", 300)
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) {
			at.Spec.Budget = &v1alpha1.Budget{MaxCost: ptr.To(resource.MustParse("0"))}
		})
		Eventually(c.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/" + v1alpha1.ReasonBudgetExceeded))
		Expect(c.answer(ctx)()).To(says(explain.Budget))
		message := meta.FindStatusCondition(c.transfer(ctx).Status.Conditions, v1alpha1.ConditionProgressing).Message
		Expect(message).To(MatchRegexp(`31\d objects in STANDARD for 12 months cost about 0.01 USD`))
		var events eventsv1.EventList
		Eventually(func() []string {
			Expect(ship.Client.List(ctx, &events, client.InNamespace(c.namespace))).To(Succeed())
			var reasons []string
			for _, e := range events.Items {
				reasons = append(reasons, e.Type+" "+e.Reason)
			}
			return reasons
		}).Should(ContainElement("Warning " + v1alpha1.ReasonBudgetExceeded))
		Consistently(func() []string { return c.data(ctx) }).WithTimeout(3 * time.Second).Should(BeEmpty())

		at := c.transfer(ctx)
		at.Spec.Budget.MaxCost = ptr.To(resource.MustParse("0.01"))
		Expect(ship.Client.Update(ctx, at)).To(Succeed())
		Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
		c.expectVerified(ctx)
	}, SpecTimeout(8*time.Minute))

	It("continues a plan that died with its worker", func(ctx SpecContext) {
		c := furnish(ctx, "planner", 3000)
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Workers.Count = 1 })
		Eventually(func() int { return len(c.workers(ctx)) }).Should(Equal(1))
		c.kill(c.workers(ctx)[0])
		Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
		Expect(c.expectVerified(ctx).Files).To(Equal(3000))
	}, SpecTimeout(8*time.Minute))
})

// progressing is the reason of the condition Progressing.
func (c *cargo) progressing(ctx SpecContext) string {
	_, reason, _ := strings.Cut(c.condition(ctx, v1alpha1.ConditionProgressing)(), "/")
	return reason
}

// holder names a worker that has archives assigned.
func (c *cargo) holder(ctx SpecContext) string {
	GinkgoHelper()
	var holder string
	Eventually(func() string {
		var leases v1alpha1.PrefixLeaseList
		Expect(ship.Client.List(ctx, &leases, client.InNamespace(c.namespace))).To(Succeed())
		for _, l := range leases.Items {
			for _, p := range l.Spec.Prefixes {
				if _, running := ship.Agent.PID(c.namespace, l.Name, v1alpha1.WorkerContainer); running && len(p.Archives) > 0 {
					holder = l.Name
				}
			}
		}
		return holder
	}).WithPolling(10*time.Millisecond).ShouldNot(BeEmpty(), "no worker holds an archive")
	return holder
}

var _ = Describe("What stands in the way", func() {
	It("is named, and when it is mended the transfer goes on: a missing bucket", func(ctx SpecContext) {
		c := furnish(ctx, "bucketless", 20)
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Destination.Bucket = "not-there-yet" })
		Eventually(c.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/BucketNotFound"))
		Expect(c.answer(ctx)()).To(says(explain.Blocked))
		makeBucket(ctx, "not-there-yet")
		Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
		c.to.Bucket = "not-there-yet"
		c.expectVerified(ctx)
	}, SpecTimeout(8*time.Minute))

	It("is named, and when it is mended the transfer goes on: wrong credentials", func(ctx SpecContext) {
		c := furnish(ctx, "mistyped", 20)
		secret := &corev1.Secret{}
		key := client.ObjectKey{Namespace: c.namespace, Name: "archive-credentials"}
		Expect(ship.Client.Get(ctx, key, secret)).To(Succeed())
		right := secret.Data[v1alpha1.SecretKeySecretAccessKey]
		secret.Data[v1alpha1.SecretKeySecretAccessKey] = []byte("wrong")
		Expect(ship.Client.Update(ctx, secret)).To(Succeed())
		c.start(ctx, nil)
		Eventually(c.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/CredentialsRejected"))
		Expect(c.transfer(ctx).Status.Progress.Failed.Files).To(HaveValue(BeZero()), "a wrong key made files fail")
		secret.Data[v1alpha1.SecretKeySecretAccessKey] = right
		Expect(ship.Client.Update(ctx, secret)).To(Succeed())
		Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
		c.expectVerified(ctx)
	}, SpecTimeout(8*time.Minute))

	It("is named: an endpoint that nobody answers at", func(ctx SpecContext) {
		c := furnish(ctx, "unreachable", 5)
		address, release, err := loopback.Reserve()
		Expect(err).NotTo(HaveOccurred())
		defer release()
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Destination.Endpoint = "http://" + address })
		Eventually(c.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/EndpointUnreachable"))
	}, SpecTimeout(8*time.Minute))
})

var _ = Describe("Odd files", func() {
	It("are recorded with a reason, and the others are archived", func(ctx SpecContext) {
		c := furnish(ctx, "odd", 30)
		at := func(name string) string { return filepath.Join(c.dir, name) }
		Expect(os.WriteFile(at("empty"), nil, 0o644)).To(Succeed())
		Expect(os.MkdirAll(at("hollow/deep/down"), 0o755)).To(Succeed())
		Expect(os.Symlink("nowhere", at("dangling"))).To(Succeed())
		socket, err := net.Listen("unix", at("s"))
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = socket.Close() }()
		Expect(os.WriteFile(at("not-utf8-\xff\xfe"), []byte("x"), 0o644)).To(Succeed())
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Workers.Count = 1 })

		Eventually(c.condition(ctx, v1alpha1.ConditionFailed)).Should(Equal("True/FilesFailed"))
		s := c.transfer(ctx).Status
		Expect(s.Progress.Done.Files).To(HaveValue(Equal(int64(31))))
		Expect(s.Progress.Failed.Files).To(HaveValue(Equal(int64(1))))
		Expect(s.Progress.Skipped.Files).To(HaveValue(Equal(int64(2))))
		Expect(s.Failures).To(HaveLen(1))
		Expect(s.Failures[0].Reason).To(Equal("NameNotUTF8"))

		By("verifying that exactly the others stand")
		Expect(os.Remove(at("not-utf8-\xff\xfe"))).To(Succeed())
		Expect(c.expectVerified(ctx).Files).To(Equal(31))
	}, SpecTimeout(8*time.Minute))

	It("fail without failing the transfer, as far as they are tolerated", func(ctx SpecContext) {
		c := furnish(ctx, "tolerant", 10)
		Expect(os.WriteFile(filepath.Join(c.dir, "\xff"), []byte("x"), 0o644)).To(Succeed())
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) {
			at.Spec.Workers.Count = 1
			at.Spec.FailurePolicy.ToleratedFailures = ptr.To(int64(1))
		})
		Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
		Expect(c.condition(ctx, v1alpha1.ConditionDegraded)()).To(Equal("True/FilesFailed"))
	}, SpecTimeout(8*time.Minute))
})

var _ = Describe("A running transfer", func() {
	It("that is deleted leaves no upload and no worker behind", func(ctx SpecContext) {
		c := furnish(ctx, "deleted", 50, 100, 100, 100, 100)
		c.start(ctx, slowly)
		Eventually(func() []string { return c.openUploads(ctx) }).WithPolling(10 * time.Millisecond).ShouldNot(BeEmpty())
		c.kill(c.holder(ctx))
		Expect(ship.Client.Delete(ctx, c.transfer(ctx))).To(Succeed())
		Eventually(func() bool {
			return apierrors.IsNotFound(ship.Client.Get(ctx, c.key, &v1alpha1.ArchiveTransfer{}))
		}).Should(BeTrue())
		Expect(c.openUploads(ctx)).To(BeEmpty())
		Eventually(func() []string { return c.workers(ctx) }).Should(BeEmpty())
	}, SpecTimeout(8*time.Minute))

	It("that is suspended frees the network, and goes on where it was", func(ctx SpecContext) {
		c := furnish(ctx, "suspended", 200, 60, 60, 60, 60)
		c.start(ctx, slowly)
		Eventually(func() int64 { return c.finished(ctx) }).Should(BeNumerically(">", 0))
		c.suspend(ctx, true)
		Eventually(c.condition(ctx, v1alpha1.ConditionSuspended)).Should(Equal("True/Suspended"))
		Eventually(func() []string { return c.workers(ctx) }).Should(BeEmpty())
		before := c.finished(ctx)
		c.suspend(ctx, false)
		Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
		Expect(before).To(BeNumerically("<", c.finished(ctx)), "the transfer was over too soon to be suspended")
		Expect(c.openUploads(ctx)).To(BeEmpty(), "uploads that the suspended workers had begun are still open")
		c.expectVerified(ctx)
	}, SpecTimeout(8*time.Minute))
})
