// Package privileged is for tests of what only root may do. Others skip them here, and nowhere else.
package privileged

import (
	"errors"
	"os"
	"os/exec"
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

// Prepare runs a command that prepares a test. Where it fails, as without loop devices or without the program,
// root can't do here what the test does.
func Prepare(t *testing.T, name string, args ...string) {
	t.Helper()
	Root(t)
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Skipf("%s %v: %v: %s", name, args, err, out)
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
