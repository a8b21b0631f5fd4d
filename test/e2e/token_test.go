//go:build e2e

package e2e

import (
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"cargoship.dev/operator/hack/localcluster"
	"cargoship.dev/operator/hack/localcluster/product"
)

var _ = Describe("A worker's token in other hands", func() {
	It("reads no Secret and no transfer, and reports for no other worker", func(ctx SpecContext) {
		c, elsewhere := furnish(ctx, 60, 8, 17), furnish(ctx, 60, 12, 17)
		slowly(ctx)
		c.start(ctx, nil)
		elsewhere.start(ctx, nil)
		c.underWay(ctx)
		elsewhere.underWay(ctx)
		pods := c.running(ctx)
		Expect(len(pods)).To(BeNumerically(">=", 2))
		own, other, stranger := pods[0], pods[1], elsewhere.running(ctx)[0]
		worker := asPod(ctx, own)

		By("doing what a worker does")
		Expect(worker("get", "prefixlease", own.Name)).To(Succeed())
		Expect(worker(report(own.Name)...)).To(Succeed())

		By("doing what it must not")
		for _, refused := range [][]string{
			{"get", "secret", product.SecretName},
			{"get", "secrets"},
			{"get", "archivetransfer", c.key.Name},
			{"get", "pods"},
			{"get", "prefixlease", stranger.Name, "--namespace", stranger.Namespace},
			{"get", "prefixleases", "--all-namespaces"},
			report(other.Name),
			append(report(stranger.Name), "--namespace", stranger.Namespace),
			{"patch", "prefixlease", own.Name, "--type=merge", `--patch={"spec":{"sequence":1000000}}`},
			{"delete", "prefixlease", other.Name},
			{"create", "token", "cargoship-worker"},
		} {
			Expect(worker(refused...)).To(MatchError(MatchRegexp("(?i)forbidden")), "kubectl %v", refused)
		}
	}, SpecTimeout(4*time.Minute))
})

// report writes the status of a lease; the server judges it and stores nothing.
func report(name string) []string {
	return []string{"patch", "prefixlease", name, "--subresource=status", "--type=merge", "--dry-run=server",
		`--patch={"status":{"instance":"another"}}`}
}

// asPod returns kubectl with a token that is bound to a pod, as the pod's own is.
func asPod(ctx SpecContext, pod corev1.Pod) func(...string) error {
	GinkgoHelper()
	token := mustRun(ctx, it.Kubectl, "create", "token", pod.Spec.ServiceAccountName, "--namespace", pod.Namespace,
		"--bound-object-kind=Pod", "--bound-object-name="+pod.Name, "--bound-object-uid="+string(pod.UID))
	server, err := clientcmd.BuildConfigFromFlags("", it.Cluster.Kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(localcluster.WriteKubeconfig(path, server, pod.Namespace, &clientcmdapi.AuthInfo{Token: token})).To(Succeed())
	return func(args ...string) error {
		_, err := it.Run(ctx, append([]string{it.Kubectl, "--kubeconfig=" + path}, args...)...)
		return err
	}
}
