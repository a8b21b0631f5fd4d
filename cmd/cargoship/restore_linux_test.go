package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/test/kit/privileged"
)

// Extended attributes take the same way for small files, large ones and files that are objects.
func TestAttributesComeBackOnEveryPath(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	dir := t.TempDir()
	for name, size := range map[string]int{"small": 1000, "large": 20 << 20} {
		write(t, dir, name, size)
		if err := errors.Join(unix.Setxattr(filepath.Join(dir, name), "user.origin", []byte(name), 0), os.Chmod(filepath.Join(dir, name), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	for base, packing := range map[string][]string{
		"packed": {"--packing", "tar", "--large-file-threshold", "16Mi"}, "objects": {"--packing", "objects"},
	} {
		r := work(t, d.args(dir, base, append(packing, "--json")...)...)
		if r.code != 0 || !strings.Contains(r.stdout, `"attributesNotKept":0`) {
			t.Fatalf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
		}
		to := filepath.Join(t.TempDir(), "to")
		if r := work(t, d.reach("restore", "s3://"+bucket+"/"+base, to)...); r.code != 0 {
			t.Fatalf("exit code %d: %s", r.code, r.stderr)
		}
		for _, name := range []string{"small", "large"} {
			p := filepath.Join(to, name)
			value := make([]byte, 100)
			n, err := unix.Getxattr(p, "user.origin", value)
			if err != nil || string(value[:n]) != name {
				t.Errorf("%s, %s: user.origin is %q, %v", base, name, value[:max(n, 0)], err)
			}
			if info, err := os.Stat(p); err != nil || info.Mode() != 0o640 {
				t.Errorf("%s, %s: mode %v, %v", base, name, info.Mode(), err)
			}
		}
	}
}

// What is not archived is counted and said.
func TestAttributesThatAreNotArchivedAreSaid(t *testing.T) {
	privileged.Root(t)
	t.Parallel()
	d := newDestination(t)
	dir := t.TempDir()
	write(t, dir, "labeled", 10)
	if err := unix.Setxattr(filepath.Join(dir, "labeled"), "security.selinux", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	r := work(t, d.args(dir, "base", "--packing", "tar", "--json")...)
	if r.code != 0 || !strings.Contains(r.stdout, `"attributesNotKept":1`) || !strings.Contains(r.stderr, `extended attributes of 1 files were not archived: ["security.selinux"]`) {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
}

// listedLinks are the names and the targets of links in the JSON of ls.
func listedLinks(t *testing.T, lines string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(lines) {
		var l listed
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		name, link := l.Path, l.Link
		if l.PathBase64 != nil {
			name = string(l.PathBase64)
		}
		if l.LinkBase64 != nil {
			link = string(l.LinkBase64)
		}
		all[name] = link
	}
	return all
}

// fileNames are those below a directory, without their paths.
func fileNames(dir string) (names []string) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, _ error) error {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
		return nil
	})
	return names
}

// No byte of a name reaches a terminal raw, and JSON loses none.
func TestNamesAreQuoted(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	dir := t.TempDir()
	names := []string{"report [2026].txt", "report 2.txt", "red\x1b[31m", "line\nbreak", "bad\xff", "plain"}
	for _, name := range names {
		write(t, dir, name, 10)
	}
	if err := os.Symlink("to\xfe", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if r := work(t, d.args(dir, "base", "--packing", "tar", "--prefixes", "1")...); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	target := "s3://" + bucket + "/base"
	r := work(t, append(d.reach("ls", target), "--json=false")...)
	if bare := strings.ReplaceAll(r.stdout, "\n", ""); r.code != 0 || cli.Printable(bare) != bare || strings.Count(r.stdout, "\n") != len(names)+1 {
		t.Errorf("exit code %d: %q", r.code, r.stdout)
	}
	for _, want := range []string{`'report [2026].txt'`, `'red'$'\033''[31m'`, `'line'$'\n''break'`, `'bad'$'\377'`, `link -> 'to'$'\376'`} {
		if !strings.Contains(r.stdout, want+"\n") {
			t.Errorf("ls lacks %s: %s", want, r.stdout)
		}
	}
	want := map[string]string{"link": "to\xfe"}
	for _, name := range names {
		want[name] = ""
	}
	if diff := cmp.Diff(want, listedLinks(t, work(t, d.reach("ls", target)...).stdout)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	to := t.TempDir()
	if r := work(t, d.reach("restore", target, to, "report [2026].txt")...); r.code != 0 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if diff := cmp.Diff([]string{"report [2026].txt"}, fileNames(to)); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if r := work(t, d.reach("restore", target, to, "no[such")...); r.code != cli.ExitUsage {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// Attributes have an exit code of their own, unless they are wanted as far as possible only.
func TestExitCodesOfRestores(t *testing.T) {
	for _, c := range []struct {
		arguments []string
		summary   restore.Summary
		want      int
	}{
		{nil, restore.Summary{Files: 1}, 0},
		{nil, restore.Summary{Files: 1, Failed: 1, AttributesFailed: 1}, cli.ExitFailure},
		{nil, restore.Summary{Files: 1, Missing: 1, AttributesFailed: 1}, cli.ExitFailure},
		{nil, restore.Summary{Files: 1, Missing: 1, Thawing: 1}, exitThawing},
		{nil, restore.Summary{Files: 1, AttributesFailed: 1}, exitAttributes},
		{[]string{"--attributes", "required"}, restore.Summary{Files: 1, AttributesFailed: 1}, exitAttributes},
		{[]string{"--attributes", "best-effort"}, restore.Summary{Files: 1, AttributesFailed: 1}, 0},
		{[]string{"--attributes", "never"}, restore.Summary{}, cli.ExitUsage},
	} {
		f := restoreFlags{attributes: attributesRequired}
		cmd := &cobra.Command{Use: "restore", RunE: func(*cobra.Command, []string) error { return f.verdict(c.summary) }}
		cmd.Flags().Var(choice(&f.attributes, attributesRequired, attributesBestEffort), "attributes", "")
		root := cli.NewRoot("cargoship", "", cmd)
		root.SetArgs(append([]string{"restore"}, c.arguments...))
		code := 0
		if err := root.Execute(); err != nil {
			_, code = cli.Verdict(t.Context(), cmd, err)
		}
		if code != c.want {
			t.Errorf("%q, %+v: exit code %d, want %d", c.arguments, c.summary, code, c.want)
		}
	}
}

// Errors that the server gives for one archive fail its files, and no others.
func TestOneArchiveThatCannotBeHad(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	f := newFaults(t, d.Endpoint)
	d.Endpoint = f.url
	dir := t.TempDir()
	manyFiles(t, dir, 40)
	for i := range 4 {
		write(t, dir, fmt.Sprintf("medium-%d", i), 700_000)
	}
	if r := work(t, d.args(dir, "base", "--packing", "tar", "--target-size", "1Mi", "--prefixes", "1")...); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	all := len(fileDigests(t, dir, ""))
	for code, want := range map[string]string{"InvalidObjectState": "must be thawed first", "AccessDenied": "AccessDenied", "PreconditionFailed": "replaced since it was archived"} {
		var victim atomic.Pointer[string]
		f.set(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, ".tar.zst") {
				return false
			}
			victim.CompareAndSwap(nil, &r.URL.Path)
			if r.URL.Path != *victim.Load() {
				return false
			}
			status := http.StatusForbidden
			if code == "PreconditionFailed" {
				status = http.StatusPreconditionFailed
			}
			refuse(w, status, code)
			return true
		})
		to := t.TempDir()
		r := work(t, d.reach("restore", "s3://"+bucket+"/base", to)...)
		var s restore.Summary
		if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
			t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
		}
		restored := len(fileDigests(t, to, ""))
		if r.code != cli.ExitFailure || s.Failed == 0 || restored == 0 || int64(restored)+s.Failed != int64(all) || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit code %d, %d of %d files restored, %+v: %s", code, r.code, restored, all, s, r.stderr)
		}
	}
}
