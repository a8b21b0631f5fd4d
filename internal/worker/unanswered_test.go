package worker

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// unwell is a bucket that answers 500 to reads of keys with a part.
type unwell struct {
	*s3.Client
	part string
}

func (u *unwell) refuse(key string) error {
	if u.part == "" || !strings.Contains(key, u.part) {
		return nil
	}
	return &s3.Error{Class: s3.Transient, Reason: s3.ReasonServerError, Op: "get object", Key: key, Err: errors.New("InternalError")}
}

func (u *unwell) Get(ctx context.Context, key string) ([]byte, error) {
	if err := u.refuse(key); err != nil {
		return nil, err
	}
	return u.Client.Get(ctx, key)
}

func (u *unwell) OpenRange(ctx context.Context, key, etag string, offset, length int64) (io.ReadCloser, error) {
	if err := u.refuse(key); err != nil {
		return nil, err
	}
	return u.Client.OpenRange(ctx, key, etag, offset, length)
}

// restoredIn restores a directory, and returns where it is to be finished with a bucket that is unwell, and what the
// manager has counted.
func restoredIn(t *testing.T, dir string, include ...string) (*RestorePlace, *unwell, RestoreSite, *Expected) {
	t.Helper()
	site := archived(t, startS3(t), dir, v1alpha1.PackingTar)
	site.Restore.Spec.From.Include = include
	m := newManager(1, "pod")
	place := openRestore(t, site)
	drive(t, place.Engine("one", 0, false, logTo(t)), m, func(v1alpha1.PrefixLeaseStatus) {})
	return place, &unwell{Client: place.client}, site, expect(m)
}

// A finish pod that gets no answer has not found that anything differs.
func TestAFinishPodThatGetsNoAnswer(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/one", []byte("archived"))
	place, bucket, site, expected := restoredIn(t, dir)
	catalog, err := site.openRun(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	_ = place.session.Close() // Nothing was written through it.
	if place.session, err = restore.NewSession(site.restoreOptions(catalog), ""); err != nil {
		t.Fatal(err)
	}
	place.route.catalog = catalog
	o := FinishOptions{Expect: expected}

	bucket.part = "/manifests/"
	if err := place.finish(t.Context(), o, logTo(t)); err == nil || !mayPass(err) {
		t.Errorf("a manifest that can't be read now: %T %v", err, err)
	}
	if _, err := place.archive(t.Context(), "00", 0); !mayPass(err) {
		t.Errorf("a worker says %v", err)
	}
	for _, err := range place.route.manifests(t.Context()) {
		if errors.As(err, new(*restore.ManifestError)) || !mayPass(err) {
			t.Errorf("who looks through all of them is told %v", err)
		}
	}
	// Somebody has removed a file, so that it has to be fetched.
	bucket.part = ".tar"
	if err := os.Remove(filepath.Join(site.TargetDir, "a/one")); err != nil {
		t.Fatal(err)
	}
	if err := place.finish(t.Context(), o, logTo(t)); err == nil || !mayPass(err) {
		t.Errorf("an archive that can't be read now: %T %v", err, err)
	}
	// Where the workers have counted it as failed, too, the restore ends.
	lost := archive.Count{Files: 1, Bytes: int64(len("archived"))}
	less := *expected
	less.Done.Files, less.Done.Bytes, less.Failed = less.Done.Files-lost.Files, less.Done.Bytes-lost.Bytes, lost
	if err := place.finish(t.Context(), FinishOptions{Expect: &less}, logTo(t)); err != nil {
		t.Errorf("a file that nobody could read: %v", err)
	}
	bucket.part = ""
	if err := place.finish(t.Context(), o, logTo(t)); err != nil {
		t.Errorf("once the server answers: %v", err)
	}
}

// What is selected is looked up until the server answers: the whole run has other counts.
func TestASelectionThatGetsNoAnswer(t *testing.T) {
	_, bucket, site, _ := restoredIn(t, dressedTree(t), "d1/e")
	bucket.part = "/paths/"
	catalog, err := site.openRun(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := newRoute(t.Context(), catalog, site.Restore.Spec.From.Include); err == nil || !mayPass(err) {
		t.Errorf("%d prefixes, %T %v", len(r.prefixes), err, err)
	}
}
