package faults

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"cargoship.dev/operator/lab"
)

// TestFullDisk copies from a file system that is full, which takes nothing of it, and
// restores into it, which fails with the reason and goes on once there is room.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	mount := func(flags uintptr, size string) error {
		return syscall.Mount("tmpfs", disk, "tmpfs", flags, "size="+size)
	}
	if err := mount(0, "60m"); errors.Is(err, syscall.EPERM) {
		t.Log("only root mounts file systems")
		return
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmount %s: %v", disk, err)
		}
	})
	r := newRig(t, lab.Conditions{})
	r.source = filepath.Join(disk, "source")
	r.mixture(t)
	fill(t, filepath.Join(disk, "filler"))
	if o := r.copy(t, "--packing", "tar"); o.code != 0 || o.Failed != 0 {
		t.Fatalf("exit code %d, %d failed, want 0: %s", o.code, o.Failed, o.stderr)
	}
	restored := filepath.Join(disk, "restored")
	restore := []string{"restore", destination, restored}
	wantFailed(t, r.start(t, restore...).end(t), "nothing was restored: the restore needs")
	wantFailed(t, r.start(t, append(restore, "--no-room-check")...).end(t), "no space left on device")
	if err := mount(syscall.MS_REMOUNT, "200m"); err != nil {
		t.Fatal(err)
	}
	if o := r.start(t, restore...).end(t); o.code != 0 {
		t.Errorf("exit code %d once there is room, want 0: %s", o.code, o.stderr)
	}
	wantSameTree(t, r.source, restored)
	r.wantNoUploads(t)
}

// fill writes a file until there is no room for more.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = file.Write(make([]byte, 4*kibi))
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
