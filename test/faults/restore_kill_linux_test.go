package faults

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cargoship.dev/operator/lab"
)

// TestKilledRestores kills restores at random times and restores again until one is done, as root
// and as a user without privileges, into directories that he may not write to. All must be there
// with its mode in the end, and what is private never be open to others.
func TestKilledRestores(t *testing.T) {
	r := newRig(t, lab.Conditions{Bandwidth: &lab.Bandwidth{SharedMegabits: 200}})
	for i := range 60 {
		r.write(t, fmt.Sprintf("closed/%d/%d", i%3, i), 100*kibi)
		r.write(t, fmt.Sprintf("private/%d/%d", i%3, i), 10*kibi)
	}
	chmodAll(t, filepath.Join(r.source, "closed"), 0o555)
	chmodAll(t, filepath.Join(r.source, "private"), 0o700)
	if o := r.copy(t, "--packing", "tar", "--target-size", "1Mi", "--prefixes", "2"); o.code != 0 {
		t.Fatalf("copy: exit code %d: %s", o.code, o.stderr)
	}
	want := directoryModes(t, r.source)
	for name, become := range map[string]func(*testing.T){"root": func(*testing.T) {}, "nobody": r.asNobody} {
		t.Run(name, func(t *testing.T) {
			become(t)
			defer func() { r.user = nil }()
			random := rand.New(rand.NewPCG(chosen.seed, 2))
			for killed := 0; killed < chosen.kills; {
				to := restoreDirectory(t, r.user)
				for range 1 + random.IntN(3) {
					c := r.start(t, "restore", destination, to)
					time.Sleep(time.Duration(random.Int64N(int64(600 * time.Millisecond))))
					if err := c.child.Stop(0); err != nil {
						t.Fatal(err)
					}
					killed++
					wantNothingOpen(t, to, want)
				}
				counted.kills.Add(1)
				if o := r.start(t, "restore", destination, to).end(t); o.code != 0 {
					t.Fatalf("exit code %d: %s", o.code, o.stderr)
				}
				wantSameTree(t, r.source, to)
				for p, mode := range directoryModes(t, to) {
					if want[p] != mode {
						t.Errorf("%s has mode %v, want %v", p, mode, want[p])
					}
				}
				if t.Failed() {
					t.Fatalf("after %d kills with seed %d", killed, chosen.seed)
				}
			}
		})
	}
}

// restoreDirectory makes a directory that the user may write to.
func restoreDirectory(t *testing.T, user *syscall.Credential) string {
	t.Helper()
	to, err := os.MkdirTemp("/tmp", "restored-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Whoever isn't root may have to open what is closed.
		_ = filepath.WalkDir(to, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(p, 0o700)
			}
			return err
		})
		if err := os.RemoveAll(to); err != nil {
			t.Error(err)
		}
	})
	if user != nil {
		if err := os.Chown(to, int(user.Uid), int(user.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// wantNothingOpen fails if a directory gives others more than it is to give them.
func wantNothingOpen(t *testing.T, dir string, want map[string]fs.FileMode) {
	t.Helper()
	for p, mode := range directoryModes(t, dir) {
		if more := mode &^ want[p] & 0o077; more != 0 {
			t.Errorf("%s has mode %v after a kill, and is to have %v", p, mode, want[p])
		}
	}
}

func directoryModes(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	all := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, p)
		all[name] = info.Mode().Perm()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// chmodAll gives all directories of a tree a mode, the deepest first.
func chmodAll(t *testing.T, dir string, mode fs.FileMode) {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			paths = append(paths, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := len(paths) - 1; i >= 0; i-- {
		if err := os.Chmod(paths[i], mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, p := range paths {
			_ = os.Chmod(p, 0o755) // So that it can be removed.
		}
	})
}

// TestAttributesNobodyMaySet restores what root has archived as a user who may not set all of it: the
// files are there, and the exit code says what they lack.
func TestAttributesNobodyMaySet(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root makes files that have capabilities")
		return
	}
	r := newRig(t, lab.Conditions{})
	path := r.write(t, "program", 10*kibi)
	// Version 2, CAP_NET_RAW permitted.
	capability := make([]byte, 20)
	capability[3], capability[5] = 2, 0x20
	if err := syscall.Setxattr(path, "security.capability", capability, 0); err != nil {
		t.Fatal(err)
	}
	if o := r.copy(t, "--packing", "tar"); o.code != 0 {
		t.Fatalf("copy: exit code %d: %s", o.code, o.stderr)
	}
	r.asNobody(t)
	for arguments, want := range map[string]int{"": 4, "--attributes=required": 4, "--attributes=best-effort": 0} {
		to := restoreDirectory(t, r.user)
		restore := []string{"restore", destination, to}
		if arguments != "" {
			restore = append(restore, arguments)
		}
		o := r.start(t, restore...).end(t)
		if o.code != want || !strings.Contains(o.stderr, `set extended attribute "security.capability": operation not permitted`) {
			t.Errorf("%q: exit code %d, want %d: %s", arguments, o.code, want, o.stderr)
		}
		wantSameTree(t, r.source, to)
	}
}
