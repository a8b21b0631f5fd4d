package worker

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/kit"
)

// archived archives a directory as a transfer of the format does, and returns where a restore
// of it is to be done.
func archived(t *testing.T, s *kit.S3, dir string, format v1alpha1.PackingFormat) RestoreSite {
	t.Helper()
	site := siteAt(t, s, dir)
	site.Transfer.Spec.Packing.Format = format
	place := open(t, site)
	drive(t, place.Engine("one", 0, false, logTo(t)), newManager(1, "pod"), func(v1alpha1.PrefixLeaseStatus) {})
	if err := site.Finish(t.Context(), FinishOptions{}, logTo(t)); err != nil {
		t.Fatal(err)
	}
	var ar v1alpha1.ArchiveRestore
	ar.Name, ar.Namespace, ar.UID = "r", "default", "uid-2"
	ar.Spec.From.Location = &site.Transfer.Spec.Destination.Location
	ar.Spec.From.Run = &v1alpha1.RunSelector{ID: string(site.Transfer.UID)}
	ar.Spec.Conflicts, ar.Spec.Attributes = v1alpha1.ConflictFail, v1alpha1.AttributesRequired
	return RestoreSite{Restore: ar, TargetDir: t.TempDir(), Access: site.Access, MemoryLimit: 256 << 20}
}

// dressedTree is a tree of the kinds of entries that a tar can hold, with attributes.
func dressedTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i := range 400 {
		write(t, dir, fmt.Sprintf("d%d/e/file %d", i%5, i), []byte(strings.Repeat("x", i*13)))
	}
	write(t, dir, "big", make([]byte, 9<<20))
	write(t, dir, "d0/private/key", []byte("secret"))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(filepath.Join(dir, "d0/private/key"), 0o400))
	must(os.Chmod(filepath.Join(dir, "d0/private"), 0o510))
	must(os.Mkdir(filepath.Join(dir, "empty"), 0o750))
	must(os.Symlink("../big", filepath.Join(dir, "d1/link")))
	must(os.Link(filepath.Join(dir, "big"), filepath.Join(dir, "d2/same")))
	long := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	must(os.Chtimes(filepath.Join(dir, "d1/e/file 1"), long, long))
	must(os.Chtimes(filepath.Join(dir, "d1/e"), long, long))
	return dir
}

// tree describes everything below a directory: kind, mode, size, time, link and content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		what := fmt.Sprint(info.Mode(), " ", info.ModTime().UTC())
		switch {
		case entry.Type() == fs.ModeSymlink:
			to, _ := os.Readlink(path)
			what += " -> " + to
		case entry.Type().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			what += " " + string(content)
		}
		name, _ := filepath.Rel(dir, path)
		all[name] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func openRestore(t *testing.T, site RestoreSite) *RestorePlace {
	t.Helper()
	place, err := site.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = place.Close() })
	return place
}

// expect is what a manager has counted.
func expect(m *manager) *Expected {
	done, failed, skipped := m.totals()
	e := &Expected{}
	e.Done.Files, e.Done.Bytes = done.files, done.bytes
	e.Failed.Files, e.Failed.Bytes = failed.files, failed.bytes
	e.Skipped.Files, e.Skipped.Bytes = skipped.files, skipped.bytes
	e.Planned = e.Done.Plus(e.Failed).Plus(e.Skipped)
	return e
}

// A worker is killed midway, and another goes on; the finish pod finishes the directories.
func TestARestoreGoesOnAfterADeath(t *testing.T) {
	s := startS3(t)
	dir := dressedTree(t)
	site := archived(t, s, dir, v1alpha1.PackingTar)
	m := newManager(1, "pod")
	m.window = 1
	first := openRestore(t, site).Engine("one", 0, false, logTo(t))
	ctx, kill := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- first.Run(ctx) }()
	for len(m.ended) == 0 {
		r := first.Report()
		first.Apply(m.take(r))
		time.Sleep(5 * time.Millisecond)
	}
	kill()
	if err := <-ran; err == nil {
		t.Fatal("the worker ended by itself before it was killed")
	}
	drive(t, openRestore(t, site).Engine("two", 1000, true, logTo(t)), m, func(v1alpha1.PrefixLeaseStatus) {})
	if err := site.Finish(t.Context(), FinishOptions{Expect: expect(m)}, logTo(t)); err != nil {
		t.Fatal(err)
	}
	if _, failed, _ := m.totals(); failed.files != 0 {
		t.Errorf("%d files failed: %+v", failed.files, m.ended)
	}
	if diff := cmp.Diff(tree(t, dir), tree(t, site.TargetDir)); diff != "" {
		t.Errorf("the target differs from the source (-source +target):\n%.4000s", diff)
	}
	one, two := stat(t, site.TargetDir, "big"), stat(t, site.TargetDir, "d2/same")
	if !os.SameFile(one, two) {
		t.Error("names of one file are two files")
	}
}

func stat(t *testing.T, dir, name string) fs.FileInfo {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// With packing Objects directories are not archived: they are open as others that are made.
func TestARestoreOfObjects(t *testing.T) {
	s := startS3(t)
	dir := t.TempDir()
	for i := range 100 {
		write(t, dir, fmt.Sprintf("d%d/file %d", i%5, i), []byte(strings.Repeat("y", i)))
	}
	site := archived(t, s, dir, v1alpha1.PackingObjects)
	site.Restore.Spec.To.Path = "into/here"
	m := newManager(1, "pod")
	var seen int64
	drive(t, openRestore(t, site).Engine("one", 0, false, logTo(t)), m, func(r v1alpha1.PrefixLeaseStatus) {
		for _, p := range r.Prefixes {
			seen = max(seen, *p.Accepted)
		}
	})
	if err := site.Finish(t.Context(), FinishOptions{Expect: expect(m)}, logTo(t)); err != nil {
		t.Fatal(err)
	}
	here := filepath.Join(site.TargetDir, "into/here")
	if got := len(tree(t, here)); got != 105 {
		t.Errorf("the target holds %d entries, want 100 files in 5 directories", got)
	}
	if mode := stat(t, here, "d1").Mode(); mode != fs.ModeDir|0o755 {
		t.Errorf("a directory that was not archived has mode %v", mode)
	}
	if seen == 0 {
		t.Error("no request was counted on any prefix")
	}
}

// What exists is never lost unless that is asked for, and is counted.
func TestConflictsOfARestore(t *testing.T) {
	s := startS3(t)
	dir := t.TempDir()
	write(t, dir, "a/one", []byte("archived"))
	write(t, dir, "a/two", []byte("archived"))
	site := archived(t, s, dir, v1alpha1.PackingTar)
	for conflicts, want := range map[v1alpha1.ConflictAction]struct {
		content               string
		done, failed, skipped int64
	}{
		v1alpha1.ConflictFail:    {"mine", 2, 1, 0},
		v1alpha1.ConflictKeep:    {"mine", 2, 0, 1},
		v1alpha1.ConflictReplace: {"archived", 3, 0, 0},
	} {
		site.Restore.Spec.Conflicts, site.TargetDir = conflicts, t.TempDir()
		write(t, site.TargetDir, "a/one", []byte("mine"))
		m := newManager(1, "pod")
		drive(t, openRestore(t, site).Engine("one", 0, false, logTo(t)), m, func(v1alpha1.PrefixLeaseStatus) {})
		done, failed, skipped := m.totals()
		if got := [3]int64{done.files, failed.files, skipped.files}; got != [3]int64{want.done, want.failed, want.skipped} {
			t.Errorf("%s: done, failed, skipped are %v, want %d, %d, %d", conflicts, got, want.done, want.failed, want.skipped)
		}
		if err := site.Finish(t.Context(), FinishOptions{Expect: expect(m)}, logTo(t)); err != nil {
			t.Errorf("%s: %v", conflicts, err)
		}
		content, err := os.ReadFile(filepath.Join(site.TargetDir, "a/one"))
		if err != nil || string(content) != want.content {
			t.Errorf("%s: the file holds %q, %v", conflicts, content, err)
		}
	}
}

// Patterns select; the rest is skipped, and counts add up.
func TestSelectionOfARestore(t *testing.T) {
	s := startS3(t)
	site := archived(t, s, dressedTree(t), v1alpha1.PackingTar)
	site.Restore.Spec.From.Include, site.Restore.Spec.From.Exclude = []string{"d1"}, []string{"**/file 1*"}
	m := newManager(1, "pod")
	drive(t, openRestore(t, site).Engine("one", 0, false, logTo(t)), m, func(v1alpha1.PrefixLeaseStatus) {})
	if err := site.Finish(t.Context(), FinishOptions{Expect: expect(m)}, logTo(t)); err != nil {
		t.Fatal(err)
	}
	for name := range tree(t, site.TargetDir) {
		if name != "d1" && !strings.HasPrefix(name, "d1/") || strings.Contains(name, "file 1") {
			t.Errorf("%q was not selected", name)
		}
	}
	if done, _, skipped := m.totals(); done.files < 10 || skipped.files < 20 {
		t.Errorf("%d entries done and %d skipped", done.files, skipped.files)
	}
}

// Each of what stands in the way has a reason.
func TestWhatBlocksARestore(t *testing.T) {
	s := startS3(t)
	dir := t.TempDir()
	write(t, dir, "a/one", []byte("archived"))
	site := archived(t, s, dir, v1alpha1.PackingTar)
	before := metav1.NewTime(time.Now().Add(-time.Hour))
	for name, c := range map[string]struct {
		change func(*v1alpha1.ArchiveRestoreSpec)
		want   string
	}{
		"a run that does not exist": {func(a *v1alpha1.ArchiveRestoreSpec) { a.From.Run = &v1alpha1.RunSelector{ID: "other"} }, v1alpha1.ReasonRunNotFound},
		"a time without a run":      {func(a *v1alpha1.ArchiveRestoreSpec) { a.From.Run = &v1alpha1.RunSelector{Before: &before} }, v1alpha1.ReasonRunNotFound},
		"a pattern that is none":    {func(a *v1alpha1.ArchiveRestoreSpec) { a.From.Include = []string{"["} }, v1alpha1.ReasonPatternInvalid},
		"a bucket that is gone":     {func(a *v1alpha1.ArchiveRestoreSpec) { a.From.Location.Bucket = "gone" }, v1alpha1.ReasonBucketNotFound},
		"a file in the way": {func(a *v1alpha1.ArchiveRestoreSpec) {
			write(t, site.TargetDir, "file", nil)
			a.To.Path = "file/below"
		}, v1alpha1.ReasonTargetUnavailable},
	} {
		changed := site
		changed.Restore = *site.Restore.DeepCopy()
		c.change(&changed.Restore.Spec)
		_, err := changed.Open(t.Context())
		if err == nil {
			t.Errorf("%s: opened", name)
			continue
		}
		_, reason := condition(stalled("one", 1, err), v1alpha1.LeaseConditionBlocked)
		if reason != c.want || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: reason %s, want %s: %v", name, reason, c.want, err)
		}
	}
}

// An archive whose manifest was modified fails with a reason, the others are restored, and the
// counts add up.
func TestARestoreWithADamagedManifest(t *testing.T) {
	s := startS3(t)
	dir := dressedTree(t)
	site := archived(t, s, dir, v1alpha1.PackingObjects)
	damage(t, s, "base/.cargoship/uid-1/manifests/")
	m := newManager(1, "pod")
	place := openRestore(t, site)
	engine := place.Engine("one", 0, false, logTo(t))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	go func() { _ = engine.Run(ctx) }()
	var reason string
	for reason == "" && ctx.Err() == nil {
		r := engine.Report()
		for _, f := range r.Finished {
			if f.Result == v1alpha1.ArchiveRetry {
				reason = f.Reason
			}
		}
		engine.Apply(m.take(r))
		time.Sleep(20 * time.Millisecond)
	}
	if reason != v1alpha1.ReasonRunUnreadable {
		t.Errorf("the archive ended for %q, want %s", reason, v1alpha1.ReasonRunUnreadable)
	}
	sum, err := place.sum(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	var listed int64
	for _, p := range place.route.catalog.Index.Prefixes {
		listed += p.Files
	}
	if sum.Total().Files != listed || sum.Failed.Files == 0 {
		t.Errorf("%+v is counted of %d entries", sum, listed)
	}
}

// damage overwrites the first object below a prefix of keys.
func damage(t *testing.T, s *kit.S3, prefix string) {
	t.Helper()
	c := s3Client(t, s)
	o, listed := <-c.ListObjects(t.Context(), testBucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true})
	if !listed || o.Err != nil {
		t.Fatalf("list the first object below %q: found %t, %v", prefix, listed, o.Err)
	}
	if _, err := c.PutObject(t.Context(), testBucket, o.Key, strings.NewReader("{}"), 2, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestParseRestore(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "no JSON": "{", "no UID": `{"spec":{"from":{"location":{"bucket":"b"},"run":{"id":"x"}}}}`,
		"no location": `{"metadata":{"uid":"u"},"spec":{"from":{"run":{"id":"x"}}}}`,
		"no run":      `{"metadata":{"uid":"u"},"spec":{"from":{"location":{"bucket":"b"}}}}`,
	} {
		if _, err := ParseRestore(text); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
