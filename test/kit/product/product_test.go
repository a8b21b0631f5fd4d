package product

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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

func TestManifestsAreBuiltWithoutKinds(t *testing.T) {
	objects, err := manifests(filepath.Join("..", "..", "..", "config", "default"), "Deployment", "Service")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, object := range objects {
		kinds[object.GetKind()]++
	}
	if kinds["CustomResourceDefinition"] == 0 || kinds["ServiceAccount"] != 1 || kinds["Deployment"]+kinds["Service"] > 0 {
		t.Errorf("the manifests are of the kinds %v", kinds)
	}
}
