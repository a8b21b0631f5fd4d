package worker

import (
	"errors"
	"testing"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
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
