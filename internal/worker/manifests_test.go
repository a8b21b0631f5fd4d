package worker

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/upload"
)

const firstManifest = "base/.cargoship/uid/manifests/00/0000000000.json.zst"

// manifestBy is the manifest of the first archive that an attempt writes all or some of
// whose files get through.
func manifestBy(t *testing.T, b *bench, through func(key string) bool) []byte {
	t.Helper()
	b.dest.answer = func(key string) error {
		if through(key) {
			return nil
		}
		return &s3.Error{Class: s3.Transient, Reason: s3.ReasonServerError, Op: "put object", Key: key, Err: errors.New("500")}
	}
	b.on("a", 2, 0)
	b.renew()
	b.renew()
	after(5 * time.Second)
	return b.dest.objects[firstManifest]
}

func all(string) bool { return true }

// A worker that was thought dead had sent the archive; its successor fares worse.
func TestALaterAttemptThatFailsKeepsTheManifest(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		whole := manifestBy(t, b, all)
		b.end()

		b.run()
		stands := manifestBy(t, b, func(key string) bool { return key == "base/a/0/1" })
		m, err := archive.DecodeManifest(stands)
		if err != nil {
			t.Fatal(err)
		}
		before, err := archive.DecodeManifest(whole)
		if err != nil {
			t.Fatal(err)
		}
		if m.Tally() != before.Tally() || !m.Whole() {
			t.Errorf("the manifest counts %+v, and %+v before", m.Tally(), before.Tally())
		}
		f := b.Report().Finished[0]
		if f.Result == v1alpha1.ArchiveRetry || f.Failed != nil || *f.Done.Files != 5 {
			t.Errorf("reported %+v, want what the manifest holds", f)
		}
	})
}

// Neither has sent all, but both together have.
func TestAttemptsAddUp(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		half := func(key string) bool { return key <= "base/a/0/2" }
		b.run()
		manifestBy(t, b, half)
		if f := b.Report().Finished[0]; f.Result != v1alpha1.ArchiveRetry || *f.Done.Files != 3 {
			t.Errorf("reported %+v of half of the files", f)
		}
		b.end()

		b.run()
		m, err := archive.DecodeManifest(manifestBy(t, b, func(key string) bool { return !half(key) }))
		if err != nil || !m.Whole() {
			t.Errorf("the manifest counts %+v: %v", m.Tally(), err)
		}
		if f := b.Report().Finished[0]; f.Result == v1alpha1.ArchiveRetry || *f.Done.Files != 5 {
			t.Errorf("reported %+v, want what the manifest holds", f)
		}
	})
}

// tarUploader stores a tar, and tells of it once it may: the answer is on its way.
type tarUploader struct {
	*destination
	answer chan struct{}
}

func (u tarUploader) UploadStream(ctx context.Context, s upload.Stream) (upload.Receipt, error) {
	defer func() { _ = s.Parts.Close() }()
	buf := make([]byte, 8<<20)
	length, _, err := s.Parts.Fill(ctx, 0, buf)
	if err != nil {
		return upload.Receipt{}, err
	}
	etag := fmt.Sprintf("%x", md5.Sum(buf[:length]))
	u.mu.Lock()
	u.etag = map[string]string{s.Key: etag}
	u.mu.Unlock()
	<-u.answer
	return upload.Receipt{ETag: etag, Bytes: int64(length)}, nil
}

// The worker of the first attempt was thought dead, and a file has vanished until the second.
// Whichever writes its manifest last, the manifest is of the tar that is stored.
func TestOverlappingAttemptsAtATarLeaveAManifestOfIt(t *testing.T) {
	for _, firstIsLate := range []bool{true, false} {
		dir := t.TempDir()
		for _, name := range []string{"x", "y", "z"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("content of "+name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		layout := archive.Layout{Pattern: archive.Hash, Count: 1, UID: "uid", Run: "uid", Tar: &archive.Tar{
			Name: "t", TargetSize: archive.DefaultTargetSize, LargeFile: archive.DefaultTarLargeFile, Compression: archive.Plain, Digest: archive.DigestCRC64NVME}}
		source, err := archive.OpenSource(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		var content archive.Archive
		if _, err := source.Walk(t.Context(), archive.WalkOptions{Layout: layout}, func(a archive.Archive) error { content = a; return nil }); err != nil {
			t.Fatal(err)
		}
		bubble(t, func(t *testing.T, first *bench) {
			second := newBench(t)
			answers := map[*bench]chan struct{}{}
			for _, b := range []*bench{first, second} {
				answers[b] = make(chan struct{})
				b.options.Uploader, b.options.Source = tarUploader{first.dest, answers[b]}, source
				b.options.Manifests = StoreManifests(first.dest)
				b.options.Layout = func(context.Context) (archive.Layout, error) { return layout, nil }
				b.options.Fetch = func(context.Context, string, int64) (archive.Archive, error) { return content, nil }
				b.run()
				b.on("00", 2, 0)
				b.renew()
				b.renew()
				after(time.Second)
				_ = os.Remove(filepath.Join(dir, "x"))
			}
			late, early := first, second
			if !firstIsLate {
				late, early = second, first
			}
			for _, b := range []*bench{early, late} {
				close(answers[b])
				after(time.Second)
			}
			second.end()
			m, err := archive.DecodeManifest(first.dest.objects[layout.ManifestKey(0, 0)])
			if err != nil {
				t.Fatal(err)
			}
			if m.Object.ETag != first.dest.etag[m.Object.Key] {
				t.Error("the manifest is not of the tar that is stored")
			}
			if f := first.Report().Finished; len(f) != 1 || f[0].Result != v1alpha1.ArchiveRetry {
				t.Errorf("the first attempt reports %+v, want that it is to be retried", f)
			}
		})
		source.Close() //nolint:errcheck // It was only read.
	}
}
