package restore_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/test/kit/privileged"
)

// small is a tree of a file with another name.
func small(t *testing.T) *bucket {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "a", 100)
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	return archived(t, dir, zstd())
}

// Inodes of 128 bytes hold whole seconds.
func TestFileSystemsWithCoarseTimesAreRestoredInto(t *testing.T) {
	privileged.Root(t)
	to := t.TempDir()
	thin(t, to, "-I", "128")
	b := small(t)
	restoreApart(t, restore.Options{Catalog: catalog(t, b), Dir: to, Conflicts: restore.Fail})
	if s := run(t, b, restore.Options{Dir: to}); s.Present != 1 || s.Failed+s.AttributesFailed > 0 {
		t.Errorf("%+v %v", s, s.AttributeFailures)
	}
}

// A time that a file system can't hold is told of once, and the file is not fetched again for it.
func TestTimesThatAFileSystemCannotHold(t *testing.T) {
	b := small(t)
	b.change(t, func(m *archive.Member) { m.ModTime = time.Date(1<<20, 1, 1, 0, 0, 0, 0, time.UTC) })
	to := t.TempDir()
	if s := run(t, b, restore.Options{Dir: to, Conflicts: restore.Fail}); s.Failed > 0 {
		t.Errorf("%+v %v", s, s.Failures)
	} else if info, err := os.Stat(filepath.Join(to, "a")); err != nil || info.ModTime().Year() < 1<<20 && s.AttributesFailed != 1 {
		t.Errorf("%v, %v, %+v", info.ModTime(), err, s)
	}
	if s := run(t, b, restore.Options{Dir: to, Conflicts: restore.Fail}); s.Failed > 0 || s.Present != 1 {
		t.Errorf("again: %+v %v", s, s.Failures)
	}
	if left := leftovers(t, to); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}
