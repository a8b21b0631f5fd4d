//go:build e2e

package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/kit/product"
)

// The files of a source: small ones, and such as are sent in parts.
const (
	smallFiles, largeFiles, largest = 240, 5, 64 << 20
	small, large                    = 16 << 10, 20 << 20
)

// stream is a sequence of transfers of one source to one bucket, of which two run at
// all times.
type stream struct {
	format    v1alpha1.PackingFormat
	namespace string
	dir       string
	number    int // tells apart the streams of a namespace
	transfers []*v1alpha1.ArchiveTransfer
}

func (s *stream) location(at *v1alpha1.ArchiveTransfer) product.Location {
	return product.Location{Bucket: s.namespace, Prefix: at.Name, Shared: true}
}

// furnish makes a namespace, a source and a bucket for each packing, with two streams.
func (r *run) furnish(ctx context.Context) []*stream {
	r.t.Helper()
	var streams []*stream
	for _, format := range []v1alpha1.PackingFormat{v1alpha1.PackingObjects, v1alpha1.PackingTar} {
		name := strings.ToLower(string(format))
		namespace := fmt.Sprintf("chaos-%d-%s-%x", *seed, name, time.Now().Unix()&0xffffff)
		dir := filepath.Join(r.Cluster.Volumes, namespace)
		for i := range smallFiles {
			r.must(write(filepath.Join(dir, fmt.Sprintf("dir-%d/%02d/file-%04d", i%5, i%13, i)), r.random, 1+r.random.IntN(small)))
		}
		for i := range largeFiles {
			r.must(write(filepath.Join(dir, fmt.Sprintf("dir-%d/large-%d", i%5, i)), r.random, large+i))
		}
		r.must(write(filepath.Join(dir, "dir-0/largest"), r.random, largest+1))
		r.must(r.Furnish(ctx, namespace, dir, namespace))
		for number := range 2 {
			streams = append(streams, &stream{format: format, namespace: namespace, dir: dir, number: number})
		}
	}
	return streams
}

// stream runs transfers one after another until over is closed, and waits for the last one.
func (r *run) stream(ctx context.Context, s *stream, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		default:
		}
		name := fmt.Sprintf("s%d-%03d", s.number, len(s.transfers))
		at := r.Transfer(s.namespace, name, product.Location{Bucket: s.namespace, Prefix: name})
		at.Spec.Workers.Count = 2
		at.Spec.Packing.Format = s.format
		key := client.ObjectKeyFromObject(at)
		err := r.awaitAfter(ctx, over, func(ctx context.Context) error {
			if err := r.Client.Create(ctx, at.DeepCopy()); !apierrors.IsAlreadyExists(err) {
				return err
			}
			return nil
		})
		if err != nil {
			r.t.Errorf("create %s: %v", key, err)
			return
		}
		s.transfers = append(s.transfers, at)
		began := time.Now()
		if err := r.awaitAfter(ctx, over, func(ctx context.Context) error { return r.ended(ctx, at) }); err != nil {
			r.t.Errorf("wait for %s: %v", key, err)
			return
		}
		r.tell("%s ended after %.0f s", key, time.Since(began).Seconds())
	}
}

// ended reads a transfer and returns an error while it goes on.
func (r *run) ended(ctx context.Context, at *v1alpha1.ArchiveTransfer) error {
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(at), at); err != nil {
		return err
	}
	for _, kind := range []string{v1alpha1.ConditionComplete, v1alpha1.ConditionFailed} {
		if meta.IsStatusConditionTrue(at.Status.Conditions, kind) {
			return nil
		}
	}
	if c := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionProgressing); c != nil {
		return fmt.Errorf("it goes on: %s: %s", c.Reason, c.Message)
	}
	return fmt.Errorf("it has no conditions")
}

// stored sums what stands in the buckets.
func (r *run) stored(ctx context.Context, streams []*stream) (bytes int64) {
	r.eachObject(ctx, streams, func(_ *minio.Client, _ string, object minio.ObjectInfo) { bytes += object.Size })
	return bytes
}

func (r *run) eachObject(ctx context.Context, streams []*stream, do func(*minio.Client, string, minio.ObjectInfo)) {
	r.t.Helper()
	store, err := r.Store.Client()
	r.must(err)
	seen := map[string]bool{}
	for _, s := range streams {
		if seen[s.namespace] {
			continue
		}
		seen[s.namespace] = true
		for object := range store.ListObjectsIter(ctx, s.namespace, minio.ListObjectsOptions{Recursive: true}) {
			r.must(object.Err)
			do(store, s.namespace, object)
		}
	}
}

// clear removes namespaces, volumes, sources and archives.
func (r *run) clear(ctx context.Context, streams []*stream) {
	r.eachObject(ctx, streams, func(store *minio.Client, bucket string, object minio.ObjectInfo) {
		r.must(store.RemoveObject(ctx, bucket, object.Key, minio.RemoveObjectOptions{}))
	})
	for _, s := range streams {
		for _, object := range []client.Object{
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}},
			&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: s.namespace + "-" + product.ClaimName}},
		} {
			r.must(client.IgnoreNotFound(r.Client.Delete(ctx, object)))
		}
		r.must(os.RemoveAll(s.dir))
	}
}
