package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"cargoship.dev/operator/internal/cli"
)

// reach are the arguments that lead to the server.
func (d *destination) reach(args ...string) []string {
	return append(args, "--endpoint-url", d.Endpoint, "--region", d.Region, "--path-style", "--credentials-dir", d.creds, "--json")
}

// TestASourceForgesNoBookkeeping copies a tree that holds the bookkeeping of a run, dated
// 2099, to where an honest run has been.
func TestASourceForgesNoBookkeeping(t *testing.T) {
	d := newDestination(t)
	honest, evil, hostile := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, honest, "file", 1000)
	write(t, evil, "file", 2000)
	run := func(dir, base string, more ...string) result {
		return work(t, d.args(dir, base, append(more, "--json")...)...)
	}
	if r := run(honest, "victim", "--packing", "tar"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	// What the attacker prepares is a run of the same place in another bucket.
	if r := run(evil, "victim/forged", "--packing", "tar"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	for o := range d.client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Prefix: "victim/forged/", Recursive: true}) {
		name := strings.ReplaceAll(strings.TrimPrefix(o.Key, "victim/forged/"), "/", string(filepath.Separator))
		path := filepath.Join(hostile, name)
		if err := d.client.FGetObject(t.Context(), bucket, o.Key, path, minio.GetObjectOptions{}); err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(path) == "index.json" {
			year := time.Now().UTC().Format(`"written": "2006`)
			body = []byte(strings.NewReplacer("victim/forged", "victim", year, `"written": "2099`).Replace(string(body)))
		}
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := d.client.RemoveObject(t.Context(), bucket, o.Key, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r := run(hostile, "victim", "--pattern", "mirror")
	if r.code != cli.ExitFailure || !strings.Contains(r.stderr, "KeyReserved") {
		t.Errorf("the hostile tree: exit code %d: %s", r.code, r.stderr)
	}
	for o := range d.client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Prefix: "victim/.cargoship/", Recursive: true}) {
		if strings.HasSuffix(o.Key, "index.json") {
			object, err := d.client.GetObject(t.Context(), bucket, o.Key, minio.GetObjectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(object)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(body), "2099") {
				t.Errorf("%s was forged", o.Key)
			}
		}
	}
	if r := run(hostile, "victim/.cargoship/evil"); r.code != cli.ExitUsage || !strings.Contains(r.stderr, "reserved for bookkeeping") {
		t.Errorf("a copy into the bookkeeping: exit code %d: %s", r.code, r.stderr)
	}
}

// TestCopiesOfSingleObjectsComeBack lists, verifies and restores what --packing objects,
// the default, has copied.
func TestCopiesOfSingleObjectsComeBack(t *testing.T) {
	for _, pattern := range []string{"mirror", "hash"} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			d := newDestination(t)
			dir := t.TempDir()
			manyFiles(t, dir, 60)
			write(t, dir, "large", 20<<20)
			if r := work(t, d.args(dir, "base", "--pattern", pattern)...); r.code != 0 {
				t.Fatal(r.stderr)
			}
			target := "s3://" + bucket + "/base"
			if r := work(t, d.reach("ls", target)...); r.code != 0 || strings.Count(r.stdout, "\n") != 61 {
				t.Errorf("ls: exit code %d, %d lines: %s", r.code, strings.Count(r.stdout, "\n"), r.stderr)
			}
			for _, how := range [][]string{{"verify", target}, {"verify", target, "--read-back"}} {
				if r := work(t, d.reach(how...)...); r.code != 0 || !strings.Contains(r.stdout, `"files":61`) {
					t.Errorf("%q: exit code %d, %s%s", how, r.code, r.stdout, r.stderr)
				}
			}
			to := filepath.Join(t.TempDir(), "to")
			if r := work(t, d.reach("restore", target, to)...); r.code != 0 {
				t.Fatal(r.stderr)
			}
			want, got := fileDigests(t, dir, ""), fileDigests(t, to, "")
			if len(got) != len(want) {
				t.Errorf("%d files restored, want %d", len(got), len(want))
			}
			for name, sum := range want {
				if got[name] != sum {
					t.Errorf("%q differs", name)
				}
			}
		})
	}
}
