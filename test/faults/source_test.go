package faults

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"cargoship.dev/operator/lab"
)

// slowly is a path on which the mixture takes about two seconds.
func slowly() lab.Conditions {
	return lab.Conditions{Bandwidth: &lab.Bandwidth{SharedMegabits: 250}}
}

// underWay starts a copy of the mixture and returns it once the first part of huge
// has been sent.
func (r *rig) underWay(t *testing.T) *run {
	t.Helper()
	r.write(t, "huge", 6*partSize)
	for _, name := range []string{"a/1", "b/1"} {
		r.write(t, name, 1000)
	}
	c := r.begin(t)
	await(t, "parts to be sent", func() bool { return r.sent() > partSize })
	return c
}

func TestFileTruncatedWhileItIsRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, slowly())
	c := r.underWay(t)
	if err := os.Truncate(filepath.Join(r.source, "huge"), 5*partSize); err != nil {
		t.Fatal(err)
	}
	wantFailed(t, c.end(t), "failed: Changed: .*huge")
	r.wantSame(t, "huge")
	r.wantNoUploads(t)
}

// TestFileWrittenWhileItIsRead changes bytes and time, not the size.
func TestFileWrittenWhileItIsRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, slowly())
	c := r.underWay(t)
	file, err := os.OpenFile(filepath.Join(r.source, "huge"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("changed"), 3*partSize); err != nil || file.Close() != nil {
		t.Fatal(err)
	}
	wantFailed(t, c.end(t), "failed: Changed: .*huge")
	r.wantSame(t, "huge")
	r.wantNoUploads(t)
}

// TestFileReplacedWhileItIsRead puts another file of the same size in its place. Either
// may arrive, or neither with a word about it; never a mixture.
func TestFileReplacedWhileItIsRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, slowly())
	c := r.underWay(t)
	path := filepath.Join(r.source, "huge")
	before, err := digest(path)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other")
	writeRandom(t, other, "other", 6*partSize)
	after, err := digest(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	o := c.end(t)
	stored, err := digest(r.server.Path(bucket, "base/huge"))
	counted.digests.Add(1)
	switch {
	case os.IsNotExist(err):
		wantFailed(t, o, "failed: Changed: .*huge")
	case err != nil:
		t.Fatal(err)
	case stored != before && stored != after:
		counted.differing.Add(1)
		t.Errorf("the object is neither the old file nor the new one")
	case o.code != 0:
		t.Errorf("exit code %d though the object stands: %s", o.code, o.stderr)
	}
	r.wantNoUploads(t)
}

func TestFileDeletedWhileOthersAreSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, slowly())
	r.write(t, "a/first", 6*partSize)
	late := r.write(t, "b/late", 6*partSize)
	c := r.begin(t)
	if err := os.Remove(late); err != nil {
		t.Fatal(err)
	}
	// Whether the walk had seen it decides whether there is something to be told.
	if o := c.end(t); o.code != 0 {
		wantFailed(t, o, "failed: (Changed|Vanished|Unreadable|NotFound): .*late")
	}
	r.wantSame(t)
	r.wantNoUploads(t)
}

// TestUnreadable copies as a user who may not read everything.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Conditions{})
	r.mixture(t)
	secret := r.write(t, "secret/file", 1000)
	closed := r.write(t, "closed", 1000)
	if os.Getuid() == 0 {
		const nobody = 65534
		r.user = &syscall.Credential{Uid: nobody, Gid: nobody}
		letIn(t, r.source)
		letIn(t, r.credentials)
	}
	for _, path := range []string{filepath.Dir(secret), closed} {
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(path, 0o700) }) // So that it can be removed.
	}
	o := r.copy(t)
	wantFailed(t, o, `(?s)failed: Unreadable: .*closed`)
	wantFailed(t, o, `(?s)failed: Unreadable: .*secret`)
	for _, path := range []string{filepath.Dir(secret), closed} {
		if err := os.Chmod(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.wantSame(t, "secret/file", "closed")
	r.wantNoUploads(t)
}

// letIn opens a directory of the test, the files in it and the way to it to all users.
func letIn(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if err := os.Chmod(filepath.Join(dir, entry.Name()), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReadError copies a file that the kernel fails to read: the loopback device has
// no duplex mode, and a directory of sysfs is as good a source as any.
func TestReadError(t *testing.T) {
	const device = "/sys/devices/virtual/net/lo"
	if runtime.GOOS != "linux" {
		t.Logf("%s has no files that cannot be read", runtime.GOOS)
		return
	}
	if _, err := os.ReadFile(filepath.Join(device, "duplex")); err == nil {
		t.Fatalf("%s/duplex can be read: find another file that gives an error", device)
	}
	t.Parallel()
	r := newRig(t, lab.Conditions{})
	r.source = device
	wantFailed(t, r.copy(t, "--include", "duplex"), "failed: Unreadable: .*duplex")
	r.wantNoUploads(t)
	if _, err := os.Stat(r.server.Path(bucket, "base/duplex")); !os.IsNotExist(err) {
		t.Errorf("an object stands for a file that cannot be read (stat: %v)", err)
	}
}
