package faults

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cargoship.dev/operator/lab"
)

const tebi = 1 << 40

// hollow makes a file of a size in the source that holds data at some places only.
func (r *rig) hollow(t *testing.T, name string, size int64, at ...int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(r.source, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range at {
		if _, err := f.WriteAt([]byte("data"), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// peakMemory is the largest resident set, in bytes, of a run that has ended.
func (c *run) peakMemory() int64 {
	return c.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss * kibi
}

// asNobody has cargoship run as a user without rights who can read the rig's files.
func (r *rig) asNobody(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		const nobody = 65534
		r.user = &syscall.Credential{Uid: nobody, Gid: nobody}
		letIn(t, r.source)
		letIn(t, r.credentials)
	}
}

// TestSparseFileThereAndBack has a file of a TiB with 12 KiB of data go there and back
// in ten seconds and 200 MiB, verified in between.
func TestSparseFileThereAndBack(t *testing.T) {
	for name, user := range map[string]func(*rig){"root": func(*rig) {}, "nobody": func(r *rig) { r.asNobody(t) }} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, lab.Conditions{})
			places := []int64{0, tebi/2 + 12345, tebi - 4}
			r.hollow(t, "lastlog", tebi, places...)
			r.write(t, "other", 1000)
			user(r)
			restored := t.TempDir()
			if err := errors.Join(os.Chmod(restored, 0o777), os.Chmod(filepath.Dir(restored), 0o755)); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			for _, arguments := range [][]string{
				{"copy", r.source, destination, "--packing", "tar"}, {"verify", destination, "--read-back"}, {"restore", destination, restored},
			} {
				c := r.start(t, arguments...)
				if o := c.end(t); o.code != 0 {
					t.Fatalf("%s: exit code %d: %s", arguments[0], o.code, o.stderr)
				}
				if peak := c.peakMemory(); peak > 200*mebi {
					t.Errorf("%s took %d bytes of memory", arguments[0], peak)
				}
			}
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			wantHollow(t, filepath.Join(restored, "lastlog"), tebi, places...)
			r.wantNoUploads(t)
		})
	}
}

// wantHollow fails unless a file has the size and data at the places, and takes little space.
func wantHollow(t *testing.T, path string, size int64, at ...int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // It is only read.
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if taken := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() != size || taken > mebi {
		t.Errorf("%s has %d bytes and takes %d, want %d", path, info.Size(), taken, size)
	}
	for _, off := range at {
		counted.digests.Add(1)
		piece := make([]byte, 4)
		if _, err := f.ReadAt(piece, off); err != nil || string(piece) != "data" {
			counted.differing.Add(1)
			t.Errorf("%s has %q at %d, %v", path, piece, off, err)
		}
	}
}
