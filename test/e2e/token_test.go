//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/kit"
	"cargoship.dev/operator/test/kit/product"
)

var _ = Describe("A worker's token in other hands", func() {
	It("reads nothing but its own lease, and reports for no other worker", func(ctx SpecContext) {
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
		Expect(worker(read(own.Name)...)).To(Succeed())
		Expect(worker(report(own.Name)...)).To(Succeed())

		By("doing what it must not")
		for _, refused := range [][]string{
			{"get", "secret", product.SecretName},
			{"get", "secrets"},
			{"get", "archivetransfer", c.key.Name},
			{"get", "pods"},
			{"get", "prefixlease", own.Name},
			{"get", "prefixlease", other.Name},
			{"get", "prefixleases"},
			{"get", "prefixleases", "--all-namespaces"},
			read(other.Name),
			append(read(stranger.Name), "--namespace", stranger.Namespace),
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

// read applies nothing to the status of a lease, which is answered with the lease.
// `kubectl patch` would get it first, which no worker may.
func read(name string) []string { return applyStatus(name, `{}`) }

// report applies a status; the server judges it and stores nothing.
func report(name string) []string {
	return append(applyStatus(name, `{"instance":"another"}`), "--dry-run=server", "--force-conflicts")
}

func applyStatus(name, status string) []string {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), "status.json")
	lease := fmt.Sprintf(`{"apiVersion":%q,"kind":"PrefixLease","metadata":{"name":%q},"status":%s}`,
		v1alpha1.GroupVersion, name, status)
	Expect(os.WriteFile(path, []byte(lease), 0o600)).To(Succeed())
	return []string{"apply", "--server-side", "--subresource=status", "--field-manager=by-hand", "--validate=false", "--filename", path}
}

// asPod returns kubectl with a token that is bound to a pod, as the pod's own is.
func asPod(ctx SpecContext, pod corev1.Pod) func(...string) error {
	GinkgoHelper()
	token := mustRun(ctx, it.Kubectl, "create", "token", pod.Spec.ServiceAccountName, "--namespace", pod.Namespace,
		"--bound-object-kind=Pod", "--bound-object-name="+pod.Name, "--bound-object-uid="+string(pod.UID))
	server, err := clientcmd.BuildConfigFromFlags("", it.Cluster.Kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(kit.WriteKubeconfig(path, server, pod.Namespace, &clientcmdapi.AuthInfo{Token: token})).To(Succeed())
	return func(args ...string) error {
		_, err := it.Run(ctx, append([]string{it.Kubectl, "--kubeconfig=" + path}, args...)...)
		return err
	}
}
