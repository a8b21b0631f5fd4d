package transfer

import (
	"context"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestDescriptorsBoundRequests(t *testing.T) {
	for limit, want := range map[int]int{0: 1358, 16: 1, 64: 14, 1024: 334, 1 << 20: 1358} {
		if got := newDescriptors(limit).most; got != want {
			t.Errorf("limit %d: %d requests, want %d", limit, got, want)
		}
	}
}

// TestTooManyOpenFiles is neither the file's fault nor the network's.
func TestTooManyOpenFiles(t *testing.T) {
	for name, err := range map[string]error{
		"a file":             &fs.PathError{Op: "open", Path: "file", Err: syscall.EMFILE},
		"all files":          &fs.PathError{Op: "open", Path: "file", Err: syscall.ENFILE},
		"a connection":       &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)},
		"a lookup of a name": &net.DNSError{Err: "too many open files", UnwrapErr: os.NewSyscallError("socket", syscall.EMFILE)},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, sourceError("open", "key", err), Transient, ReasonTooManyOpenFiles)
			wantError(t, Classify("put object", "key", err), Transient, ReasonTooManyOpenFiles)
			wantMatch(t, Classify("put object", "key", err), "too many open files.*: raise this machine's limit.* of .*open files")
		})
	}
}

// TestOpeningIsTriedAgain has no descriptors left for a while.
func TestOpeningIsTriedAgain(t *testing.T) {
	u := &Uploader{retrier: newRetrier(), descriptors: newDescriptors(64)}
	u.retrier.sleep = noSleep
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
	wantError(t, err, Transient, ReasonCanceled)
}
