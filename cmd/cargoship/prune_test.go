package main

import (
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// TestPrune removes a run that lost its index, and nothing of one that refers to none of it.
func TestPrune(t *testing.T) {
	d := newDestination(t)
	dir := t.TempDir()
	manyFiles(t, dir, 20)
	write(t, dir, "large", 500_000)
	args := d.args(dir, "base", "--packing", "tar", "--large-file-threshold", "400Ki")
	if r := work(t, args...); r.code != 0 {
		t.Fatal(r.stderr)
	}
	d.removeIndexes(t, "base/")
	abandoned := len(d.digests(t, "base/"))
	// The same source from elsewhere: not the unfinished run, but one of its own.
	if r := work(t, append(args, "--prefixes", "3")...); r.code != 0 {
		t.Fatal(r.stderr)
	}
	both := len(d.digests(t, "base/"))
	target := "s3://" + bucket + "/base"
	for _, how := range [][]string{{"prune", target}, {"prune", target, "--unreferenced", "--older-than", "23h59m"}, {"prune", target, "--keep-last", "0"}} {
		if r := work(t, d.reach(how...)...); r.code != cli.ExitUsage {
			t.Errorf("%q: exit code %d: %s", how, r.code, r.stderr)
		}
	}
	if r := work(t, d.reach("prune", target, "--unreferenced", "--yes")...); r.code != 0 || !strings.Contains(r.stdout, `"alive":1`) || len(d.digests(t, "base/")) != both {
		t.Errorf("a prune of what is young: exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	client, err := s3.NewClient(t.Context(), s3.Options{
		Bucket: bucket, Region: d.Region, Endpoint: d.Endpoint, PathStyle: true, CredentialsDir: d.creds,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// The mark that Prune writes must be younger than Before, in the whole seconds of the server.
	time.Sleep(3 * time.Second)
	o := restore.PruneOptions{Bucket: client, Base: "base", Before: time.Now().Add(-3 * time.Second / 2), Remove: true}
	p, err := restore.Prune(t.Context(), o)
	if left := len(d.digests(t, "base/")); err != nil || p.Runs != 1 || p.Objects != int64(abandoned) || left != both-abandoned {
		t.Errorf("%+v, of %d objects %d are left, %d were abandoned: %v", p, both, left, abandoned, err)
	}
	if r := work(t, d.reach("prune", target, "--keep-last", "1", "--yes")...); r.code != 0 || !strings.Contains(r.stdout, `"expired":0`) {
		t.Errorf("a prune of finished runs: exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	// The same source again: the run before it is one too many.
	if r := work(t, append(args, "--prefixes", "3", "--sync", "size-and-time")...); r.code != 0 {
		t.Fatal(r.stderr)
	}
	time.Sleep(3 * time.Second)
	o.KeepLast, o.Before = 1, time.Now().Add(-3*time.Second/2)
	p, err = restore.Prune(t.Context(), o)
	if left := len(d.digests(t, "base/")); err != nil || p.Expired != 1 || p.Objects != 0 || left != both-abandoned {
		t.Errorf("%+v, %d objects are left: %v", p, left, err)
	}
	if r := work(t, d.reach("verify", target, "--read-back")...); r.code != 0 {
		t.Errorf("verify: exit code %d: %s", r.code, r.stderr)
	}
	d.wantNoUploads(t)
}

// removeIndexes makes the finished runs below a base unfinished ones.
func (d *destination) removeIndexes(t *testing.T, base string) {
	t.Helper()
	for o := range d.client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Prefix: base + ".cargoship/", Recursive: true}) {
		if !strings.HasSuffix(o.Key, "/index.json") {
			continue
		}
		if err := d.client.RemoveObject(t.Context(), bucket, o.Key, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
