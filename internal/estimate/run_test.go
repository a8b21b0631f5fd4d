package estimate

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/prices"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/s3/s3test"
)

// What a transfer has listed is estimated as its directory is.
func TestThePlannedEstimateIsThatOfTheDirectory(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, "archive")
	table, err := prices.Default()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i := range 5 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), make([]byte, 1<<(4*i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client, err := s3.NewClient(t.Context(), s3.Options{
		Bucket: "archive", Region: server.Region, Endpoint: server.Endpoint, PathStyle: true, CredentialsDir: server.CredentialsDir(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const run = "0b7a52a1-1111-4222-8333-444455556666"
	for name, layout := range map[string]archive.Layout{
		"objects": {Base: "objects", UID: run, Pattern: archive.Mirror},
		"tar":     {Base: "tar", UID: run, Run: run, Pattern: archive.Hash, Tar: &archive.Tar{Name: "data", TargetSize: 1 << 20, LargeFile: 1 << 15, Compression: archive.Plain}},
	} {
		if _, _, err := Planned(t.Context(), client, layout, table); err == nil {
			t.Errorf("%s: something is estimated before anything is listed", name)
		}
		source, err := archive.OpenSource(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		planner := archive.Planner{Source: source, Store: client, Layout: layout}
		if _, err := planner.Run(t.Context(), func(archive.Plan) {}); err != nil {
			t.Fatal(err)
		}
		_ = source.Close()
		layout.Run = "" // estimateCopy has an ID of its own
		want, err := Directory(t.Context(), dir, layout, nil, nil, table)
		if err != nil {
			t.Fatal(err)
		}
		got, whole, err := Planned(t.Context(), client, archive.Layout{Base: layout.Base, UID: layout.UID}, table)
		if err != nil || !whole || got.Files == 0 {
			t.Fatalf("%s: %+v, whole: %v, %v", name, got, whole, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Run{})); diff != "" {
			t.Errorf("%s (-directory +planned):\n%s", name, diff)
		}
	}
}
