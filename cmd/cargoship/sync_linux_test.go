package main

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSyncNoticesChangedAttributes changes nothing but extended attributes between runs,
// which moves neither size nor time.
func TestSyncNoticesChangedAttributes(t *testing.T) {
	for _, packing := range []string{"objects", "tar"} {
		t.Run(packing, func(t *testing.T) {
			d := newDestination(t)
			dir := t.TempDir()
			manyFiles(t, dir, 20)
			args := d.args(dir, "base", "--packing", packing, "--prefixes", "1", "--sync", "size-and-time", "--json")
			set := func(path, value string) {
				if err := unix.Setxattr(filepath.Join(dir, path), "user.label", []byte(value), 0); err != nil {
					t.Fatal(err)
				}
			}
			set("d1/s01/f00001", "one")
			changed := []string{"d1/s01/f00001"}
			if packing == "tar" { // Objects have no directories.
				changed = append(changed, "d1")
			}
			if r := work(t, args...); r.code != 0 {
				t.Fatal(r.stderr)
			}
			if r := work(t, args...); r.code != 0 || r.summary(t).Kept < 20 {
				t.Errorf("nothing has changed: exit code %d, %d files kept: %s", r.code, r.summary(t).Kept, r.stderr)
			}
			for _, path := range changed {
				set(path, "two")
				if r := work(t, args...); r.code != 0 {
					t.Fatal(r.stderr)
				}
				to := filepath.Join(t.TempDir(), "to")
				if r := work(t, "restore", "s3://"+bucket+"/base", to, "--endpoint-url", d.Endpoint, "--region", d.Region, "--path-style", "--credentials-dir", d.creds); r.code != 0 {
					t.Fatal(r.stderr)
				}
				value := make([]byte, 10)
				n, err := unix.Getxattr(filepath.Join(to, path), "user.label", value)
				if err != nil || string(value[:n]) != "two" {
					t.Errorf("%s has %q, %v, want two", path, value[:max(n, 0)], err)
				}
			}
		})
	}
}
