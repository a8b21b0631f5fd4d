package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recipe returns the commands of docs/format.md that follow the download.
func recipe(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "## Restoring everything with tar and zstd")
	_, after, _ = strings.Cut(after, "```sh\n")
	script, _, _ := strings.Cut(after, "```")
	download, script, _ := strings.Cut(script, "\n")
	if !strings.HasPrefix(download, "aws s3 sync ") {
		t.Fatalf("the recipe begins with %q", download)
	}
	return script
}

// follow runs the recipe in a directory.
func follow(t *testing.T, dir, run string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", recipe(t))
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "BASE=base", "RUN="+run)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestTheRecipeOfTheFormatPage brings a synced run back by the commands of docs/format.md.
func TestTheRecipeOfTheFormatPage(t *testing.T) {
	for _, compression := range []string{"zstd", "none"} {
		t.Run(compression, func(t *testing.T) {
			d := newDestination(t)
			dir := t.TempDir()
			manyFiles(t, dir, 60)
			write(t, dir, "d1/large one", 500_000)
			long := time.Unix(1_500_000_000, 0)
			args := d.args(dir, "base", "--packing", "tar", "--prefixes", "2", "--large-file-threshold", "400Ki", "--target-size", "1Mi",
				"--compression", compression, "--sync", "size-and-time")
			for range 2 {
				if r := work(t, args...); r.code != 0 {
					t.Fatal(r.stderr)
				}
				write(t, dir, "zz/new", 1000)
			}
			if err := os.Chtimes(filepath.Join(dir, "d1"), long, long); err != nil {
				t.Fatal(err)
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
			if out, err := follow(t, here, run); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if diff := cmp.Diff(want, fileDigests(t, filepath.Join(here, "tree"), "")); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if info, err := os.Stat(filepath.Join(here, "tree/d1")); err != nil || !info.ModTime().Equal(long) {
				t.Errorf("the time of a directory: %v, %v, want %v", info.ModTime(), err, long)
			}
		})
	}
}

// TestTheRecipeBringsWhatIsNotInATar follows the recipe for a run that has no archive.
func TestTheRecipeBringsWhatIsNotInATar(t *testing.T) {
	d := newDestination(t)
	dir := t.TempDir()
	write(t, dir, "large one", 500_000)
	r := work(t, d.args(dir, "base", "--packing", "tar", "--prefixes", "1", "--large-file-threshold", "400Ki")...)
	if r.code != 0 {
		t.Fatal(r.stderr)
	}
	runs, err := os.ReadDir(d.Path(bucket, "base/.cargoship"))
	if err != nil || len(runs) != 1 {
		t.Fatalf("%v, %v", runs, err)
	}
	here := t.TempDir()
	if err := os.Symlink(d.Path(bucket, "base"), filepath.Join(here, "there")); err != nil {
		t.Fatal(err)
	}
	if out, err := follow(t, here, runs[0].Name()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if diff := cmp.Diff(fileDigests(t, dir, ""), fileDigests(t, filepath.Join(here, "tree"), "")); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestTheRecipeRefusesToLeaveItsTree follows the recipe for runs that somebody has made up to
// have files written, or read, elsewhere.
func TestTheRecipeRefusesToLeaveItsTree(t *testing.T) {
	link := &tar.Header{Typeflag: tar.TypeSymlink, Name: "out", Linkname: "../outside"}
	below := &tar.Header{Typeflag: tar.TypeReg, Name: "out/file", Mode: 0o644}
	member := func(path, key string) string { return `{"path":"` + path + `","key":"` + key + `","outcome":"Done"}` }
	for name, tc := range map[string]struct {
		tars    [][]*tar.Header
		members string
	}{
		"a path upwards":                  {nil, member("../outside/file", "base/00/run/files/f")},
		"a path in the middle":            {nil, member("a/../../outside/file", "base/00/run/files/f")},
		"a key upwards":                   {nil, member("file", "base/../secret")},
		"a link, then a file of its own":  {[][]*tar.Header{{link}}, member("out/file", "base/00/run/files/f")},
		"a link, then a member below":     {[][]*tar.Header{{link, below}}, ""},
		"a link, then another archive":    {[][]*tar.Header{{link}, {below}}, ""},
		"an absolute link, then the next": {[][]*tar.Header{{{Typeflag: tar.TypeSymlink, Name: "out", Linkname: "OUTSIDE"}}, {below}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			here := t.TempDir()
			outside := filepath.Join(here, "outside")
			for path, content := range map[string]string{"there/00/run/files/f": "f", "outside/kept": "", "secret": "secret"} {
				put(t, filepath.Join(here, path), []byte(content))
			}
			text := ""
			for i, headers := range tc.tars {
				var out bytes.Buffer
				w := tar.NewWriter(&out)
				for _, h := range headers {
					h := *h
					h.Linkname = strings.Replace(h.Linkname, "OUTSIDE", outside, 1)
					if err := w.WriteHeader(&h); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				key := fmt.Sprintf("00/run/a-%d.tar", i)
				put(t, filepath.Join(here, "there", key), out.Bytes())
				text += `{"object":{"key":"base/` + key + `"}}` + "\n"
			}
			bookkeeping := filepath.Join(here, "there/.cargoship/run")
			put(t, filepath.Join(bookkeeping, "manifests/00/0.json"), []byte(text+`{"members":[`+tc.members+"]}\n"))
			prepare := exec.CommandContext(t.Context(), "bash", "-euc", "zstd --quiet --rm manifests/00/0.json; mkdir digests; sha256sum manifests/00/* >digests/00.sha256")
			prepare.Dir = bookkeeping
			if out, err := prepare.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			out, err := follow(t, here, "run")
			if entries, readErr := os.ReadDir(outside); readErr != nil || len(entries) != 1 {
				t.Errorf("the recipe has written elsewhere: %v, %v", entries, readErr)
			}
			if content, _ := os.ReadFile(filepath.Join(here, "tree/file")); len(content) > 0 {
				t.Errorf("the recipe has brought %q from elsewhere", content)
			}
			if err == nil || out == "" {
				t.Errorf("the recipe ended with %v: %s", err, out)
			}
		})
	}
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
		t.Fatal(err)
	}
}
