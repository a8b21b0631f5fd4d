package faults

import (
	"fmt"
	"os"
	"testing"

	"cargoship.dev/operator/lab"
)

// TestSizes copies files of all sizes at which something changes, while requests fail.
func TestSizes(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Conditions{Faults: []lab.Fault{{Kind: lab.ResetRequest, Share: 0.1}}})
	sizes := []int64{0, 1, partSize - 1, partSize, partSize + 1, wholeLimit - 1, wholeLimit, wholeLimit + 1}
	if chosen.full {
		sizes = append(sizes, 3*partSize-1, 3*partSize, 3*partSize+1)
	}
	for _, size := range sizes {
		r.write(t, fmt.Sprintf("sizes/%d", size), size)
	}
	o := r.copy(t)
	r.wantWhole(t, o)
	if o.Files != int64(len(sizes)) {
		t.Errorf("%d files were copied, want %d", o.Files, len(sizes))
	}
}

// TestMoreThanTenThousandParts copies a file that would take 10,001 parts of the least
// size; S3 takes 10,000. The file has no blocks, and the server keeps nothing.
func TestMoreThanTenThousandParts(t *testing.T) {
	if !chosen.full {
		t.Log("80 GB take minutes: left to -full")
		return
	}
	discard := lab.NewDiscard()
	r := newRigBefore(t, discard, lab.Conditions{})
	const size = 10_000*partSize + 1
	path := r.write(t, "sparse", 0)
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	if o := r.copy(t); o.code != 0 {
		t.Fatalf("exit code %d, want 0: %s", o.code, o.stderr)
	}
	if objects, bytes := discard.Objects(); objects != 1 || bytes != size {
		t.Errorf("%d objects of %d bytes, want one of %d", objects, bytes, int64(size))
	}
	if s := r.Stats(); s.Operations["UploadPart"] > 10_000 || s.Total.OpenUploads != 0 {
		t.Errorf("%d parts, %d uploads left open; want at most 10,000, and none", s.Operations["UploadPart"], s.Total.OpenUploads)
	}
}
