//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/test/cluster/release"
)

// The last of all: it is made while other specs run.
var _ = Describe("A release", Ordered, SpecPriority(-1), func() {
	var before, after *release.Published

	BeforeAll(func(ctx SpecContext) {
		var made publication
		Eventually(ctx, publishing, 14*time.Minute).Should(Receive(&made))
		Expect(made.err).NotTo(HaveOccurred())
		before, after = made.before, made.after
		mustRun(ctx, it.Helm, "uninstall", release.Release, "--namespace", release.System, "--wait")
	}, NodeTimeout(15*time.Minute))

	AfterAll(func(ctx SpecContext) {
		Expect(it.Install(ctx, "local")).To(Succeed())
	}, NodeTimeout(5*time.Minute))

	It("is installed from a registry by digest", func(ctx SpecContext) {
		Expect(it.InstallPublished(ctx, before)).To(Succeed())
		expectManagers(ctx, before)
		c := furnish(ctx, 60, 2, 17)
		c.start(ctx, nil)
		c.expectComplete(ctx)
		c.expectVerified(ctx)
		expectImages(ctx, c.workers(ctx), before, "worker")
	}, SpecTimeout(5*time.Minute))

	It("is upgraded while a transfer runs, and rolled back while another does", func(ctx SpecContext) {
		across(ctx, func() { Expect(it.InstallPublished(ctx, after)).To(Succeed()) })
		expectManagers(ctx, after)
		across(ctx, func() {
			mustRun(ctx, it.Helm, "rollback", release.Release, "--namespace", release.System, "--wait", "--timeout", "3m")
		})
		expectManagers(ctx, before)
	}, SpecTimeout(8*time.Minute))

	It("leaves types and transfers when it is uninstalled", func(ctx SpecContext) {
		c := furnish(ctx, 20, 0, 0)
		c.start(ctx, nil)
		c.expectComplete(ctx)
		mustRun(ctx, it.Helm, "uninstall", release.Release, "--namespace", release.System, "--wait")
		// Helm waits for the objects of the chart. Their pods end within their grace period.
		Eventually(func() string {
			return mustRun(ctx, it.Kubectl, "get", "all,configmaps,secrets,serviceaccounts,roles,rolebindings", "--namespace", release.System,
				"--selector", "app.kubernetes.io/name=cargoship", "--output", "name")
		}, "1m", "1s").Should(BeEmpty(), "what the release left")
		Expect(c.condition(ctx, "Complete")()).To(Equal("True/Complete"))
		// Nobody is there to remove its finalizer.
		Expect(it.InstallPublished(ctx, after)).To(Succeed())
		Expect(it.Client.Delete(ctx, c.transfer(ctx))).To(Succeed())
		Eventually(c.gone(ctx)).Should(BeTrue(), "the transfer is not gone")
		mustRun(ctx, it.Helm, "uninstall", release.Release, "--namespace", release.System, "--wait")
	}, SpecTimeout(5*time.Minute))

	It("is installed by its manifest alone", func(ctx SpecContext) {
		manifest := filepath.Join(after.Dir, "install.yaml")
		mustRun(ctx, it.Kubectl, "apply", "--server-side", "--force-conflicts", "-f", manifest)
		mustRun(ctx, it.Kubectl, "rollout", "status", "deployment", "--namespace", release.System, "--timeout=3m")
		expectManagers(ctx, after)
		c := furnish(ctx, 20, 0, 0)
		c.start(ctx, nil)
		c.expectComplete(ctx)
		c.expectVerified(ctx)
		c.remove(ctx)
		mustRun(ctx, it.Kubectl, "delete", "--wait", "-f", withoutTypes(manifest))
	}, SpecTimeout(5*time.Minute))
})

// publication is two releases, the one before of the same source as the one after: only its
// version and its images differ.
type publication struct {
	before, after *release.Published
	err           error
}

// publishing gives the publication once it has been made.
var publishing = make(chan publication, 1)

// publish makes the releases below a directory, and pushes them to the cluster's registry.
func publish(ctx context.Context, dir string) {
	var made publication
	for version, published := range map[string]**release.Published{"0.0.1": &made.before, "0.0.2": &made.after} {
		if made.err == nil {
			*published, made.err = it.Publish(ctx, filepath.Join(dir, version), version, "--platforms", "linux/"+runtime.GOARCH)
		}
	}
	publishing <- made
}

// across does something while a transfer runs, which loses nothing by it.
func across(ctx context.Context, do func()) {
	GinkgoHelper()
	c := furnish(ctx, 40, 8, 17)
	slowly(ctx)
	c.start(ctx, nil)
	c.underWay(ctx)
	do()
	shape(ctx, "")
	c.expectComplete(ctx)
	c.expectVerified(ctx)
}

// expectManagers expects that the managers of a release run, and no others.
func expectManagers(ctx context.Context, of *release.Published) {
	GinkgoHelper()
	var pods corev1.PodList
	Eventually(func() int {
		Expect(it.Client.List(ctx, &pods, client.InNamespace(release.System), client.MatchingLabels{"app.kubernetes.io/component": "manager"})).To(Succeed())
		return len(pods.Items)
	}).Should(Equal(2), "the number of managers")
	expectImages(ctx, pods.Items, of, "manager")
}

// expectImages expects that pods run an image that their node has pulled by the digest of a
// release.
func expectImages(ctx context.Context, pods []corev1.Pod, of *release.Published, image string) {
	GinkgoHelper()
	digest, err := of.Digest(ctx, image)
	Expect(err).NotTo(HaveOccurred())
	Expect(pods).NotTo(BeEmpty())
	for _, pod := range pods {
		Expect(pod.Status.ContainerStatuses).NotTo(BeEmpty())
		Expect(pod.Status.ContainerStatuses[0].ImageID).To(HaveSuffix("/"+image+"@"+digest), "the image of pod %s", pod.Name)
	}
}

// withoutTypes is a copy of a manifest without the types, whose deletion would delete all
// transfers.
func withoutTypes(manifest string) string {
	GinkgoHelper()
	text, err := os.ReadFile(manifest)
	Expect(err).NotTo(HaveOccurred())
	var kept []string
	for object := range strings.SplitSeq(string(text), "\n---\n") {
		if !strings.Contains(object, "\nkind: CustomResourceDefinition\n") {
			kept = append(kept, object)
		}
	}
	path := filepath.Join(GinkgoT().TempDir(), "install.yaml")
	Expect(os.WriteFile(path, []byte(strings.Join(kept, "\n---\n")), 0o600)).To(Succeed())
	return path
}
