//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
)

const (
	// kueueImage is made of the program of Kueue's module.
	kueueImage, kueueNamespace = "kueue/manager:local", "kueue-system"
	// priorityLabel is what Kueue knows the priority of a Job by.
	priorityLabel = "kueue.x-k8s.io/priority-class"

	// kueueValues leave out what the cluster has no kinds for.
	kueueValues = `
controllerManager:
  manager:
    image: {repository: kueue/manager, tag: local, pullPolicy: Never}
managerConfig:
  controllerManagerConfigYaml: |-
    apiVersion: config.kueue.x-k8s.io/v1beta2
    kind: Configuration
    health: {healthProbeBindAddress: ":8081"}
    metrics: {bindAddress: ":8443"}
    webhook: {port: 9443}
    integrations: {frameworks: [batch/job]}
`
	// queues have processors for the workers of one transfer.
	queues = `
apiVersion: kueue.x-k8s.io/v1beta2
kind: ResourceFlavor
metadata: {name: any}
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: ClusterQueue
metadata: {name: archives}
spec:
  namespaceSelector: {}
  preemption: {withinClusterQueue: LowerPriority}
  resourceGroups:
  - coveredResources: [cpu, memory]
    flavors:
    - name: any
      resources: [{name: cpu, nominalQuota: "1"}, {name: memory, nominalQuota: 100Gi}]
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: WorkloadPriorityClass
metadata: {name: urgent}
value: 1000
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: WorkloadPriorityClass
metadata: {name: nightly}
value: 10
`
)

var _ = Describe("Kueue", Label("kueue"), func() {
	It("queues transfers, admits them, and suspends one for one that is more urgent", func(ctx SpecContext) {
		installKueue(ctx)
		slowly(ctx)
		nightly, urgent, third := furnish(ctx, 20, 6, 17), furnish(ctx, 20, 2, 17), furnish(ctx, 20, 0, 0)
		nightly.enqueue(ctx, "nightly")
		nightly.underWay(ctx)

		By("holding back a transfer for which there is no room")
		third.enqueue(ctx, "nightly")
		Eventually(third.condition(ctx, v1alpha1.ConditionSuspended)).Should(Equal("True/" + v1alpha1.ReasonSuspended))
		Consistently(func() int { return len(third.workers(ctx)) }).WithTimeout(5 * time.Second).Should(BeZero())
		Expect(third.explained(ctx)).To(Equal(string(explain.Queue)))

		By("suspending a transfer for one that is more urgent")
		urgent.enqueue(ctx, "urgent")
		Eventually(nightly.condition(ctx, v1alpha1.ConditionSuspended)).Should(Equal("True/" + v1alpha1.ReasonSuspended))
		Expect(nightly.explained(ctx)).To(Equal(string(explain.Queue)))
		Expect(ptr.Deref(nightly.transfer(ctx).Spec.Suspend, false)).To(BeFalse())
		GinkgoWriter.Println(mustRun(ctx, it.Kubectl, "get", "workloads,jobs,archivetransfers", "--all-namespaces"))
		urgent.expectComplete(ctx)
		urgent.expectVerified(ctx)

		By("admitting what waits, one after the other")
		for _, c := range []*cargo{nightly, third} {
			c.expectComplete(ctx)
			c.expectVerified(ctx)
		}
	}, SpecTimeout(10*time.Minute))
})

// enqueue starts a transfer of three workers, for which the queue has room once, in a queue of its namespace.
func (c *cargo) enqueue(ctx context.Context, priority string) {
	GinkgoHelper()
	apply(ctx, strings.ReplaceAll(`
apiVersion: kueue.x-k8s.io/v1beta2
kind: LocalQueue
metadata: {name: archives, namespace: NAMESPACE}
spec: {clusterQueue: archives}
`, "NAMESPACE", c.key.Namespace))
	c.start(ctx, func(at *v1alpha1.ArchiveTransfer) {
		at.Spec.Workers.JobLabels = map[string]v1alpha1.LabelValue{queueLabel: "archives", priorityLabel: v1alpha1.LabelValue(priority)}
		at.Spec.Workers.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("300m")}
	})
}

// explained is what the plugin says limits the transfer.
func (c *cargo) explained(ctx context.Context) string {
	GinkgoHelper()
	return strings.TrimSpace(mustRun(ctx, it.CLI, "kubectl", "explain", "-n", c.key.Namespace, c.key.Name, "-o", "name"))
}

// installKueue installs Kueue for one spec.
func installKueue(ctx context.Context) {
	GinkgoHelper()
	dir := filepath.Join(it.Root, "bin", "tools", "kueue")
	Expect(it.Cluster.LoadProgram(ctx, filepath.Join(dir, "manager"), kueueImage)).To(Succeed())
	values := filepath.Join(GinkgoT().TempDir(), "values.yaml")
	Expect(os.WriteFile(values, []byte(kueueValues), 0o600)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		for _, kind := range []string{"localqueues", "workloads", "clusterqueues", "resourceflavors", "workloadpriorityclasses"} {
			mustRun(ctx, it.Kubectl, "delete", kind+".kueue.x-k8s.io", "--all", "--all-namespaces", "--ignore-not-found", "--timeout=60s")
		}
		mustRun(ctx, it.Helm, "uninstall", "kueue", "--namespace", kueueNamespace)
		// What aggregates ClusterRoles may apply these once more while they are deleted, so that to wait for their end is in vain.
		mustRun(ctx, it.Kubectl, "delete", "clusterroles", "kueue-batch-admin-role", "kueue-batch-user-role", "--ignore-not-found")
	})
	mustRun(ctx, it.Helm, "upgrade", "--install", "kueue", filepath.Join(dir, "chart"),
		"--namespace", kueueNamespace, "--create-namespace", "--wait", "--timeout", "3m", "--values", values)
	Eventually(func() error { return tryApply(ctx, queues) }).Should(Succeed())
}

// apply applies objects that this module has no types of.
func apply(ctx context.Context, manifest string) {
	GinkgoHelper()
	Expect(tryApply(ctx, manifest)).To(Succeed())
}

func tryApply(ctx context.Context, manifest string) error {
	path := filepath.Join(GinkgoT().TempDir(), "objects.yaml")
	if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
		return err
	}
	_, err := it.Run(ctx, it.Kubectl, "apply", "--server-side", "-f", path)
	return err
}
