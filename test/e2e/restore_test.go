//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/cluster/release"
	"cargoship.dev/operator/test/kit/product"
)

// workersUser is who workers run as unless told otherwise.
const workersUser = 65532

// thawing is how long the server in front takes to thaw an object: long enough to be seen.
const thawing = 10 * time.Second

var _ = Describe("A restore by workers on three nodes", func() {
	for _, format := range []v1alpha1.PackingFormat{v1alpha1.PackingTar, v1alpha1.PackingObjects} {
		It("survives the loss of its source, of a worker and of the manager, and a suspension: "+string(format), func(ctx SpecContext) {
			c := furnish(ctx, 600, 12, 17)
			Expect(os.Chmod(filepath.Join(c.dir, "dir-1", "001"), 0o775)).To(Succeed())
			c.start(ctx, func(at *v1alpha1.ArchiveTransfer) {
				at.Spec.Packing.Format = format
				if format == v1alpha1.PackingTar {
					// Each of the large files is an archive of its own.
					at.Spec.Packing.Tar = &v1alpha1.TarPacking{TargetSize: ptr.To(resource.MustParse("16Mi")), LargeFileThreshold: ptr.To(resource.MustParse("64Mi")), Compression: v1alpha1.CompressionNone}
				}
			})
			c.expectComplete(ctx)
			By("deleting the claim that was archived")
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: c.key.Namespace, Name: product.ClaimName}}
			Expect(it.Client.Delete(ctx, claim)).To(Succeed())

			r := c.restoration()
			Expect(it.FurnishTarget(ctx, c.key.Namespace, r.target)).To(Succeed())
			ar := it.Restore(c.key.Namespace, c.key.Name, c.key.Name)
			// One request at a time, so that it can be disturbed.
			ar.Spec.Coordination.Mode = v1alpha1.ModeUncoordinated
			ar.Spec.Coordination.Uncoordinated = v1alpha1.FixedWindows{MaxPrefixes: 1, MaxConcurrentUploads: 1}
			Expect(it.Client.Create(ctx, ar)).To(Succeed())

			Eventually(func() int64 { return r.finished(ctx) }).Should(BeNumerically(">", 0))
			By("suspending it")
			r.suspend(ctx, true)
			Eventually(r.condition(ctx, v1alpha1.ConditionSuspended)).Should(Equal("True/Suspended"))
			Eventually(func() int { return len(r.pods(ctx)) }).Should(BeZero())
			before := r.finished(ctx)
			r.suspend(ctx, false)
			Eventually(func() int { return len(r.pods(ctx)) }).Should(BeNumerically(">", 0))
			By("killing a worker and the managers")
			Expect(it.Cluster.KillPod(string(r.pods(ctx)[0].UID))).To(Succeed())
			mustRun(ctx, it.Kubectl, "delete", "pods", "--namespace", release.System, "--all", "--force", "--grace-period=0")

			Eventually(r.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
			Expect(before).To(BeNumerically("<", r.finished(ctx)), "it was over too soon to be suspended")
			r.expectRestored(ctx, format == v1alpha1.PackingTar)
			c.expectNoLeases(ctx)
			Expect(mustRun(ctx, it.Kubectl, "get", "archiverestores", "--namespace", c.key.Namespace)).To(ContainSubstring("Complete"))
		}, SpecTimeout(6*time.Minute))
	}
})

var _ = Describe("A claim that names a restore from Glacier", func() {
	// There is no provisioner here: a volume that waits for the claim that the restore writes into stands for one.
	It("is bound once everything is thawed and restored", func(ctx SpecContext) {
		Expect(it.Install(ctx, "local", "--set", "volumePopulator.enabled=true")).To(Succeed())
		c := furnish(ctx, 200, 3, 9)
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Packing.Format = v1alpha1.PackingTar })
		c.expectComplete(ctx)
		r := c.restoration()
		ar := it.Restore(c.key.Namespace, c.key.Name, c.key.Name)
		location := c.transfer(ctx).Spec.Destination.Location
		// A server that has all that is archived in an archive storage class.
		location.Endpoint = startLab("--glacier", thawing.String()).endpoint
		ar.Spec.From = v1alpha1.RestoreSource{Location: &location}
		ar.Spec.To = v1alpha1.RestoreTarget{Populator: &v1alpha1.Populator{}}
		ar.Spec.Thaw = &v1alpha1.Thaw{Tier: v1alpha1.ThawExpedited, Days: 1, MaxCost: ptr.To(resource.MustParse("5"))}
		ar.Spec.Workers.Count = 3
		Expect(it.Client.Create(ctx, ar)).To(Succeed())
		Eventually(r.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/" + v1alpha1.ReasonWaitingForClaim))

		Expect(it.FurnishPopulated(ctx, c.key.Namespace, "populated", c.key.Name, r.target)).To(Succeed())
		claim := func() *corev1.PersistentVolumeClaim {
			found := &corev1.PersistentVolumeClaim{}
			Expect(it.Client.Get(ctx, client.ObjectKey{Namespace: c.key.Namespace, Name: "populated"}, found)).To(Succeed())
			return found
		}
		Eventually(r.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("True/" + v1alpha1.ReasonThawing))
		Expect(claim().Status.Phase).To(Equal(corev1.ClaimPending), "the claim was bound before anything was restored")
		Eventually(r.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
		Expect(claim().Status.Phase).To(Equal(corev1.ClaimBound))
		r.expectRestored(ctx, true)
		Eventually(func() bool {
			return apierrors.IsNotFound(it.Client.Get(ctx, client.ObjectKey{Namespace: c.key.Namespace, Name: c.key.Name + "-prime"}, &corev1.PersistentVolumeClaim{}))
		}).Should(BeTrue(), "the claim that was restored into is left over")
	}, SpecTimeout(4*time.Minute))
})

// restoration makes the directory that a restore of the cargo is to write into.
func (c *cargo) restoration() *restoration {
	GinkgoHelper()
	r := &restoration{c, c.dir + "-restored"}
	Expect(os.Mkdir(r.target, 0o755)).To(Succeed())
	DeferCleanup(func() error { return os.RemoveAll(r.target) })
	Expect(os.Chown(r.target, workersUser, workersUser)).To(Succeed())
	return r
}

// expectRestored compares every byte and attribute of what was restored, and the counts.
func (r *restoration) expectRestored(ctx SpecContext, attributes bool) {
	GinkgoHelper()
	tally, err := product.VerifyRestored(r.dir, r.target, attributes)
	Expect(err).NotTo(HaveOccurred())
	p := r.get(ctx).Status.Progress
	Expect([]int64{*p.Done.Files, *p.Done.Bytes}).To(Equal([]int64{int64(tally.Files), tally.Bytes}))
	Expect(mustRun(ctx, "find", r.target, "!", "-user", strconv.Itoa(workersUser))).To(BeEmpty(), "files of other users were made")
}

// restoration is a restore, and where it restores to.
type restoration struct {
	*cargo
	target string
}

func (r *restoration) get(ctx SpecContext) *v1alpha1.ArchiveRestore {
	GinkgoHelper()
	ar := &v1alpha1.ArchiveRestore{}
	Expect(it.Client.Get(ctx, r.key, ar)).To(Succeed())
	return ar
}

func (r *restoration) condition(ctx SpecContext, kind string) func() string {
	return func() string {
		c := meta.FindStatusCondition(r.get(ctx).Status.Conditions, kind)
		if c == nil {
			return ""
		}
		return string(c.Status) + "/" + c.Reason
	}
}

func (r *restoration) finished(ctx SpecContext) int64 {
	if p := r.get(ctx).Status.Progress; p != nil {
		return ptr.Deref(p.ArchivesFinished, 0)
	}
	return 0
}

func (r *restoration) suspend(ctx SpecContext, is bool) {
	GinkgoHelper()
	ar := r.get(ctx)
	patch := client.MergeFrom(ar.DeepCopy())
	ar.Spec.Suspend = ptr.To(is)
	Expect(it.Client.Patch(ctx, ar, patch)).To(Succeed())
}

// pods are the workers of the restore that run.
func (r *restoration) pods(ctx SpecContext) []corev1.Pod {
	GinkgoHelper()
	var running []corev1.Pod
	for _, pod := range r.running(ctx) {
		if strings.HasPrefix(pod.Name, r.key.Name+"-restore-") {
			running = append(running, pod)
		}
	}
	return running
}
