package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/product"
)

func TestPlanIsAboutOneGibibyte(t *testing.T) {
	total, names := int64(0), map[string]bool{}
	for _, file := range plan() {
		total += file.size
		names[file.path] = true
	}
	if len(names) != len(plan()) {
		t.Errorf("%d different names for %d files", len(names), len(plan()))
	}
	if total < 900<<20 || total > 1100<<20 {
		t.Errorf("the data set has %d bytes, want about 1 GiB", total)
	}
}

func TestWriteDependsOnTheSeedOnly(t *testing.T) {
	dir := t.TempDir()
	read := func(name string, seed uint64) string {
		path := filepath.Join(dir, name)
		if err := write(path, seed, 1000); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil || len(text) != 1000 {
			t.Fatalf("read %d bytes (error %v), want 1000", len(text), err)
		}
		return string(text)
	}
	if read("a", 1) != read("b", 1) {
		t.Error("the same seed gave different bytes")
	}
	if read("c", 1) == read("d", 2) {
		t.Error("different seeds gave the same bytes")
	}
}

func TestTheSampleRestoresWhatTheDemoArchives(t *testing.T) {
	root, err := assets.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	got, err := sampleRestore(filepath.Join(root, "config", "samples", "transfer_v1alpha1_archiverestore.yaml"), "archived")
	if err != nil {
		t.Fatal(err)
	}
	if got.Spec.From.TransferRef.Name != "archived" || got.Spec.To.PersistentVolumeClaim.ClaimName != product.TargetName {
		t.Errorf("the sample restores %+v into %+v", got.Spec.From, got.Spec.To)
	}
}

func TestLastLine(t *testing.T) {
	got := lastLine(product.Tally{Files: 3, Bytes: 4096}, 1499*time.Millisecond)
	if want := "demo: 3 files, 4096 bytes verified in 1 s"; got != want {
		t.Errorf("the last line is %q, want %q", got, want)
	}
}

func TestSamplesAreArchiveTransfers(t *testing.T) {
	root, err := assets.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]v1alpha1.PackingFormat{
		"transfer_v1alpha1_archivetransfer.yaml": "", "transfer_v1alpha1_archivetransfer_tar.yaml": v1alpha1.PackingTar,
	} {
		got, err := sampleTransfer(filepath.Join(root, "config", "samples", name), target{region: "here", endpoint: "http://127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		if got.Spec.Destination.Endpoint != "http://127.0.0.1:1" || got.Namespace != namespace || got.Spec.Packing.Format != want {
			t.Errorf("%s leads to %s from namespace %s with packing %q", name, got.Spec.Destination.Endpoint, got.Namespace, got.Spec.Packing.Format)
		}
	}
}
