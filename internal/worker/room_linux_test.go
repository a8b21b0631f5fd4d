package worker

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/test/kit/privileged"
)

// A volume that is too small, in bytes or inodes, holds the restore before anything is written, and
// it goes on once there is room.
func TestAVolumeThatIsTooSmallIsToldBeforehand(t *testing.T) {
	s := startS3(t)
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		write(t, dir, name, make([]byte, 1<<20))
	}
	site := archived(t, s, dir, v1alpha1.PackingTar)
	site.Restore.Spec.Attributes = v1alpha1.AttributesBestEffort
	for name, options := range map[string][2]string{
		"bytes": {"size=2m", "size=8m"}, "inodes": {"size=8m,nr_inodes=3", "size=8m,nr_inodes=30"},
	} {
		volume := t.TempDir()
		privileged.Tmpfs(t, volume, options[0])
		site.TargetDir = volume
		place := openRestore(t, site)
		for range 2 { // the second time from memory
			_, err := place.plan(t.Context(), func(_ archive.Plan) {})
			if v := verdictOf(err); v.reason != v1alpha1.ReasonTargetTooSmall {
				t.Errorf("%s: %v", name, err)
			}
		}
		if entries, err := os.ReadDir(volume); err != nil || len(entries) > 0 {
			t.Errorf("%s: the volume holds %v, %v", name, entries, err)
		}
		if err := syscall.Mount("tmpfs", volume, "tmpfs", syscall.MS_REMOUNT, options[1]); err != nil {
			t.Fatal(err)
		}
		if _, err := place.plan(t.Context(), func(_ archive.Plan) {}); err != nil {
			t.Errorf("%s: once there is room: %v", name, err)
		}
	}
}

// What is at the target already, or is not selected, needs no room; and nobody asks where the
// user says so.
func TestOnlyWhatIsMissingNeedsRoom(t *testing.T) {
	s := startS3(t)
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		write(t, dir, name, make([]byte, 1<<20))
	}
	site := archived(t, s, dir, v1alpha1.PackingTar)
	volume := t.TempDir()
	privileged.Tmpfs(t, volume, "size=2500k")
	site.TargetDir = volume
	plans := func(change func(*v1alpha1.ArchiveRestoreSpec)) error {
		changed := site
		changed.Restore = *site.Restore.DeepCopy()
		change(&changed.Restore.Spec)
		_, err := openRestore(t, changed).plan(t.Context(), func(_ archive.Plan) {})
		return err
	}
	if err := plans(func(*v1alpha1.ArchiveRestoreSpec) {}); err == nil {
		t.Error("3 MiB fit into 2.5")
	}
	if err := plans(func(a *v1alpha1.ArchiveRestoreSpec) { a.To.RoomCheck = v1alpha1.RoomCheckSkip }); err != nil {
		t.Errorf("nobody should have asked: %v", err)
	}
	if err := plans(func(a *v1alpha1.ArchiveRestoreSpec) { a.From.Include = []string{"a", "b"} }); err != nil {
		t.Errorf("what is not selected needs room: %v", err)
	}
	write(t, volume, "b", make([]byte, 1<<20))
	at := stat(t, dir, "b").ModTime()
	if err := os.Chtimes(filepath.Join(volume, "b"), at, at); err != nil {
		t.Fatal(err)
	}
	if err := plans(func(a *v1alpha1.ArchiveRestoreSpec) { a.From.Include = []string{"a", "b"} }); err != nil {
		t.Errorf("what is there already needs room: %v", err)
	}
}
