package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/product"
)

// ship is the product under test, one for all specs; failed is set when one fails,
// to keep what may tell why.
var (
	ship   *product.Product
	failed bool
)

var _ = AfterEach(func() { failed = failed || CurrentSpecReport().Failed() })

func TestIntegration(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(4 * time.Minute)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	RunSpecs(t, "The product on one machine")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	root, err := assets.RepositoryRoot()
	Expect(err).NotTo(HaveOccurred())
	dir, err := os.MkdirTemp("", "cargoship-integration-")
	Expect(err).NotTo(HaveOccurred())
	ship, err = product.Start(ctx, product.Options{Root: root, Dir: dir, Log: GinkgoWriter})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() error {
		err := ship.Stop()
		if failed {
			_, _ = fmt.Fprintf(GinkgoWriter, "logs and objects of this run are in %s\n", dir)
			return err
		}
		return os.RemoveAll(dir)
	})
})

// cargo is a directory, a namespace that can read it, and a bucket for it.
type cargo struct {
	dir       string
	namespace string
	to        product.Location
	key       client.ObjectKey
}

// furnish makes a directory of small files and large ones (of so many MiB each), a
// namespace, a claim, a Secret and a bucket.
func furnish(ctx context.Context, name string, small int, largeMiB ...int) *cargo {
	GinkgoHelper()
	c := &cargo{dir: GinkgoT().TempDir(), namespace: name, to: product.Location{Bucket: "b-" + name, Prefix: "base/of/" + name}}
	c.key = client.ObjectKey{Namespace: name, Name: "cargo"}
	random := rand.NewChaCha8([32]byte{byte(len(name))})
	write := func(path string, size int) {
		path = filepath.Join(c.dir, path)
		Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
		content := make([]byte, size)
		_, _ = random.Read(content)
		Expect(os.WriteFile(path, content, 0o644)).To(Succeed())
	}
	for i := range small {
		write(fmt.Sprintf("dir-%d/%03d/file-%05d", i%4, i%17, i), 100+37*i%9000)
	}
	for i, mib := range largeMiB {
		write(fmt.Sprintf("dir-%d/large-%d", i%4, i), mib<<20+i)
	}
	Expect(ship.Furnish(ctx, name, c.dir, c.to.Bucket)).To(Succeed())
	return c
}

// start creates the transfer, as changed.
func (c *cargo) start(ctx context.Context, change func(*v1alpha1.ArchiveTransfer)) {
	GinkgoHelper()
	at := ship.Transfer(c.namespace, c.key.Name, c.to)
	if change != nil {
		change(at)
	}
	Expect(ship.Client.Create(ctx, at)).To(Succeed())
}

func (c *cargo) transfer(ctx context.Context) *v1alpha1.ArchiveTransfer {
	GinkgoHelper()
	at := &v1alpha1.ArchiveTransfer{}
	Expect(ship.Client.Get(ctx, c.key, at)).To(Succeed())
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

// finished counts the archives that have ended.
func (c *cargo) finished(ctx context.Context) int64 {
	if p := c.transfer(ctx).Status.Progress; p != nil {
		return ptr.Deref(p.ArchivesFinished, 0)
	}
	return 0
}

// openUploads are the keys of the bucket's open multipart uploads.
func (c *cargo) openUploads(ctx context.Context) []string {
	GinkgoHelper()
	store, err := ship.S3.Client()
	Expect(err).NotTo(HaveOccurred())
	var keys []string
	for upload := range store.ListIncompleteUploads(ctx, c.to.Bucket, "", true) {
		Expect(upload.Err).NotTo(HaveOccurred())
		keys = append(keys, upload.Key)
	}
	return keys
}

// data are the keys in the bucket that are not bookkeeping.
func (c *cargo) data(ctx context.Context) []string {
	GinkgoHelper()
	store, err := ship.S3.Client()
	Expect(err).NotTo(HaveOccurred())
	var keys []string
	for o := range store.ListObjects(ctx, c.to.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		Expect(o.Err).NotTo(HaveOccurred())
		if !strings.Contains(o.Key, ".cargoship/") {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// expectVerified compares every byte, and expects that nothing is left over.
func (c *cargo) expectVerified(ctx context.Context) product.Tally {
	GinkgoHelper()
	tally, err := ship.Verify(ctx, c.dir, c.to)
	Expect(err).NotTo(HaveOccurred())
	var leases v1alpha1.PrefixLeaseList
	Eventually(func() int {
		Expect(ship.Client.List(ctx, &leases, client.InNamespace(c.namespace))).To(Succeed())
		return len(leases.Items)
	}).Should(BeZero(), "leases are left over")
	return tally
}

// workers are the pods that run and move data.
func (c *cargo) workers(ctx context.Context) []string {
	GinkgoHelper()
	var pods corev1.PodList
	Expect(ship.Client.List(ctx, &pods, client.InNamespace(c.namespace),
		client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleWorker})).To(Succeed())
	var names []string
	for _, p := range pods.Items {
		if p.Status.Phase == corev1.PodRunning {
			names = append(names, p.Name)
		}
	}
	return names
}

// kill ends a worker's process as the kernel would when memory runs out.
func (c *cargo) kill(pod string) {
	GinkgoHelper()
	pid, running := ship.Agent.PID(c.namespace, pod, v1alpha1.WorkerContainer)
	Expect(running).To(BeTrue(), "worker %s does not run", pod)
	Expect(syscall.Kill(-pid, syscall.SIGKILL)).To(Succeed())
}

// makeBucket makes a bucket.
func makeBucket(ctx context.Context, name string) {
	GinkgoHelper()
	store, err := ship.S3.Client()
	Expect(err).NotTo(HaveOccurred())
	Expect(store.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: ship.S3.Region})).To(Succeed())
}
