// Package privileged is for tests of what only root may do. Others skip them here, and nowhere else.
package privileged

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// Root leaves the test to root.
func Root(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may do what this test does")
	}
}

// Tmpfs mounts a file system in memory for the time of the test. Its options are those of tmpfs(5).
func Tmpfs(t *testing.T, dir, options string) {
	t.Helper()
	Root(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); errors.Is(err, syscall.EPERM) {
		t.Skip("root may not mount file systems here, as in a container")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
