package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// TestCopyGoesOnWithARunWhoseLockIsFree makes finished runs look as if they had been killed
// before their index was written, on this machine and on another of the same names.
func TestCopyGoesOnWithARunWhoseLockIsFree(t *testing.T) {
	d := newDestination(t)
	dir := t.TempDir()
	manyFiles(t, dir, 20)
	args := d.args(dir, "base", "--packing", "tar", "--prefixes", "1")
	client, err := s3.NewClient(t.Context(), s3.Options{
		Bucket: bucket, Region: d.Region, Endpoint: d.Endpoint, PathStyle: true, CredentialsDir: d.creds,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	unfinish := func() {
		for o := range d.client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Prefix: "base/.cargoship/", Recursive: true}) {
			if strings.HasSuffix(o.Key, "/index.json") || strings.Contains(o.Key, "/digests/") {
				if err := client.Delete(t.Context(), o.Key); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	wantRuns := func(what string, want int) {
		t.Helper()
		if r := work(t, args...); r.code != 0 {
			t.Fatal(r.stderr)
		}
		runs, err := os.ReadDir(d.Path(bucket, "base/.cargoship"))
		if err != nil || len(runs) != want {
			t.Errorf("%s: %v, %v, want %d", what, runs, err, want)
		}
	}
	wantRuns("the first", 1)
	unfinish()
	wantRuns("again on this machine", 1)
	unfinish()
	plans, err := filepath.Glob(d.Path(bucket, "base/.cargoship/*/plan.json"))
	if err != nil || len(plans) != 1 {
		t.Fatalf("%q, %v", plans, err)
	}
	data, err := os.ReadFile(plans[0])
	if err != nil {
		t.Fatal(err)
	}
	plan, err := archive.DecodePlan(data)
	if err != nil || plan.Lock == "" {
		t.Fatalf("%+v, %v", plan, err)
	}
	plan.Lock = "that of another kernel"
	if err := plan.Write(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	wantRuns("after another machine", 2)
	d.wantNoUploads(t)
}
