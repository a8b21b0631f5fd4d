package restore_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/test/kit/privileged"
)

// thin mounts a file system of 200 MiB on a volume that has room for 24, and returns what mounts it
// again, without what is in memory.
func thin(t *testing.T, disk string, options ...string) (again func()) {
	t.Helper()
	pool := t.TempDir()
	privileged.Tmpfs(t, pool, "size=24m")
	image := filepath.Join(pool, "image")
	try := func(name string, args ...string) error {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
		}
		return nil
	}
	for _, command := range [][]string{
		{"truncate", "-s", "200M", image},
		append([]string{"mkfs.ext4", "-q", "-E", "lazy_itable_init=1,nodiscard", "-N", "256", "-O", "^has_journal", image}, options...),
		{"dd", "if=" + image, "of=" + image, "bs=1M", "count=4", "conv=notrunc", "status=none"}, // Its metadata has room.
		{"mount", "-o", "loop", image, disk},
	} {
		privileged.Prepare(t, command[0], command[1:]...)
	}
	t.Cleanup(func() { _ = try("umount", "-l", disk) })
	return func() {
		if err := try("umount", disk); err != nil {
			t.Fatal(err)
		}
		if err := try("mount", "-o", "loop", image, disk); err != nil {
			t.Fatal(err)
		}
	}
}

// A thin volume lacks the room for what its file system has taken.
func TestAVolumeThatIsOvercommittedFailsTheRestore(t *testing.T) {
	privileged.Root(t)
	disk := t.TempDir()
	again := thin(t, disk)
	dir := t.TempDir()
	for i := range 60 {
		write(t, dir, fmt.Sprintf("f%02d", i), 1<<20+i)
	}
	b := archived(t, dir, zstd())
	s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: disk})
	if err == nil {
		t.Errorf("restored: %+v", s)
	}
	again()
	got := describe(t, disk)
	delete(got, "lost+found")
	for name, want := range describe(t, dir) {
		if _, ok := got[name]; ok && got[name] != want {
			t.Errorf("%s was lost and passes for present: %s", name, cmp.Diff(want, got[name]))
		}
	}
}
