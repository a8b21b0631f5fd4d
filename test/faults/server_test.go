package faults

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"cargoship.dev/operator/lab"
)

func TestServersWithoutFeatures(t *testing.T) {
	for _, c := range []struct {
		feature      lab.Feature
		wantChecksum string
	}{
		{lab.CRC64NVME, "CRC32C"},
		{lab.Trailers, "CRC64NVME"},
		{lab.ConditionalWrites, "CRC64NVME"},
		{lab.ListParts, "CRC64NVME"},
		{lab.MD5ETags, "CRC64NVME"},
	} {
		t.Run(string(c.feature), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Conditions{Without: []lab.Feature{c.feature}})
			r.mixture(t)
			o := r.copy(t)
			r.wantWhole(t, o)
			if o.Checksum != c.wantChecksum {
				t.Errorf("checksum %q, want %s", o.Checksum, c.wantChecksum)
			}
			// A second copy finds objects, and whatever it asks of them it must not be misled.
			r.wantWhole(t, r.copy(t))
		})
	}
}

// TestClockSkew has the server's clock be off by more than S3 puts up with, and jump while
// files are sent. A server that keeps nothing stands behind: a real one goes by its own clock.
func TestClockSkew(t *testing.T) {
	ahead, behind := 20*time.Minute, -3*time.Hour
	t.Parallel()
	discard := lab.NewDiscard()
	slow := &lab.Bandwidth{SharedMegabits: 400}
	r := newRigBefore(t, discard, lab.Conditions{Bandwidth: slow, ClockSkew: &ahead})
	r.mixture(t)
	c := r.begin(t)
	await(t, "the copy to be under way", func() bool { return r.sent() > partSize })
	r.Set(lab.Conditions{ClockSkew: &behind})
	o := c.end(t)
	if o.code != 0 || o.Failed != 0 || o.Retries == 0 {
		t.Errorf("exit code %d, %d files failed, %d retries, want 0, 0 and some: %s", o.code, o.Failed, o.Retries, o.stderr)
	}
	want := map[string][32]byte{}
	digests(t, r.source, want)
	objects, bytes := discard.Objects()
	if objects != len(want) || bytes < 5*partSize {
		t.Errorf("%d objects of %d bytes, want %d of more than %d", objects, bytes, len(want), 5*partSize)
	}
	if open := r.Stats().Total.OpenUploads; open != 0 {
		t.Errorf("%d uploads are left open", open)
	}
}

// TestExpiredCredentials has the credentials expire, and renews them.
func TestExpiredCredentials(t *testing.T) {
	t.Parallel()
	slow := &lab.Bandwidth{SharedMegabits: 400}
	r := newRig(t, lab.Conditions{Bandwidth: slow, Faults: []lab.Fault{{Kind: lab.ExpiredToken, Share: 1, Skip: 6}}})
	r.mixture(t)
	c := r.begin(t)
	await(t, "the credentials to expire", func() bool { return r.Stats().Faults[lab.ExpiredToken] > 0 })
	time.Sleep(time.Second)
	r.Set(lab.Conditions{Bandwidth: slow})
	// The same keys again, as files that are newer: the server knows only these.
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		file := filepath.Join(r.credentials, name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.wantWhole(t, c.end(t))
}

// TestBucketBecomesReadOnlyForAWhile must not end the copy.
func TestBucketBecomesReadOnlyForAWhile(t *testing.T) {
	t.Parallel()
	slow := &lab.Bandwidth{SharedMegabits: 250}
	r := newRig(t, lab.Conditions{Bandwidth: slow})
	r.mixture(t)
	c := r.begin(t)
	await(t, "the copy to be under way", func() bool { return r.sent() > partSize })
	r.Set(lab.Conditions{Bandwidth: slow, ReadOnly: []string{bucket}})
	time.Sleep(1500 * time.Millisecond)
	r.Set(lab.Conditions{Bandwidth: slow})
	r.wantWhole(t, c.end(t))
}

// TestBucketBecomesReadOnly must end the copy with a reason. The next copy clears away
// what could not be cleared away then.
func TestBucketBecomesReadOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Conditions{Bandwidth: &lab.Bandwidth{SharedMegabits: 400}})
	r.mixture(t)
	c := r.begin(t)
	await(t, "the copy to be under way", func() bool { return r.sent() > partSize })
	r.Set(lab.Conditions{ReadOnly: []string{bucket}})
	wantFailed(t, c.end(t), "AccessDenied.*policy")
	r.Set(lab.Conditions{})
	r.wantWhole(t, r.copy(t))
}
