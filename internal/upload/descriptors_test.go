package upload

import (
	"context"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"testing"
	"time"

	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/s3/s3test"
)

func TestDescriptorsBoundRequests(t *testing.T) {
	for limit, want := range map[int]int{0: 1019, 16: 1, 32: 3, 64: 11, 1024: 251, 1 << 20: 1019} {
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
	f := &lentFile{lending: u.lend(), ctx: t.Context(), retrier: u.retrier, key: "key", open: func() (SourceFile, error) {
		if tries++; tries < 4 {
			return nil, &fs.PathError{Op: "open", Path: "file", Err: syscall.EMFILE}
		}
		return newFile(1), nil
	}}
	if err := f.use(); err != nil || tries != 4 {
		t.Fatalf("%d tries, %v", tries, err)
	}
	f.done()
}

// TestAFileThatCannotBeOpenedYetEndsWithItsContext has all descriptors taken.
func TestAFileThatCannotBeOpenedYetEndsWithItsContext(t *testing.T) {
	u := &Uploader{retrier: s3.NewRetrier(), descriptors: newDescriptors(64)}
	most := int64(u.descriptors.most)
	if !u.descriptors.ahead.TryAcquire(most) || !u.descriptors.behind.TryAcquire(most) {
		t.Fatal("the descriptors are taken already")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	f := &lentFile{lending: u.lend(), ctx: ended, retrier: u.retrier, key: "key", open: func() (SourceFile, error) { return newFile(1), nil }}
	wantError(t, f.use(), s3.Transient, s3.ReasonCanceled)
}

// TestRequestsThatWaitKeepNoDescriptorFromOthers closes the window of a prefix whose objects
// are half sent, where two files may be open.
func TestRequestsThatWaitKeepNoDescriptorFromOthers(t *testing.T) {
	r := newRig(t, nil)
	r.descriptors = newDescriptors(descriptorsReserved)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	open := func(grant int64, prefix string) {
		r.gate.Set(Grant{Sequence: grant}, []PrefixLimit{{Prefix: prefix, Window: 2}})
	}
	var halfSent, others sync.WaitGroup
	before := r.proxy.Requests(s3test.Every)
	open(1, "first")
	r.sendSome(ctx, t, &halfSent, "first", 20*mebi)
	for len(r.proxy.PartsSince(before)) < 3 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	open(2, "second")
	r.sendSome(ctx, t, &others, "second", 3<<10)
	r.sendSome(ctx, t, &others, "second", 20*mebi)
	others.Wait()
	open(3, "first")
	halfSent.Wait()
	if d := r.descriptors; !d.ahead.TryAcquire(int64(d.most)) || !d.behind.TryAcquire(int64(d.most)) {
		t.Error("descriptors were not given back")
	}
}

// sendSome sends three files of a size, and three streams.
func (r *rig) sendSome(ctx context.Context, t *testing.T, all *sync.WaitGroup, prefix string, size int) {
	for i := range 3 {
		f := newFile(size)
		file := f.file(fmt.Sprintf("%s/%d/%d", prefix, size, i))
		stream := Stream{Prefix: prefix, Key: file.Key + ".tar", Size: file.Size, Parts: partsOf{f.content}}
		file.Prefix = prefix
		all.Go(func() {
			if _, err := r.Upload(ctx, file); err != nil {
				t.Errorf("Upload of %s: %v", file.Key, err)
				return
			}
			r.wantStored(t, file.Key, f.content)
		})
		all.Go(func() {
			if _, err := r.UploadStream(ctx, stream); err != nil {
				t.Errorf("UploadStream of %s: %v", stream.Key, err)
				return
			}
			r.wantStored(t, stream.Key, f.content)
		})
	}
}
