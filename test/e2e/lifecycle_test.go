//go:build e2e

package e2e

import (
	"os"
	"time"

	"github.com/minio/minio-go/v7"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

const (
	// queueLabel is what Kueue finds the Jobs of a queue by.
	queueLabel = "kueue.x-k8s.io/queue-name"
	// idle is less than any part of a file, in bytes: the farewells of connections.
	idle = 32 << 10
)

var _ = Describe("A transfer that is interfered with", func() {
	It("frees the network within two seconds when suspended, and sends no finished part again", func(ctx SpecContext) {
		c := furnish(ctx, 0, 2, 64)
		slowly(ctx)
		begin := c.received(ctx)
		// Among several workers an archive may move, and what is in flight of it is lost.
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Workers.Count = 1 })
		Eventually(func() int64 { return c.stored(ctx) }).Should(BeNumerically(">", 30<<20))
		c.suspend(ctx, true)
		Expect(c.busy(ctx)).To(BeNumerically("<=", 2*time.Second), "the network was not free two seconds after the suspension")
		Eventually(c.condition(ctx, v1alpha1.ConditionSuspended)).Should(Equal("True/Suspended"))
		Eventually(func() int { return len(c.workers(ctx)) }).Should(BeZero())
		before, sent := c.stored(ctx), c.received(ctx)
		Expect(before).To(BeNumerically("<", 120<<20), "the transfer was over too soon to be suspended")

		c.suspend(ctx, false)
		c.expectComplete(ctx)
		c.expectVerified(ctx)
		missing, again := c.stored(ctx)-before, c.received(ctx)-sent
		GinkgoWriter.Printf("%d bytes stood at the suspension, for which %d were sent; %d of the %d missing were sent then\n", before, sent-begin, again, missing)
		// Headers, and the retries of a slow path, are far less than one part.
		Expect(again).To(BeNumerically("<", missing+missing/50+4<<20), "finished parts were sent again")
	}, SpecTimeout(4*time.Minute))

	It("takes workers in and lets workers go", func(ctx SpecContext) {
		c := furnish(ctx, 40, 8, 17)
		slowly(ctx)
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Workers.Count = 1 })
		c.underWay(ctx)
		c.change(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Workers.Count = 4 })
		Eventually(func() int32 { return ptr.Deref(c.transfer(ctx).Status.Workers.Leased, 0) }).Should(Equal(int32(4)))
		c.change(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Workers.Count = 2 })
		Eventually(func() int { return len(c.running(ctx)) }).Should(Equal(2))
		Expect(c.condition(ctx, v1alpha1.ConditionComplete)()).To(HavePrefix("False"), "it was over before it was scaled down")
		c.expectComplete(ctx)
		c.expectVerified(ctx)
	}, SpecTimeout(4*time.Minute))

	It("moves on when a node is drained, and counts no failure", func(ctx SpecContext) {
		c := furnish(ctx, 40, 8, 17)
		slowly(ctx)
		c.start(ctx, nil)
		c.underWay(ctx)
		node := c.running(ctx)[0].Spec.NodeName
		DeferCleanup(func(ctx SpecContext) { mustRun(ctx, it.Kubectl, "uncordon", node) })
		mustRun(ctx, it.Kubectl, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s",
			"--pod-selector="+v1alpha1.LabelRole+"="+v1alpha1.RoleWorker)
		for _, pod := range c.running(ctx) {
			Expect(pod.Spec.NodeName).NotTo(Equal(node))
		}
		c.expectComplete(ctx)
		c.expectVerified(ctx)
		Expect(*c.transfer(ctx).Status.Workers.Failed).To(BeZero())
	}, SpecTimeout(4*time.Minute))

	It("names the quota that refuses its workers, and starts once it is raised", func(ctx SpecContext) {
		c := furnish(ctx, 20, 1, 17)
		quota := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: c.key.Namespace, Name: "few"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
		}
		Expect(it.Client.Create(ctx, quota)).To(Succeed())
		Eventually(func() corev1.ResourceList {
			Expect(it.Client.Get(ctx, client.ObjectKeyFromObject(quota), quota)).To(Succeed())
			return quota.Status.Hard
		}).ShouldNot(BeEmpty())
		c.start(ctx, nil)
		Eventually(c.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/" + v1alpha1.ReasonPodsRejected))
		Expect(c.message(ctx, v1alpha1.ConditionProgressing)).To(ContainSubstring("exceeded quota: few"))
		Expect(it.Client.Delete(ctx, quota)).To(Succeed())
		c.expectComplete(ctx)
		c.expectVerified(ctx)
	}, SpecTimeout(4*time.Minute))

	It("names the image that can't be pulled, and goes at once when it is deleted", func(ctx SpecContext) {
		c := furnish(ctx, 5, 0, 0)
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) {
			// Nobody listens there.
			at.Spec.Workers.Image = "192.0.2.1:1/cargoship/worker:missing"
		})
		Eventually(c.condition(ctx, v1alpha1.ConditionProgressing)).Should(MatchRegexp("^False/(ErrImagePull|ImagePullBackOff)$"))
		Expect(c.objects(ctx)).To(BeZero())
		Expect(it.Client.Delete(ctx, c.transfer(ctx))).To(Succeed())
		Eventually(c.gone(ctx)).WithTimeout(time.Minute).Should(BeTrue(), "the transfer is not gone")
		c.expectNoLeases(ctx)
	}, SpecTimeout(2*time.Minute))

	It("waits for a claim to be bound", func(ctx SpecContext) {
		c := furnish(ctx, 20, 1, 17)
		claim := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: c.key.Namespace, Name: "later"},
			Spec: corev1.PersistentVolumeClaimSpec{
				StorageClassName: ptr.To(""), VolumeName: c.key.Namespace + "-later",
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
		}
		Expect(it.Client.Create(ctx, claim)).To(Succeed())
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Source.PersistentVolumeClaim.ClaimName = claim.Name })
		Eventually(c.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/Unschedulable"))
		Expect(c.message(ctx, v1alpha1.ConditionProgressing)).To(ContainSubstring("PersistentVolumeClaim"))
		volume := &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: claim.Spec.VolumeName},
			Spec: corev1.PersistentVolumeSpec{
				Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				AccessModes:            claim.Spec.AccessModes,
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: c.dir}},
			},
		}
		Expect(it.Client.Create(ctx, volume)).To(Succeed())
		c.expectComplete(ctx)
		c.expectVerified(ctx)
	}, SpecTimeout(4*time.Minute))

	It("waits in a job queue, and is deleted when its time to live is over", func(ctx SpecContext) {
		c := furnish(ctx, 20, 1, 17)
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) {
			at.Spec.Workers.JobLabels = map[string]v1alpha1.LabelValue{queueLabel: "nightly"}
			at.Spec.TTLSecondsAfterFinished = ptr.To(int32(5))
			at.Spec.Suspend = ptr.To(true)
		})
		job := &batchv1.Job{}
		read := func() error {
			return it.Client.Get(ctx, client.ObjectKey{Namespace: c.key.Namespace, Name: c.key.Name + "-workers"}, job)
		}
		Eventually(c.condition(ctx, v1alpha1.ConditionSuspended)).Should(Equal("True/Suspended"))
		Expect(apierrors.IsNotFound(read())).To(BeTrue(), "a suspended transfer has asked the queue for workers")
		c.suspend(ctx, false)
		Eventually(read).Should(Succeed())
		Expect(job.Labels).To(HaveKeyWithValue(queueLabel, "nightly"))
		Eventually(c.gone(ctx)).Should(BeTrue(), "the transfer outlives its time to live")
		c.expectNoLeases(ctx)
		_, err := it.Verify(ctx, c.dir, c.to)
		Expect(err).NotTo(HaveOccurred())
	}, SpecTimeout(4*time.Minute))

	It("goes with its namespace", func(ctx SpecContext) {
		c := furnish(ctx, 60, 8, 17)
		slowly(ctx)
		c.start(ctx, nil)
		c.underWay(ctx)
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.key.Namespace}}
		Expect(it.Client.Delete(ctx, namespace)).To(Succeed())
		Eventually(func() bool {
			return apierrors.IsNotFound(it.Client.Get(ctx, client.ObjectKeyFromObject(namespace), namespace))
		}).Should(BeTrue(), "the namespace is not gone")
		c.expectWhole(ctx)
	}, SpecTimeout(4*time.Minute))
})

// change changes the transfer's spec.
func (c *cargo) change(ctx SpecContext, change func(*v1alpha1.ArchiveTransfer)) {
	GinkgoHelper()
	at := c.transfer(ctx)
	patch := client.MergeFrom(at.DeepCopy())
	change(at)
	Expect(it.Client.Patch(ctx, at, patch)).To(Succeed())
}

// received is how many bytes have come to the S3 server from workers.
func (c *cargo) received(ctx SpecContext) int64 {
	GinkgoHelper()
	n, err := it.Cluster.S3Received(ctx)
	Expect(err).NotTo(HaveOccurred())
	return n
}

// busy watches the network for a few seconds, and returns how long it was in use.
func (c *cargo) busy(ctx SpecContext) time.Duration {
	GinkgoHelper()
	const watched, step = 5 * time.Second, 100 * time.Millisecond
	begun, last, used := time.Now(), c.received(ctx), time.Duration(0)
	for time.Since(begun) < watched {
		time.Sleep(step)
		before := time.Since(begun)
		if now := c.received(ctx); now-last > idle {
			used, last = before, now
		}
	}
	GinkgoWriter.Printf("the network was in use for %v after the suspension\n", used)
	return used
}

// stored sums what stands in the bucket: objects, and the parts of open uploads.
func (c *cargo) stored(ctx SpecContext) (bytes int64) {
	GinkgoHelper()
	store, err := it.Store.Client()
	Expect(err).NotTo(HaveOccurred())
	for object := range store.ListObjectsIter(ctx, c.to.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		Expect(object.Err).NotTo(HaveOccurred())
		bytes += object.Size
	}
	core := minio.Core{Client: store}
	for upload := range store.ListIncompleteUploads(ctx, c.to.Bucket, "", true) {
		Expect(upload.Err).NotTo(HaveOccurred())
		parts, err := core.ListObjectParts(ctx, c.to.Bucket, upload.Key, upload.UploadID, 0, 1000)
		if minio.ToErrorResponse(err).Code == minio.NoSuchUpload {
			continue // it was completed a moment ago
		}
		Expect(err).NotTo(HaveOccurred())
		for _, part := range parts.ObjectParts {
			bytes += part.Size
		}
	}
	return bytes
}

// message is the message of a condition.
func (c *cargo) message(ctx SpecContext, kind string) string {
	GinkgoHelper()
	for _, condition := range c.transfer(ctx).Status.Conditions {
		if condition.Type == kind {
			return condition.Message
		}
	}
	return ""
}

func (c *cargo) gone(ctx SpecContext) func() bool {
	return func() bool {
		return apierrors.IsNotFound(it.Client.Get(ctx, c.key, &v1alpha1.ArchiveTransfer{}))
	}
}

// expectWhole expects of every object of a transfer that did not end that it is a
// whole file.
func (c *cargo) expectWhole(ctx SpecContext) {
	GinkgoHelper()
	store, err := it.Store.Client()
	Expect(err).NotTo(HaveOccurred())
	prefix := c.to.Prefix + "/dir-"
	for object := range store.ListObjectsIter(ctx, c.to.Bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		Expect(object.Err).NotTo(HaveOccurred())
		info, err := os.Stat(c.dir + "/" + object.Key[len(c.to.Prefix)+1:])
		Expect(err).NotTo(HaveOccurred())
		Expect(object.Size).To(Equal(info.Size()), object.Key)
	}
}
