package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/s3"
)

func TestSecondAttemptGoesOnWithWhatTheFirstHasLeft(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.options.Fetch = func(context.Context, string, int64) (archive.Archive, error) {
			return archive.Archive{Prefix: "a", Number: 0, Entries: []archive.Entry{{Path: "a/big", Size: 1 << 30}}}, nil
		}
		b.dest.open = []s3.OpenUpload{{Key: "base/a/big", UploadID: "1"}, {Key: "base/a/bigger", UploadID: "2"}}
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		after(time.Second)
		if len(b.dest.left) > 0 || b.dest.again > 0 {
			t.Fatalf("the first attempt goes on with %v, asks for %d files that may stand", b.dest.left, b.dest.again)
		}
		b.renew()
		b.on("a", 2, 0)
		b.grant.Prefixes[0].Archives[0].Attempt = 2
		b.send()
		after(time.Second)
		if diff := cmp.Diff(b.dest.open[:1], b.dest.left); diff != "" || b.dest.again != 1 {
			t.Errorf("resumed (-want +got):\n%s, %d files that may stand, want 1", diff, b.dest.again)
		}
		if keys, _ := b.dest.sinceLast(); len(keys) != 2 {
			t.Errorf("sent %q, want the file twice", keys)
		}
	})
}

func TestBlockedAndFixed(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var broken atomic.Bool
		broken.Store(true)
		refuse := func(op, key string) error {
			if !broken.Load() {
				return nil
			}
			return &s3.Error{Class: s3.Credentials, Reason: s3.ReasonCredentialsRejected, Op: op, Key: key, Err: errors.New("403")}
		}
		b.dest.answer = func(key string) error { return refuse("put object", key) }
		b.dest.probe = func() error { return refuse("head bucket", "bucket") }
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		for range 30 {
			after(time.Second)
			b.renew()
		}
		keys, _ := b.dest.sinceLast()
		// Files that are under way may slip through the gate before the first refusal is read.
		if len(keys) > 2+protocol.FilesAhead || b.dest.probes < 4 || b.dest.probes > 7 {
			t.Errorf("%d files and %d probes while blocked for 30 s, want at most %d and 4 to 7", len(keys), b.dest.probes, 2+protocol.FilesAhead)
		}
		if s, reason := condition(b.Report(), v1alpha1.LeaseConditionBlocked); s != metav1.ConditionTrue || reason != s3.ReasonCredentialsRejected {
			t.Errorf("Blocked is %s %s", s, reason)
		}
		broken.Store(false)
		for range 17 {
			after(time.Second)
			b.renew()
		}
		r := b.Report()
		if s, _ := condition(r, v1alpha1.LeaseConditionBlocked); s != metav1.ConditionFalse {
			t.Errorf("still blocked")
		}
		if got := b.dest.objects; len(got) != 1 {
			t.Errorf("%d manifests, want 1", len(got))
		}
		if s := b.dest.stats["a"]; s.Accepted != int64(b.files) {
			t.Errorf("%d files accepted, want %d", s.Accepted, b.files)
		}
	})
}

// A probe may succeed where a file does not: what is refused must not be asked
// for again and again at full speed.
func TestBlockedThoughProbesSucceed(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.dest.answer = func(key string) error {
			return &s3.Error{Class: s3.Permission, Reason: s3.ReasonPermissionDenied, Op: "put object", Key: key, Err: errors.New("403")}
		}
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		for range 60 {
			after(time.Second)
			b.renew()
		}
		// Nine probes, and after each the files that are under way before the next refusal is read.
		if keys, _ := b.dest.sinceLast(); len(keys) > 9*(2+protocol.FilesAhead) {
			t.Errorf("%d requests in a minute of rejections", len(keys))
		}
	})
}

func TestTroubleAsksForAnotherAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.files = 100
		b.dest.answer = func(key string) error {
			return &s3.Error{Class: s3.Transient, Reason: s3.ReasonServerError, Op: "put object", Key: key, Err: errors.New("500")}
		}
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		after(5 * time.Second)
		f := b.Report().Finished[0]
		if f.Result != v1alpha1.ArchiveRetry || f.Reason != s3.ReasonServerError || *f.Failed.Files != 100 {
			t.Errorf("reported %+v", f)
		}
		if keys, _ := b.dest.sinceLast(); len(keys) > protocol.MaxTroubles+2+protocol.FilesAhead {
			t.Errorf("%d files begun at a destination that is plainly unwell", len(keys))
		}
	})
}

func TestOneTroubledFileLeavesTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.dest.answer = func(key string) error {
			if key != "base/a/0/2" {
				return nil
			}
			return &s3.Error{Class: s3.Integrity, Reason: s3.ReasonChecksumMismatch, Op: "put object", Key: key, Err: errors.New("BadDigest")}
		}
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		after(5 * time.Second)
		f := b.Report().Finished[0]
		if f.Result != v1alpha1.ArchiveRetry || *f.Done.Files != 4 || *f.Failed.Files != 1 || f.Reason != s3.ReasonChecksumMismatch {
			t.Errorf("reported %+v", f)
		}
	})
}

// A server that rejects one object with a code that may concern all blocks until another that was
// begun later is accepted. Others are, even if it is the last of its archive.
func TestOthersAreSentBeforeARejectedObjectIsTriedAgain(t *testing.T) {
	for _, rejected := range []string{"base/a/0/1", "base/a/0/4"} {
		bubble(t, func(t *testing.T, b *bench) {
			var before int
			b.dest.answer = func(key string) error {
				b.dest.mu.Lock()
				defer b.dest.mu.Unlock()
				if key != rejected {
					return nil
				}
				e := &s3.Error{Class: s3.Configuration, Reason: s3.ReasonConfigurationRejected, Op: "put object", Key: key, Err: errors.New("400")}
				if before > 0 && len(b.dest.began) > before+1 {
					e.Class, e.Reason = s3.Source, s3.ReasonObjectRejected
				}
				before = len(b.dest.began)
				return e
			}
			b.run()
			b.on("a", 1, 0, 1)
			b.renew()
			b.renew()
			for range 60 {
				after(time.Second)
				b.send()
			}
			r := b.Report()
			if got := len(r.Finished); got != 2 {
				t.Errorf("with %s rejected %v archives have ended after a minute, want both: %q", rejected, numbers(r), b.dest.began)
			}
		})
	}
}
