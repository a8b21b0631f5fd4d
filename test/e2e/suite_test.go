//go:build e2e

package e2e

import (
	"context"
	cryptorand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/cluster/release"
	"cargoship.dev/operator/test/kit/product"
)

// slow is what a node may send while a transfer is to be disturbed.
const slow = "40mbit"

// it is what all specs use.
var it *release.Deployment

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(3 * time.Minute)
	SetDefaultEventuallyPollingInterval(200 * time.Millisecond)
	RunSpecs(t, "CargoShip on a cluster")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	it, err = release.Open(ctx, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	By("installing the chart")
	Expect(it.Cluster.Load(ctx, it.Root, "local")).To(Succeed())
	Expect(it.Install(ctx, "local")).To(Succeed())
	// What the chart makes fits into a namespace that enforces the strictest standard.
	mustRun(ctx, it.Kubectl, "label", "--overwrite", "namespace", release.System, restricted)
	if !Label().MatchesLabelFilter(GinkgoLabelFilter()) {
		return // It is for specs with labels, which use no release.
	}
	making, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	dir := GinkgoT().TempDir()
	work.Go(func() { publish(making, dir) })
	DeferCleanup(func() {
		stop()
		work.Wait()
	})
})

const restricted = "pod-security.kubernetes.io/enforce=restricted"

var _ = BeforeEach(func(ctx SpecContext) { shape(ctx, "") })

// slowly limits what every node sends, for the length of a spec.
func slowly(ctx context.Context) {
	GinkgoHelper()
	shape(ctx, slow)
}

func shape(ctx context.Context, rate string) {
	GinkgoHelper()
	for _, node := range it.Cluster.Nodes {
		Expect(it.Cluster.Shape(ctx, node, rate)).To(Succeed())
	}
}

// mustRun runs a command as the administrator and returns its output.
func mustRun(ctx context.Context, argv ...string) string {
	GinkgoHelper()
	out, err := it.Run(ctx, argv...)
	Expect(err).NotTo(HaveOccurred())
	return out
}

// cargo is a directory on a volume, a restricted namespace with a claim on it, and a
// bucket to archive it to.
type cargo struct {
	dir string
	to  product.Location
	key client.ObjectKey
}

// furnish makes a cargo of small files and of large ones of so many MiB.
func furnish(ctx context.Context, small, large, mib int) *cargo {
	GinkgoHelper()
	name := fmt.Sprintf("e2e-%s", strings.ToLower(cryptorand.Text()[:8]))
	c := &cargo{
		dir: filepath.Join(it.Cluster.Volumes, name),
		to:  product.Location{Bucket: name, Prefix: "base"},
		key: client.ObjectKey{Namespace: name, Name: "cargo"},
	}
	DeferCleanup(func() error {
		if CurrentSpecReport().Failed() {
			return nil
		}
		return os.RemoveAll(c.dir)
	})
	for i := range small {
		c.write(fmt.Sprintf("dir-%d/%03d/file-%05d", i%6, i%17, i), 100+37*i%9000)
	}
	for i := range large {
		c.write(fmt.Sprintf("dir-%d/large-%d", i%6, i), mib<<20+i)
	}
	Expect(it.Furnish(ctx, name, c.dir, c.to.Bucket)).To(Succeed())
	mustRun(ctx, it.Kubectl, "label", "namespace", name, restricted)
	return c
}

func (c *cargo) write(path string, size int) {
	GinkgoHelper()
	path = filepath.Join(c.dir, path)
	Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)}).Read(content)
	Expect(os.WriteFile(path, content, 0o644)).To(Succeed())
}

// start creates the transfer with three workers, as changed.
func (c *cargo) start(ctx context.Context, change func(*v1alpha1.ArchiveTransfer)) {
	GinkgoHelper()
	at := it.Transfer(c.key.Namespace, c.key.Name, c.to)
	at.Spec.Workers.Count = 3
	if change != nil {
		change(at)
	}
	Expect(it.Client.Create(ctx, at)).To(Succeed())
	DeferCleanup(c.remove)
}

// remove deletes the transfer with its namespace, so that it disturbs no other spec;
// those of a failed spec stay, to tell why.
func (c *cargo) remove(ctx SpecContext) {
	if CurrentSpecReport().Failed() {
		return
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.key.Namespace}}
	Expect(client.IgnoreNotFound(it.Client.Delete(ctx, namespace))).To(Succeed())
	Eventually(func() bool {
		return apierrors.IsNotFound(it.Client.Get(ctx, client.ObjectKeyFromObject(namespace), namespace))
	}).Should(BeTrue(), "the namespace is not gone")
}

func (c *cargo) transfer(ctx context.Context) *v1alpha1.ArchiveTransfer {
	GinkgoHelper()
	at := &v1alpha1.ArchiveTransfer{}
	Expect(it.Client.Get(ctx, c.key, at)).To(Succeed())
	return at
}

// condition is a condition of the transfer as "Status/Reason".
func (c *cargo) condition(ctx context.Context, kind string) func() string {
	return func() string {
		found := meta.FindStatusCondition(c.transfer(ctx).Status.Conditions, kind)
		if found == nil {
			return ""
		}
		return string(found.Status) + "/" + found.Reason
	}
}

func (c *cargo) expectComplete(ctx context.Context) {
	GinkgoHelper()
	Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
}

// underWay waits until some archives are done and some are not.
func (c *cargo) underWay(ctx context.Context) int64 {
	GinkgoHelper()
	Eventually(func() int64 { return c.finished(ctx) }).Should(BeNumerically(">", 0))
	Expect(c.condition(ctx, v1alpha1.ConditionComplete)()).NotTo(HavePrefix("True"), "the transfer was over too soon to be disturbed")
	return c.finished(ctx)
}

// finished counts the archives that have ended.
func (c *cargo) finished(ctx context.Context) int64 {
	if p := c.transfer(ctx).Status.Progress; p != nil {
		return ptr.Deref(p.ArchivesFinished, 0)
	}
	return 0
}

// expectVerified compares every byte of a transfer of single objects, and expects
// that nothing is left over and nothing was counted twice.
func (c *cargo) expectVerified(ctx context.Context) {
	GinkgoHelper()
	tally, err := it.Verify(ctx, c.dir, c.to)
	Expect(err).NotTo(HaveOccurred())
	progress := c.transfer(ctx).Status.Progress
	Expect(*progress.Done.Files).To(Equal(int64(tally.Files)))
	Expect(*progress.Done.Bytes).To(Equal(tally.Bytes))
	c.expectNoLeases(ctx)
}

func (c *cargo) expectNoLeases(ctx context.Context) {
	GinkgoHelper()
	var leases v1alpha1.PrefixLeaseList
	Eventually(func() int {
		Expect(it.Client.List(ctx, &leases, client.InNamespace(c.key.Namespace))).To(Succeed())
		return len(leases.Items)
	}).Should(BeZero(), "leases are left over")
}

// workers are the pods that move the data, whatever has become of them.
func (c *cargo) workers(ctx context.Context) []corev1.Pod {
	GinkgoHelper()
	var pods corev1.PodList
	Expect(it.Client.List(ctx, &pods, client.InNamespace(c.key.Namespace),
		client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleWorker})).To(Succeed())
	return pods.Items
}

// running are the workers that run.
func (c *cargo) running(ctx context.Context) []corev1.Pod {
	GinkgoHelper()
	var running []corev1.Pod
	for _, pod := range c.workers(ctx) {
		if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
			running = append(running, pod)
		}
	}
	return running
}

// objects counts the objects in the bucket.
func (c *cargo) objects(ctx context.Context) int {
	GinkgoHelper()
	store, err := it.Store.Client()
	Expect(err).NotTo(HaveOccurred())
	count := 0
	for object := range store.ListObjectsIter(ctx, c.to.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		Expect(object.Err).NotTo(HaveOccurred())
		count++
	}
	return count
}

// openUploads are the keys of the bucket's open multipart uploads.
func (c *cargo) openUploads(ctx context.Context) []string {
	GinkgoHelper()
	store, err := it.Store.Client()
	Expect(err).NotTo(HaveOccurred())
	var keys []string
	for upload := range store.ListIncompleteUploads(ctx, c.to.Bucket, "", true) {
		Expect(upload.Err).NotTo(HaveOccurred())
		keys = append(keys, upload.Key)
	}
	return keys
}
