package worker

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/report"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/test/kit"
	"cargoship.dev/operator/test/kit/assets"
)

const testBucket = "bucket"

// programs returns the directory of the S3 server and the control plane.
func programs(t *testing.T) string {
	dir, err := assets.Ensure(t.Context(), assets.Options{Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// startS3 starts a real S3 server with a bucket.
func startS3(t *testing.T) *kit.S3 {
	s, err := kit.StartS3(t.Context(), kit.Options{Assets: programs(t), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	if err := s3Client(t, s).MakeBucket(t.Context(), testBucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func s3Client(t *testing.T, s *kit.S3) *minio.Client {
	c, err := s.Client()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// siteAt returns a site that archives dir to the server.
func siteAt(t *testing.T, s *kit.S3, dir string) Site {
	credentials := t.TempDir()
	write(t, credentials, v1alpha1.SecretKeyAccessKeyID, []byte(s.AccessKey))
	write(t, credentials, v1alpha1.SecretKeySecretAccessKey, []byte(s.SecretKey))
	var at v1alpha1.ArchiveTransfer
	at.Name, at.Namespace, at.UID = "t", "default", "uid-1"
	at.Spec.Destination.Location = v1alpha1.Location{
		Bucket: testBucket, Prefix: "base", Region: s.Region, Endpoint: s.Endpoint,
		AddressingStyle: v1alpha1.AddressingPath,
		Credentials:     v1alpha1.Credentials{SecretName: "s"},
	}
	return Site{Transfer: at, SourceDir: dir, Access: Access{CredentialsDir: credentials}, MemoryLimit: 256 << 20}
}

func open(t *testing.T, site Site) *Place {
	place, err := site.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = place.Close() })
	return place
}

func write(t *testing.T, dir, name string, content []byte) {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o640); err != nil {
		t.Fatal(err)
	}
}

// makeTree makes 300 small files, an empty one, two of 40 MiB, and things that
// are no files; it returns the keys below the base prefix that must stand.
func makeTree(t *testing.T) (dir string, want map[string]string) {
	dir, want = t.TempDir(), map[string]string{}
	random := rand.NewChaCha8([32]byte{1})
	file := func(name string, size int) {
		content := make([]byte, size)
		_, _ = random.Read(content)
		write(t, dir, name, content)
		want["base/"+name] = fmt.Sprintf("%x", sha256.Sum256(content))
	}
	for i := range 300 {
		file(fmt.Sprintf("dir%d/sub/file %d", i%3, i), i*97)
	}
	file("dir0/empty", 0)
	file("big/one", 40<<20)
	file("big/two", 40<<20+1)
	file("root file", 1000)
	write(t, dir, "dir1/bad\xff", []byte("name is not UTF-8"))
	if err := os.Symlink("nowhere", filepath.Join(dir, "dir1", "dangling")); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "dir2", "socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return dir, want
}

// objects returns the digests of all objects that are no bookkeeping.
func objects(t *testing.T, s *kit.S3) map[string]string {
	c, got := s3Client(t, s), map[string]string{}
	for o := range c.ListObjects(t.Context(), testBucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if strings.HasPrefix(o.Key, "base/.cargoship/") {
			continue
		}
		body, err := c.GetObject(t.Context(), testBucket, o.Key, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.New()
		if _, err := io.Copy(digest, body); err != nil {
			t.Fatal(err)
		}
		_ = body.Close()
		got[o.Key] = fmt.Sprintf("%x", digest.Sum(nil))
	}
	return got
}

// wantStored compares the objects in the bucket; no upload may be left open.
func wantStored(t *testing.T, s *kit.S3, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, objects(t, s)); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if keys := openUploads(t, s); len(keys) > 0 {
		t.Errorf("open uploads: %q", keys)
	}
}

func openUploads(t *testing.T, s *kit.S3) []string {
	var keys []string
	for u := range s3Client(t, s).ListIncompleteUploads(t.Context(), testBucket, "", true) {
		if u.Err != nil {
			t.Fatal(u.Err)
		}
		keys = append(keys, u.Key)
	}
	return keys
}

// drive runs an engine and a manager against each other until the drain. meanwhile
// is called with every report.
func drive(t *testing.T, e *Engine, m *manager, meanwhile func(v1alpha1.PrefixLeaseStatus)) {
	t.Helper()
	ran := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	go func() { ran <- e.Run(ctx) }()
	for {
		select {
		case err := <-ran:
			if err != nil {
				t.Fatalf("Run: %v; last report %+v", err, e.Report())
			}
			return
		case <-time.After(50 * time.Millisecond):
			r := e.Report()
			meanwhile(r)
			e.Apply(m.take(r))
		}
	}
}

func TestEngineMovesATree(t *testing.T) {
	s := startS3(t)
	dir, want := makeTree(t)
	before := goleak.IgnoreCurrent()
	place := open(t, siteAt(t, s, dir))
	m := newManager(1, "pod")
	drive(t, place.Engine("one", 0, false, logTo(t)), m, func(r v1alpha1.PrefixLeaseStatus) {
		if s, reason := condition(r, v1alpha1.LeaseConditionBlocked); s != metav1.ConditionFalse {
			t.Fatalf("Blocked is %s: %s", s, reason)
		}
	})

	place.client.Close()
	goleak.VerifyNone(t, before)
	wantStored(t, s, want)
	done, failed, skipped := m.totals()
	if got, want := [3]int64{done.files, failed.files, skipped.files}, [3]int64{int64(len(want)), 1, 2}; got != want {
		t.Errorf("done, failed, skipped: %v, want %v", got, want)
	}
	if keys := openUploads(t, s); len(keys) > 0 {
		t.Errorf("open uploads: %q", keys)
	}
	checkManifests(t, place, m, want)
}

// checkManifests looks that the manifests name exactly the objects.
func checkManifests(t *testing.T, place *Place, m *manager, want map[string]string) {
	t.Helper()
	layout, err := place.inventory.Layout(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, f := range m.ended {
		body, err := place.client.Get(t.Context(), layout.ManifestKey(layout.Index(f.Prefix), *f.Number))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := archive.DecodeManifest(body)
		if err != nil {
			t.Fatal(err)
		}
		for _, member := range manifest.Members {
			if member.Outcome == archive.Done {
				named[member.Key] = true
			}
		}
	}
	for key := range want {
		if !named[key] {
			t.Errorf("no manifest names %s", key)
		}
	}
	if len(named) != len(want) {
		t.Errorf("manifests name %d objects, %d stand", len(named), len(want))
	}
}

func TestEngineOutlastsAServerThatGoesAway(t *testing.T) {
	s := startS3(t)
	dir, want := makeTree(t)
	place := open(t, siteAt(t, s, dir))
	m := newManager(1, "pod")
	m.window = 2
	var killed, blocked bool
	drive(t, place.Engine("one", 0, false, logTo(t)), m, func(r v1alpha1.PrefixLeaseStatus) {
		if !killed && len(r.Prefixes) > 0 {
			killed = true
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if _, reason := condition(r, v1alpha1.LeaseConditionBlocked); killed && !blocked && reason == s3.ReasonEndpointUnreachable {
			blocked = true
			if err := s.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
	if !blocked {
		t.Errorf("never blocked (killed: %v)", killed)
	}
	wantStored(t, s, want)
	if _, failed, _ := m.totals(); failed.files != 1 {
		t.Errorf("%d files failed, want only the one whose name is not UTF-8", failed.files)
	}
}

func TestFinish(t *testing.T) {
	s := startS3(t)
	dir, want := makeTree(t)
	site := siteAt(t, s, dir)
	if err := site.Finish(t.Context(), FinishOptions{AbortOnly: true}, logTo(t)); err != nil {
		t.Errorf("abort before anything was planned: %v", err)
	}
	if err := site.Finish(t.Context(), FinishOptions{}, logTo(t)); err == nil {
		t.Error("finished without a plan")
	}
	place := open(t, site)
	m := newManager(1, "pod")
	drive(t, place.Engine("one", 0, false, logTo(t)), m, func(v1alpha1.PrefixLeaseStatus) {})

	core := minio.Core{Client: s3Client(t, s)}
	for _, key := range []string{"base/big/one", "base/somebody else's", "other/big/one"} {
		if _, err := core.NewMultipartUpload(t.Context(), testBucket, key, minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	site.Transfer.Status = v1alpha1.ArchiveTransferStatus{
		StartTime: ptr.To(metav1.NewTime(time.Now().Add(-time.Minute))),
		Workers:   &v1alpha1.WorkersStatus{Desired: ptr.To(int32(3)), Failed: ptr.To(int32(1))},
	}
	if err := site.Finish(t.Context(), FinishOptions{}, logTo(t)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"base/somebody else's", "other/big/one"}, openUploads(t, s)); diff != "" {
		t.Errorf("open uploads (-want +got):\n%s", diff)
	}
	body, err := place.client.Get(t.Context(), "base/.cargoship/uid-1/index.json")
	if err != nil {
		t.Fatal(err)
	}
	index, err := archive.DecodeIndex(body)
	if err != nil {
		t.Fatal(err)
	}
	wantReport(t, place, index)
	var files, archives, manifests int64
	for _, p := range index.Prefixes {
		files, archives, manifests = files+p.Files, archives+p.Archives, manifests+p.Manifests
	}
	if files != int64(len(want))+3 || archives != int64(len(m.ended)) || manifests != archives {
		t.Errorf("index counts %d files, %d archives, %d manifests", files, archives, manifests)
	}
}

// wantReport fails the test unless the run has a report in the bucket that counts as its index does.
func wantReport(t *testing.T, place *Place, index archive.Index) {
	t.Helper()
	catalog, err := restore.Open(t.Context(), place.client, "base", index.Transfer)
	if err != nil {
		t.Fatal(err)
	}
	terms := report.StoredAs("", false, false)
	stored, err := report.Read(t.Context(), catalog, terms)
	if err != nil {
		t.Fatal(err)
	}
	made, err := report.Of(t.Context(), catalog, terms)
	if err != nil {
		t.Fatal(err)
	}
	if f := stored.Fleet; f == nil || f.Seconds < 60 || f.BytesPerSecond != stored.Done.Bytes/f.Seconds || f.Workers != 3 || f.WorkersFailed != 1 || !f.Ended.Equal(index.Written) {
		t.Errorf("the fleet is %+v", f)
	}
	made.From, made.Fleet = stored.From, stored.Fleet
	if diff := cmp.Diff(made, stored); diff != "" || len(stored.Failures) == 0 {
		t.Errorf("%d failures; made from the manifests and stored:\n%s", len(stored.Failures), diff)
	}
}

func TestFinishFailsWithOneLine(t *testing.T) {
	s := startS3(t)
	site := siteAt(t, s, t.TempDir())
	write(t, site.CredentialsDir, v1alpha1.SecretKeySecretAccessKey, []byte("wrong"))
	err := site.Finish(t.Context(), FinishOptions{}, logTo(t))
	if blocking(err) == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("Finish: %v", err)
	}
	site.Transfer.Spec.Destination.Bucket = "missing"
	write(t, site.CredentialsDir, v1alpha1.SecretKeySecretAccessKey, []byte(s.SecretKey))
	if err := site.Finish(t.Context(), FinishOptions{AbortOnly: true}, logTo(t)); err != nil {
		t.Errorf("aborting in a bucket that is gone: %v", err)
	}
}

func TestParseTransfer(t *testing.T) {
	for name, text := range map[string]string{
		"empty":     "",
		"no JSON":   "{",
		"no UID":    `{"spec":{"destination":{"bucket":"b"}}}`,
		"no bucket": `{"metadata":{"uid":"u"}}`,
	} {
		if _, err := ParseTransfer(text); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	at, err := ParseTransfer(`{"metadata":{"name":"n","uid":"u"},"spec":{"destination":{"bucket":"b"}}}`)
	if err != nil || at.Name != "n" {
		t.Errorf("%v, %v", at.Name, err)
	}
}

func logTo(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }
