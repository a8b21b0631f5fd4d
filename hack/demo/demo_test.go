package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/hack/localcluster/assets"
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

func TestSourceFilesAreThoseToArchive(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(dir, "a", "file"): "text", filepath.Join(dir, "empty"): "", filepath.Join(outside, "secret"): "x",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"inside": "a/file", "dangling": "nowhere", "directory": "a", "outside": filepath.Join(outside, "secret"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := sourceFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := sameNames(map[string]int64{"a/file": 4, "empty": 0, "inside": 4}, got); err != nil {
		t.Error(err)
	}
}

func TestSameNamesSeesEveryDifference(t *testing.T) {
	files := map[string]int64{"a": 1, "b": 2}
	for want, objects := range map[string]map[string]int64{
		`"b" is missing`:                     {"a": 1},
		`"b" has 3 bytes in place of 2`:      {"a": 1, "b": 3},
		`"c" is no file of the source`:       {"a": 1, "b": 2, "c": 3},
		`differs from the source in 2 place`: {"a": 1, "c": 2},
	} {
		if err := sameNames(files, objects); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("sameNames(%v) gave %v, want %s", objects, err, want)
		}
	}
	if err := sameNames(files, files); err != nil {
		t.Error(err)
	}
}

func TestWithoutKindsKeepsTheRest(t *testing.T) {
	stream := "kind: Service\n---\nkind: Role\nrules: []\n---\nkind: Deployment\n"
	got, err := withoutKinds([]byte(stream), "Service", "Deployment")
	if err != nil || string(got) != "---\nkind: Role\nrules: []\n" {
		t.Errorf("kept %q (error %v), want the Role only", got, err)
	}
}

func TestLastLine(t *testing.T) {
	got := tally{files: 3, bytes: 4096}.line(1499 * time.Millisecond)
	if want := "demo: 3 files, 4096 bytes verified in 1 s"; got != want {
		t.Errorf("the last line is %q, want %q", got, want)
	}
}

func TestSampleIsAnArchiveTransfer(t *testing.T) {
	root, err := assets.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "config", "samples", "transfer_v1alpha1_archivetransfer.yaml")
	got, err := sampleTransfer(path, target{region: "here", endpoint: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Spec.Destination.Endpoint != "http://127.0.0.1:1" || got.Namespace != namespace {
		t.Errorf("the sample leads to %s from namespace %s", got.Spec.Destination.Endpoint, got.Namespace)
	}
}
