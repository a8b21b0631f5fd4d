package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/lab"
)

// TestOneFileOfAnArchive restores one file out of a compressed archive, of a GiB with
// -full. What is fetched for it is the path index, one frame of the archive, and what it
// takes to find these: less than manifest and index of the run, and the frame.
func TestOneFileOfAnArchive(t *testing.T) {
	const (
		fileSize = 256 * kibi
		// answers of lists and the like, which hold a few keys
		lists = 16 * kibi
	)
	files := 320
	if chosen.full {
		files = 5120
	}
	t.Parallel()
	r := newRig(t, lab.Conditions{})
	for i := range files {
		mostlyRandom(t, filepath.Join(r.source, fmt.Sprintf("d%02d", i/50), fmt.Sprintf("%04d", i)), fileSize)
	}
	if o := r.copy(t, "--packing", "tar", "--prefixes", "1", "--target-size", "4Gi"); o.code != 0 {
		t.Fatalf("copy: exit code %d: %s", o.code, o.stderr)
	}
	chosenFile := fmt.Sprintf("d%02d/%04d", files/2/50, files/2)
	bookkeeping, m := r.manifest(t)
	if chosen.full && m.Object.Size < 1<<30 {
		t.Errorf("the archive has %d bytes, want a GiB", m.Object.Size)
	}
	frame := int64(0)
	for _, f := range m.Members {
		if f.Path == chosenFile {
			frame = f.Tar.Frame.Length
		}
	}
	if frame == 0 || frame > archive.FrameSize {
		t.Fatalf("%s is in frames of %d bytes, want at most %d", chosenFile, frame, archive.FrameSize)
	}
	before := r.Stats().Total.BytesOut
	restored := t.TempDir()
	if o := r.start(t, "restore", destination, restored, chosenFile).end(t); o.code != 0 {
		t.Fatalf("restore: exit code %d: %s", o.code, o.stderr)
	}
	fetched := r.Stats().Total.BytesOut - before
	t.Logf("of an archive of %d bytes %d were fetched: a frame of %d, manifest and index of %d", m.Object.Size, fetched, frame, bookkeeping)
	if fetched < frame || fetched > frame+bookkeeping+lists {
		t.Errorf("%d bytes were fetched, want a frame of %d, manifest and index of %d, and at most %d of lists", fetched, frame, bookkeeping, lists)
	}
	want, err := digest(filepath.Join(r.source, chosenFile))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := digest(filepath.Join(restored, chosenFile)); err != nil || got != want {
		t.Errorf("the restored file differs: error %v", err)
	}
}

// mostlyRandom makes a file of random bytes, the last fifth of which are zeros.
func mostlyRandom(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	writeRandom(t, path, filepath.Base(path), size*4/5)
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.Write(make([]byte, size-size*4/5))
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// manifest returns the one manifest that stands, and the size of all bookkeeping objects.
func (r *rig) manifest(t *testing.T) (size int64, m archive.Manifest) {
	t.Helper()
	found, err := filepath.Glob(r.server.Path(bucket, "base/.cargoship/*/manifests/*/*.json.zst"))
	if err != nil || len(found) != 1 {
		t.Fatalf("manifests %v, error %v, want one", found, err)
	}
	index, err := filepath.Glob(r.server.Path(bucket, "base/.cargoship/*/index.json"))
	if err != nil || len(index) != 1 {
		t.Fatalf("indexes %v, error %v, want one", index, err)
	}
	for _, path := range append(index, found...) {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		size += int64(len(body))
		if path == found[0] {
			if m, err = archive.DecodeManifest(body); err != nil {
				t.Fatal(err)
			}
		}
	}
	return size, m
}
