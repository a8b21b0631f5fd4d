package integration

import (
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/lab"
	"cargoship.dev/operator/test/kit/product"
)

// restored is a restore of a cargo into a directory.
type restored struct {
	*cargo
	target string
}

// archive archives the cargo, and makes a claim to restore it into.
func (c *cargo) archive(ctx SpecContext, format v1alpha1.PackingFormat) *restored {
	GinkgoHelper()
	c.start(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Packing.Format = format })
	Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
	r := &restored{c, GinkgoT().TempDir()}
	Expect(ship.FurnishTarget(ctx, c.namespace, r.target)).To(Succeed())
	return r
}

// restore creates the restore, under the name of the transfer, as changed.
func (r *restored) restore(ctx SpecContext, change func(*v1alpha1.ArchiveRestore)) {
	GinkgoHelper()
	ar := ship.Restore(r.namespace, r.key.Name, r.key.Name)
	if change != nil {
		change(ar)
	}
	Expect(ship.Client.Create(ctx, ar)).To(Succeed())
}

func (r *restored) get(ctx SpecContext) *v1alpha1.ArchiveRestore {
	GinkgoHelper()
	ar := &v1alpha1.ArchiveRestore{}
	Expect(ship.Client.Get(ctx, r.key, ar)).To(Succeed())
	return ar
}

func (r *restored) condition(ctx SpecContext, kind string) func() string {
	return func() string {
		c := meta.FindStatusCondition(r.get(ctx).Status.Conditions, kind)
		if c == nil {
			return ""
		}
		return string(c.Status) + "/" + c.Reason
	}
}

func (r *restored) finished(ctx SpecContext) int64 {
	if p := r.get(ctx).Status.Progress; p != nil {
		return ptr.Deref(p.ArchivesFinished, 0)
	}
	return 0
}

// expectRestored compares everything, and the counts with it.
func (r *restored) expectRestored(ctx SpecContext, attributes bool) {
	GinkgoHelper()
	Eventually(r.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
	tally, err := product.VerifyRestored(r.dir, r.target, attributes)
	Expect(err).NotTo(HaveOccurred())
	p := r.get(ctx).Status.Progress
	Expect(*p.Done.Files).To(Equal(int64(tally.Files)), "files were counted twice, or not at all")
	Expect(*p.Done.Bytes).To(Equal(tally.Bytes))
	Expect(*p.ArchivesFinished).To(Equal(*p.ArchivesPlanned))
	var leases v1alpha1.PrefixLeaseList
	Eventually(func() int {
		Expect(ship.Client.List(ctx, &leases, client.InNamespace(r.namespace))).To(Succeed())
		return len(leases.Items)
	}).Should(BeZero(), "leases are left over")
}

// one has a restore take one request at a time, so that it can be disturbed.
func one(ar *v1alpha1.ArchiveRestore) {
	ar.Spec.Coordination.Mode = v1alpha1.ModeUncoordinated
	ar.Spec.Coordination.Uncoordinated = v1alpha1.FixedWindows{MaxPrefixes: 1, MaxConcurrentUploads: 1}
}

var _ = Describe("A restore with three workers", func() {
	for _, format := range []v1alpha1.PackingFormat{v1alpha1.PackingTar, v1alpha1.PackingObjects} {
		It("survives the death of a worker and of the manager ("+string(format)+")", func(ctx SpecContext) {
			c := furnish(ctx, "back-"+strings.ToLower(string(format)), 800, 40, 30, 50, 40)
			Expect(os.Chmod(filepath.Join(c.dir, "dir-1", "001"), 0o710)).To(Succeed())
			r := c.archive(ctx, format)
			r.restore(ctx, one)
			var victim string
			Eventually(func() bool {
				victim = r.leaseholder(ctx)
				return victim != ""
			}).WithPolling(10 * time.Millisecond).Should(BeTrue())

			By("killing a worker that holds archives")
			pid, running := ship.Agent.PID(r.namespace, victim, v1alpha1.WorkerContainer)
			Expect(running).To(BeTrue())
			Expect(syscall.Kill(-pid, syscall.SIGKILL)).To(Succeed())
			By("killing the manager")
			Expect(ship.KillManager()).To(Succeed())
			Expect(r.condition(ctx, v1alpha1.ConditionComplete)()).NotTo(HavePrefix("True"), "the restore was over too soon to be disturbed")
			time.Sleep(time.Second)
			Expect(ship.StartManager(ctx)).To(Succeed())

			r.expectRestored(ctx, format == v1alpha1.PackingTar)
			Expect(*r.get(ctx).Status.Workers.Failed).To(BeNumerically(">=", 1))
			Expect(r.get(ctx).Status.Coordination.Domain).To(HaveSuffix("#read"))
		}, SpecTimeout(10*time.Minute))
	}

	It("is suspended and goes on, and outlives its transfer", func(ctx SpecContext) {
		c := furnish(ctx, "back-suspended", 200, 60, 60, 60, 60, 60, 60)
		r := c.archive(ctx, v1alpha1.PackingObjects)
		r.restore(ctx, one)
		Eventually(func() int64 { return r.finished(ctx) }).WithPolling(10 * time.Millisecond).Should(BeNumerically(">", 0))
		r.suspend(ctx, true)
		Eventually(r.condition(ctx, v1alpha1.ConditionSuspended)).Should(Equal("True/Suspended"))
		Eventually(func() []string { return r.workers(ctx) }).Should(BeEmpty())
		before := r.finished(ctx)
		Expect(ship.Client.Delete(ctx, c.transfer(ctx))).To(Succeed())
		r.suspend(ctx, false)
		r.expectRestored(ctx, false)
		Expect(before).To(BeNumerically("<", r.finished(ctx)), "the restore was over too soon to be suspended")
	}, SpecTimeout(8*time.Minute))

	It("waits for what is missing, and is deleted without a trace", func(ctx SpecContext) {
		c := furnish(ctx, "back-waiting", 10)
		r := &restored{c, GinkgoT().TempDir()}
		r.restore(ctx, nil)
		Eventually(r.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/" + v1alpha1.ReasonTransferNotFound))
		c.start(ctx, nil)
		Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
		Eventually(r.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/" + v1alpha1.ReasonClaimNotFound))
		Expect(ship.FurnishTarget(ctx, c.namespace, r.target)).To(Succeed())
		r.expectRestored(ctx, false)
		Expect(ship.Client.Delete(ctx, r.get(ctx))).To(Succeed())
		Eventually(func() bool {
			return apierrors.IsNotFound(ship.Client.Get(ctx, r.key, &v1alpha1.ArchiveRestore{}))
		}).Should(BeTrue())
	}, SpecTimeout(8*time.Minute))

	It("loses nothing that was there, and says so", func(ctx SpecContext) {
		c := furnish(ctx, "back-conflict", 10)
		r := c.archive(ctx, v1alpha1.PackingTar)
		mine := filepath.Join(r.target, "dir-1", "001", "file-00001")
		Expect(os.MkdirAll(filepath.Dir(mine), 0o755)).To(Succeed())
		Expect(os.WriteFile(mine, []byte("mine"), 0o600)).To(Succeed())
		r.restore(ctx, nil)
		Eventually(r.condition(ctx, v1alpha1.ConditionFailed)).Should(Equal("True/" + v1alpha1.ReasonFilesFailed))
		Expect(os.ReadFile(mine)).To(Equal([]byte("mine")))
		s := r.get(ctx).Status
		Expect(s.Failures).To(HaveLen(1))
		Expect(s.Failures[0].Message).To(ContainSubstring("file-00001"))
		Expect(*s.Progress.Failed.Files).To(Equal(int64(1)))
	}, SpecTimeout(8*time.Minute))
})

// glacier puts a server in front of the one that pods reach, which has the archives of a cargo in an
// archive storage class.
func (r *restored) glacier(ctx SpecContext) (*lab.Glacier, v1alpha1.Location) {
	GinkgoHelper()
	location := r.transfer(ctx).Spec.Destination.Location
	target, err := url.Parse(location.Endpoint)
	Expect(err).NotTo(HaveOccurred())
	transport := lab.NewTransport()
	g := &lab.Glacier{
		Class: "GLACIER", Backend: lab.NewProxy(target, transport),
		Archived: func(_, key string) bool { return !strings.Contains(key, ".cargoship/") },
	}
	server := httptest.NewServer(g)
	DeferCleanup(func() { server.CloseClientConnections(); server.Close(); transport.CloseIdleConnections() })
	location.Endpoint = server.URL
	return g, location
}

var _ = Describe("A restore from Glacier", func() {
	It("tells what it costs, thaws what it needs, and restores it", func(ctx SpecContext) {
		c := furnish(ctx, "back-frozen", 300, 20, 20)
		r := c.archive(ctx, v1alpha1.PackingTar)
		g, location := r.glacier(ctx)
		from := func(ar *v1alpha1.ArchiveRestore, most string) {
			ar.Spec.From = v1alpha1.RestoreSource{Location: &location}
			ar.Spec.Thaw = &v1alpha1.Thaw{Tier: v1alpha1.ThawExpedited, Days: 2, MaxCost: ptr.To(resource.MustParse(most))}
		}
		r.restore(ctx, func(ar *v1alpha1.ArchiveRestore) { from(ar, "0") })
		Eventually(r.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/" + v1alpha1.ReasonThawTooExpensive))
		Expect(meta.FindStatusCondition(r.get(ctx).Status.Conditions, v1alpha1.ConditionProgressing).Message).To(ContainSubstring("USD"))
		Expect(g.Asked()).To(BeEmpty())
		Expect(ship.Client.Delete(ctx, r.get(ctx))).To(Succeed())
		Eventually(func() bool { return apierrors.IsNotFound(ship.Client.Get(ctx, r.key, &v1alpha1.ArchiveRestore{})) }).Should(BeTrue())

		r.restore(ctx, func(ar *v1alpha1.ArchiveRestore) { from(ar, "5") })
		Eventually(r.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("True/" + v1alpha1.ReasonThawing))
		Expect(g.Asked()).To(ContainElement(HaveSuffix(" Expedited 2")))
		Expect(r.finished(ctx)).To(BeZero())
		g.Thaw(nil)
		r.expectRestored(ctx, true)
	}, SpecTimeout(8*time.Minute))
})

var _ = Describe("A claim that names a restore", func() {
	It("is bound once everything is restored", func(ctx SpecContext) {
		c := furnish(ctx, "back-populated", 300, 20)
		r := c.archive(ctx, v1alpha1.PackingTar)
		r.target = GinkgoT().TempDir()
		r.restore(ctx, func(ar *v1alpha1.ArchiveRestore) {
			ar.Spec.To = v1alpha1.RestoreTarget{Populator: &v1alpha1.Populator{}}
		})
		Eventually(r.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/" + v1alpha1.ReasonWaitingForClaim))
		Expect(ship.FurnishPopulated(ctx, r.namespace, "populated", r.key.Name, r.target)).To(Succeed())
		claim := func() *corev1.PersistentVolumeClaim {
			found := &corev1.PersistentVolumeClaim{}
			Expect(ship.Client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: "populated"}, found)).To(Succeed())
			return found
		}
		Eventually(func() int64 { return r.finished(ctx) }).WithPolling(10 * time.Millisecond).Should(BeNumerically(">", 0))
		Expect(claim().Status.Phase).To(Equal(corev1.ClaimPending), "the claim was bound before everything was restored")
		r.expectRestored(ctx, true)
		bound := claim()
		Expect(bound.Status.Phase).To(Equal(corev1.ClaimBound))
		volume := &corev1.PersistentVolume{}
		Expect(ship.Client.Get(ctx, client.ObjectKey{Name: bound.Spec.VolumeName}, volume)).To(Succeed())
		Expect(volume.Spec.ClaimRef.UID).To(Equal(bound.UID))
		Expect(volume.Status.Phase).To(Equal(corev1.VolumeBound))
		Eventually(func() bool {
			return apierrors.IsNotFound(ship.Client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: r.key.Name + "-prime"}, &corev1.PersistentVolumeClaim{}))
		}).Should(BeTrue(), "the claim that was restored into is left over")
		Expect(ship.Client.Delete(ctx, r.get(ctx))).To(Succeed())
		Consistently(func() corev1.PersistentVolumeClaimPhase { return claim().Status.Phase }).WithTimeout(2 * time.Second).Should(Equal(corev1.ClaimBound))
	}, SpecTimeout(8*time.Minute))
})

var _ = Describe("Restores into one directory", func() {
	It("run one after the other, though they are created at once", func(ctx SpecContext) {
		c := furnish(ctx, "back-crowd", 500, 20, 20)
		r := c.archive(ctx, v1alpha1.PackingObjects)
		names := []string{"crowd-a", "crowd-b", "crowd-c", "crowd-d"}
		for _, name := range names {
			Expect(ship.Client.Create(ctx, ship.Restore(r.namespace, name, r.key.Name))).To(Succeed())
		}
		unended := func() (n int) {
			var jobs batchv1.JobList
			Expect(ship.Client.List(ctx, &jobs, client.InNamespace(r.namespace))).To(Succeed())
			for _, job := range jobs.Items {
				if job.Labels[v1alpha1.LabelRestore] != "" && job.Status.Active > 0 {
					n++
				}
			}
			return n
		}
		Eventually(func() int {
			Expect(unended()).To(BeNumerically("<=", 1), "two restores write into one directory")
			ended := 0
			for _, name := range names {
				ar := &v1alpha1.ArchiveRestore{}
				Expect(ship.Client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, ar)).To(Succeed())
				if meta.IsStatusConditionTrue(ar.Status.Conditions, v1alpha1.ConditionComplete) {
					ended++
				}
			}
			return ended
		}).WithTimeout(8 * time.Minute).WithPolling(50 * time.Millisecond).Should(Equal(len(names)))
	}, SpecTimeout(10*time.Minute))
})

// leaseholder names a worker of the restore that has archives and runs.
func (r *restored) leaseholder(ctx SpecContext) string {
	GinkgoHelper()
	var leases v1alpha1.PrefixLeaseList
	Expect(ship.Client.List(ctx, &leases, client.InNamespace(r.namespace), client.MatchingLabels{v1alpha1.LabelRestore: r.key.Name})).To(Succeed())
	for _, l := range leases.Items {
		for _, p := range l.Spec.Prefixes {
			if _, running := ship.Agent.PID(r.namespace, l.Name, v1alpha1.WorkerContainer); running && len(p.Archives) > 0 {
				return l.Name
			}
		}
	}
	return ""
}

func (r *restored) suspend(ctx SpecContext, is bool) {
	GinkgoHelper()
	ar := r.get(ctx)
	patch := client.MergeFrom(ar.DeepCopy())
	ar.Spec.Suspend = ptr.To(is)
	Expect(ship.Client.Patch(ctx, ar, patch)).To(Succeed())
}
