//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/cluster/release"
)

var _ = Describe("A transfer of a claim by workers on three nodes", func() {
	It("archives every file as an object", func(ctx SpecContext) {
		c := furnish(ctx, 600, 6, 24)
		c.start(ctx, nil)
		c.expectComplete(ctx)
		c.expectVerified(ctx)
		nodes := map[string]bool{}
		for _, pod := range c.workers(ctx) {
			nodes[pod.Spec.NodeName] = true
		}
		Expect(nodes).To(HaveLen(len(it.Cluster.Nodes)), "the workers ran on the nodes %v", nodes)
	}, SpecTimeout(4*time.Minute))

	It("archives every file in tars that give them back", func(ctx SpecContext) {
		c := furnish(ctx, 600, 3, 40)
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Packing.Format = v1alpha1.PackingTar })
		c.expectComplete(ctx)
		c.expectNoLeases(ctx)
		Expect(c.openUploads(ctx)).To(BeEmpty())
		expectSameTree(ctx, c)
	}, SpecTimeout(4*time.Minute))

	It("survives the death of a worker", func(ctx SpecContext) {
		c := furnish(ctx, 60, 8, 17)
		slowly(ctx)
		c.start(ctx, nil)
		c.underWay(ctx)
		victim := c.running(ctx)[0]
		Expect(it.Cluster.KillPod(string(victim.UID))).To(Succeed())
		c.expectComplete(ctx)
		c.expectVerified(ctx)
		Expect(*c.transfer(ctx).Status.Workers.Failed).To(BeNumerically(">=", 1))
	}, SpecTimeout(4*time.Minute))

	It("leaves no open upload when it is deleted midway", func(ctx SpecContext) {
		c := furnish(ctx, 0, 6, 48)
		slowly(ctx)
		c.start(ctx, nil)
		Eventually(func() []string { return c.openUploads(ctx) }).ShouldNot(BeEmpty())
		Expect(it.Client.Delete(ctx, c.transfer(ctx))).To(Succeed())
		Eventually(c.gone(ctx)).Should(BeTrue(), "the transfer is not gone")
		Expect(c.openUploads(ctx)).To(BeEmpty())
		c.expectNoLeases(ctx)
	}, SpecTimeout(4*time.Minute))

	It("is refused when its source is a directory of the nodes", func(ctx SpecContext) {
		c := furnish(ctx, 1, 0, 0)
		c.start(ctx, func(at *v1alpha1.ArchiveTransfer) {
			at.Spec.Source = v1alpha1.Source{HostPath: &v1alpha1.HostPathSource{Path: "/etc"}}
		})
		Eventually(c.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/" + v1alpha1.ReasonHostPathNotAllowed))
		Expect(c.workers(ctx)).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("completes while the chart is upgraded", func(ctx SpecContext) {
		c := furnish(ctx, 60, 30, 17)
		Expect(it.Cluster.Load(ctx, it.Root, "next")).To(Succeed())
		slowly(ctx)
		c.start(ctx, nil)
		c.underWay(ctx)
		Expect(it.Install(ctx, "next", "--set", "logLevel=debug")).To(Succeed())
		c.expectComplete(ctx)
		c.expectVerified(ctx)
		Expect(*c.transfer(ctx).Status.Coordination.Epoch).To(BeNumerically(">", 1), "no other manager has led")
	}, SpecTimeout(6*time.Minute))

	It("stays, and what it archived, when the chart is uninstalled", func(ctx SpecContext) {
		c := furnish(ctx, 20, 0, 0)
		c.start(ctx, nil)
		c.expectComplete(ctx)
		mustRun(ctx, it.Helm, "uninstall", release.Release, "--namespace", release.System, "--wait")
		c.expectVerified(ctx)
		By("installing it again over what is left")
		Expect(it.Install(ctx, "local")).To(Succeed())
		Consistently(c.condition(ctx, v1alpha1.ConditionComplete), 3*time.Second).Should(Equal("True/Complete"))
	}, SpecTimeout(4*time.Minute))
})

// suspend sets spec.suspend.
func (c *cargo) suspend(ctx SpecContext, suspend bool) {
	GinkgoHelper()
	c.change(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Suspend = ptr.To(suspend) })
}

// expectSameTree has the worker's own command restore the archives, and compares what
// comes out with the source.
func expectSameTree(ctx SpecContext, c *cargo) {
	GinkgoHelper()
	out := filepath.Join(GinkgoT().TempDir(), "restored")
	_, err := it.Read(ctx, "restore", c.to, out)
	Expect(err).NotTo(HaveOccurred())
	mustRun(ctx, "diff", "--recursive", c.dir, out)
	Expect(os.RemoveAll(out)).To(Succeed())
}
