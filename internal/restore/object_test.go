package restore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// TestLargeObjectsAreReadByRanges reads an object of its own, of which several reads break off.
func TestLargeObjectsAreReadByRanges(t *testing.T) {
	for _, tc := range []struct {
		size, reads int
		algorithm   string
	}{
		{0, 0, s3.ChecksumCRC64NVME},
		{1, 1, s3.ChecksumCRC64NVME},
		{8 << 20, 1, s3.ChecksumCRC64NVME},
		{8<<20 + 1, 2, s3.ChecksumCRC64NVME},
		{30 << 20, 4, s3.ChecksumCRC64NVME},
		{30 << 20, 1, s3.ChecksumCRC32C},
		{30 << 20, 4, ""},
	} {
		b := &bucket{objects: map[string][]byte{}}
		m := member(b, "large")
		content := make([]byte, tc.size)
		for i := range content {
			content[i] = byte(i >> 10)
		}
		b.objects[m.Key], m.Size, m.ChecksumAlgorithm, m.Checksum = content, int64(tc.size), tc.algorithm, ""
		if h := s3.Checksum(tc.algorithm); h != nil {
			_, _ = h.Write(content)
			m.Checksum = s3.EncodeChecksum(h)
		}
		l := archive.Layout{Base: "base", Pattern: archive.Hash, Count: 1, UID: "uid"}
		if err := b.putManifest(l, archive.Manifest{Transfer: "uid", Prefix: "00", Members: []archive.Member{m}}); err != nil {
			t.Fatal(err)
		}
		index := archive.Index{Layout: l, Prefixes: []archive.IndexedPrefix{{Name: "00", ManifestPrefix: l.ManifestPrefix(0), Archives: 1, Files: 1}}}
		if err := index.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		b.gets = 0
		dir := t.TempDir()
		if s := run(t, b, restore.Options{Dir: dir}); s.Failed > 0 || b.gets != tc.reads {
			t.Errorf("%+v: %+v %v, %d reads", tc, s, s.Failures, b.gets)
		}
		wantFile(t, filepath.Join(dir, "large"), content)
		b.breaks = tc.reads
		again := t.TempDir()
		if s := run(t, b, restore.Options{Dir: again}); s.Failed > 0 {
			t.Errorf("%+v, with reads that break off: %+v %v", tc, s, s.Failures)
		}
		wantFile(t, filepath.Join(again, "large"), content)
		for at := 0; at < tc.size && tc.algorithm != ""; at += 5<<20 + 7 {
			content[at] ^= 1
			damaged := t.TempDir()
			if s := run(t, b, restore.Options{Dir: damaged}); s.Failed != 1 {
				t.Errorf("%+v, damaged at %d: %+v", tc, at, s)
			}
			if left, _ := os.ReadDir(damaged); len(left) > 0 {
				t.Errorf("%+v, damaged at %d: there is %v", tc, at, left)
			}
			content[at] ^= 1
		}
	}
}

func wantFile(t *testing.T, path string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, want %d, or others: %v", path, len(got), len(want), err)
	}
}

// TestATarIsReadByRuns has several reads of one tar, each of frames that follow each other.
func TestATarIsReadByRuns(t *testing.T) {
	dir := t.TempDir()
	for i := range 100 {
		write(t, dir, string(rune('a'+i%26))+string(rune('a'+i/26)), 700_000)
	}
	packed := zstd()
	packed.TargetSize = 1 << 30
	b := archived(t, dir, packed)
	to := t.TempDir()
	if s := run(t, b, restore.Options{Dir: to}); s.Failed > 0 || s.Files != 100 {
		t.Errorf("%+v %v", s, s.Failures)
	}
	if b.gets < 4 || b.gets > 6 {
		t.Errorf("%d reads of %d MiB", b.gets, len(b.objects[b.archives()[0]])>>20)
	}
	if want, got := describe(t, dir), describe(t, to); len(want) != len(got) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
}
