//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/cluster/release"
	"cargoship.dev/operator/test/cluster/sandbox"
)

const (
	// outageLength is how long nobody leads; cutLength for how long one worker is cut off.
	outageLength, cutLength = 5 * time.Minute, 2 * time.Minute
	// settledFor is how long a transfer is measured before and after.
	settledFor = 20 * time.Second

	// fileSize is that of every file, in bytes: an archive of 64 MiB takes a quarter of a minute.
	fileSize = 160 << 10
	// filesPart is the partition of the lab that has all files, and nothing else.
	filesPart = "base/dir-"

	// What the specs record their figures by, and what is narrow.
	managersAway = "five minutes without a manager, behind "
	apiAway      = "five minutes without an API server, behind "
	nodeCut      = "two minutes with a node cut off from the API server, behind "

	// managers is the number of the chart's.
	managers = 2
	// mostThrottled is the share of requests that may be throttled.
	mostThrottled = 0.02
)

// narrow is what limits a transfer on its way to the server.
type narrow struct {
	name, conditions string
	// optimum is what it lets through, in bytes of files per second.
	optimum float64
}

func narrows() (policer, link narrow) {
	const rate, burst, megabits = 25, 10, 33
	return narrow{
			"a policer", fmt.Sprintf("partitions: [{keys: %q, requestsPerSecond: %d, burst: %d}]\nserviceTime: {median: 400ms, p99: 800ms}\n", filesPart, rate, burst),
			rate * fileSize,
		}, narrow{
			"a link", fmt.Sprintf("partitions: [{keys: %q, requestsPerSecond: 10000}]\nbandwidth: {sharedMegabits: %d}\nserviceTime: {median: 200ms, p99: 400ms}\n", filesPart, megabits),
			megabits * 1e6 / 8,
		}
}

// What takes many minutes: make test-outages runs it.
var _ = Describe("A transfer of four workers", Label("outage"), func() {
	policer, link := narrows()

	DescribeTable("keeps its pace for five minutes without a manager", func(ctx SpecContext, n narrow) {
		// So much more than is sent that reserves, which hold at most half of the rest, last.
		c, w := startNarrowed(ctx, n, 26_000)
		before := w.settled(ctx)
		epoch := c.epoch(ctx)

		By("stopping every manager")
		scaleManagers(ctx, 0)
		away := w.during("without a manager", outageLength)
		scaleManagers(ctx, managers)
		Eventually(func() int64 { return c.epoch(ctx) }).Should(BeNumerically(">", epoch), "nobody leads")
		w.conclude(ctx, c, managersAway+n.name, 0.95, before, away, w.during("with the next one", settledFor))
	},
		Entry("behind a link", SpecTimeout(30*time.Minute), link),
		Entry("behind a policer", SpecTimeout(30*time.Minute), policer),
	)

	It("keeps half of its pace for five minutes without an API server", func(ctx SpecContext) {
		c, w := startNarrowed(ctx, link, 26_000)
		before := w.settled(ctx)
		epoch := c.epoch(ctx)

		By("stopping the API server")
		DeferCleanup(func(ctx SpecContext) error { return it.Cluster.HealAll(ctx) })
		Expect(it.Cluster.Stop(ctx, "kube-apiserver")).To(Succeed())
		w.gone = time.Now()
		away := w.during("without an API server", outageLength)
		w.gone = time.Time{}
		Expect(it.Cluster.Start("kube-apiserver")).To(Succeed())
		// The one that led has ended and is started again by its kubelet, the other one has waited.
		Eventually(func() int64 { return c.epoch(ctx) }).WithTimeout(6*time.Minute).Should(BeNumerically(">", epoch), "nobody leads")
		w.conclude(ctx, c, apiAway+link.name, 0.5, before, away, w.during("with the next manager", settledFor))
	}, SpecTimeout(30*time.Minute))

	It("has no more in flight than was granted while a node with a worker is cut off", func(ctx SpecContext) {
		c, w := startNarrowed(ctx, policer, 10_000)
		before := w.settled(ctx)

		By("cutting a node off from the API server")
		DeferCleanup(func(ctx SpecContext) error { return it.Cluster.HealAll(ctx) })
		Expect(it.Cluster.Partition(ctx, c.nodeToCut(ctx), sandbox.FromAPI)).To(Succeed())
		cut := w.during("with a node cut off", cutLength)
		Expect(it.Cluster.HealAll(ctx)).To(Succeed())
		// One worker of four, or two, goes on with half.
		w.conclude(ctx, c, nodeCut+policer.name, 0.7, before, cut, w.during("with it back", settledFor))
	}, SpecTimeout(20*time.Minute))
})

// startNarrowed starts a transfer of so many files behind something narrow.
func startNarrowed(ctx SpecContext, n narrow, files int) (*cargo, *watch) {
	GinkgoHelper()
	f := labWith(n.conditions)
	c := furnish(ctx, 0, 0, 0)
	c.fill(files, fileSize)
	c.start(ctx, func(at *v1alpha1.ArchiveTransfer) {
		at.Spec.Destination.Endpoint = f.endpoint
		at.Spec.Workers.Count = 4
		// What is assigned to a worker lasts for a minute; then it needs its reserve.
		at.Spec.Coordination.PipelineDepth = 1
	})
	w := keepWatch(f, c.key.Namespace)
	w.optimum = n.optimum
	return c, w
}

// fill adds files of one size to one prefix. Each begins with other bytes and goes on with a hole, which takes no room.
func (c *cargo) fill(files, size int) {
	GinkgoHelper()
	const head = 512
	random := rand.NewChaCha8([32]byte{})
	content := make([]byte, head)
	for i := range files {
		_, _ = random.Read(content)
		path := filepath.Join(c.dir, fmt.Sprintf("dir-0/%03d/file-%05d", i/200, i))
		Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
		Expect(os.WriteFile(path, content, 0o644)).To(Succeed())
		Expect(os.Truncate(path, int64(size))).To(Succeed())
	}
}

// settled waits until the transfer uses what there is, and gives what that was.
func (w *watch) settled(ctx SpecContext) phase {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		now := time.Now()
		p := w.measure("", filesPart, now.Add(-settledFor), now)
		g.Expect(p.Seconds).To(BeNumerically(">", 0.9*settledFor.Seconds()))
		g.Expect(p.perSecond()).To(BeNumerically(">", 0.95*w.optimum))
		g.Expect(p.throttledShare()).To(BeNumerically("<=", mostThrottled))
	}).WithTimeout(5*time.Minute).WithPolling(time.Second).Should(Succeed(), "the transfer does not use what the server takes")
	now := time.Now()
	return w.measure("before", filesPart, now.Add(-settledFor), now)
}

// during measures from now on for a while.
func (w *watch) during(name string, length time.Duration) phase {
	GinkgoHelper()
	from := time.Now()
	time.Sleep(length)
	p := w.measure(name, filesPart, from, time.Now())
	Expect(p.Seconds).To(BeNumerically(">", 0.9*length.Seconds()), "the lab was not looked at often enough")
	return p
}

// conclude expects that everything is in order, that while something was away a part of the optimum was stored, and that
// nobody ever sent more than it was granted. It records the three phases.
func (w *watch) conclude(ctx SpecContext, c *cargo, name string, least float64, before, away, after phase) {
	GinkgoHelper()
	for _, p := range []phase{before, away, after} {
		GinkgoWriter.Printf("%v; %.3f of the optimum\n", p, p.perSecond()/w.optimum)
	}
	c.expectInOrder(ctx, w)
	for _, p := range []phase{before, away, after} {
		Expect(p.Over).To(BeZero(), "more was in flight than the leases allowed: %v", p)
	}
	Expect(away.perSecond()/w.optimum).To(BeNumerically(">=", least), "what was stored, of the optimum: %v", away)
	Expect(away.throttledShare()).To(BeNumerically("<=", mostThrottled), "%v", away)
	since := func(t time.Time) float64 { return t.Sub(before.from).Seconds() }
	record(recorded{Head: w.head, Name: name, Optimum: w.optimum, Phases: []phase{before, away, after},
		Stored: w.bySecond(before.from, after.to), From: since(away.from), Until: since(away.to)})
}

// expectInOrder lets the rest go as fast as it can, and expects that the transfer is complete, that every byte is right
// and nothing is twice or left over.
func (c *cargo) expectInOrder(ctx SpecContext, w *watch) {
	GinkgoHelper()
	w.front.change(ctx, "partitions: []\nbandwidth: {}\nserviceTime: {median: 0s}\n")
	By("letting the rest go")
	Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).WithTimeout(10 * time.Minute).Should(Equal("True/Complete"))
	By("verifying every byte")
	tally, err := it.VerifyTransfer(ctx, c.transfer(ctx), c.dir, c.to)
	Expect(err).NotTo(HaveOccurred())
	GinkgoWriter.Printf("%d files of %d bytes verified\n", tally.Files, tally.Bytes)
	c.expectNoLeases(ctx)
}

// epoch counts the managers that have led; 0 while the API server does not tell.
func (c *cargo) epoch(ctx context.Context) int64 {
	at := &v1alpha1.ArchiveTransfer{}
	if err := it.Client.Get(ctx, c.key, at); err != nil || at.Status.Coordination == nil {
		return 0
	}
	return ptr.Deref(at.Status.Coordination.Epoch, 0)
}

// scaleManagers has so many managers run.
func scaleManagers(ctx SpecContext, count int) {
	GinkgoHelper()
	mustRun(ctx, it.Kubectl, "scale", "deployment", "--all", "--namespace", release.System, fmt.Sprintf("--replicas=%d", count))
	if count > 0 {
		return
	}
	DeferCleanup(func(ctx SpecContext) { scaleManagers(ctx, managers) })
	var pods corev1.PodList
	Eventually(func() int {
		Expect(it.Client.List(ctx, &pods, client.InNamespace(release.System))).To(Succeed())
		return len(pods.Items)
	}).Should(BeZero(), "managers run")
}

// nodeToCut is one that has a worker of the transfer, and as few as there are, but not the manager that leads.
func (c *cargo) nodeToCut(ctx SpecContext) string {
	GinkgoHelper()
	leader, err := it.Leader(ctx)
	Expect(err).NotTo(HaveOccurred())
	workers := map[string]int{}
	for _, pod := range c.running(ctx) {
		workers[pod.Spec.NodeName]++
	}
	GinkgoWriter.Printf("workers by node: %v; %s has the leader\n", workers, leader.Spec.NodeName)
	delete(workers, leader.Spec.NodeName)
	Expect(workers).NotTo(BeEmpty(), "all workers are where the leader is")
	least := ""
	for node, count := range workers {
		if least == "" || count < workers[least] {
			least = node
		}
	}
	return least
}
