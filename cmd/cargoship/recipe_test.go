package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheRecipeOfTheFormatPage brings a synced run back by the commands of docs/format.md.
func TestTheRecipeOfTheFormatPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "## Everything back, with tar and zstd")
	_, after, _ = strings.Cut(after, "```sh\n")
	script, _, _ := strings.Cut(after, "```")
	download, script, _ := strings.Cut(script, "\n")
	if !strings.HasPrefix(download, "aws s3 sync ") {
		t.Fatalf("the recipe begins with %q", download)
	}
	d := newDestination(t)
	dir := t.TempDir()
	manyFiles(t, dir, 60)
	write(t, dir, "d1/large one", 500_000)
	args := d.args(dir, "base", "--packing", "tar", "--prefixes", "2", "--large-file-threshold", "400Ki", "--target-size", "1Mi", "--sync", "size-and-time")
	for range 2 {
		if r := work(t, args...); r.code != 0 {
			t.Fatal(r.stderr)
		}
		write(t, dir, "zz/new", 1000)
	}
	if r := work(t, args...); r.code != 0 {
		t.Fatal(r.stderr)
	}
	want := fileDigests(t, dir, "")
	var run string
	for _, line := range strings.Split(work(t, d.reach("ls", "s3://"+bucket+"/base", "zz/new")...).stdout, "\n") {
		if _, key, found := strings.Cut(line, `"key":"base/`); found {
			run = strings.Split(key, "/")[1]
		}
	}
	here := t.TempDir()
	if err := os.Symlink(d.Path(bucket, "base"), filepath.Join(here, "there")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = here, append(os.Environ(), "BASE=base", "RUN="+run)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if diff := cmp.Diff(want, fileDigests(t, filepath.Join(here, "tree"), "")); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
