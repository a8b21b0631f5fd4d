package upload

import (
	"context"
	"io/fs"
	"syscall"
	"testing"

	"cargoship.dev/operator/internal/s3"
)

func TestDescriptorsBoundRequests(t *testing.T) {
	for limit, want := range map[int]int{0: 1358, 16: 1, 64: 14, 1024: 334, 1 << 20: 1358} {
		if got := newDescriptors(limit).most; got != want {
			t.Errorf("limit %d: %d requests, want %d", limit, got, want)
		}
	}
}

// TestOpeningIsTriedAgain has no descriptors left for a while.
func TestOpeningIsTriedAgain(t *testing.T) {
	u := &Uploader{retrier: s3.NewRetrier(), descriptors: newDescriptors(64)}
	u.retrier.Sleep = noSleep
	tries := 0
	release, err := u.open(t.Context(), "key", func() error {
		if tries++; tries < 4 {
			return &fs.PathError{Op: "open", Path: "file", Err: syscall.EMFILE}
		}
		return nil
	})
	if err != nil || tries != 4 {
		t.Fatalf("%d tries, %v", tries, err)
	}
	release()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := u.descriptors.files.Acquire(t.Context(), int64(u.descriptors.most)); err != nil {
		t.Fatal(err)
	}
	_, err = u.open(ended, "key", func() error { return nil })
	wantError(t, err, s3.Transient, s3.ReasonCanceled)
}
