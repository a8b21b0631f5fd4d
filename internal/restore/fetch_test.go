package restore_test

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"

	zstdlib "github.com/klauspost/compress/zstd"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

// headers returns extended headers of 900 KiB each, without a member behind them.
func headers(t *testing.T, count int) []byte {
	t.Helper()
	var one bytes.Buffer
	h := tar.Header{Name: "a", Mode: 0o644, PAXRecords: map[string]string{"comment": strings.Repeat("x", 900<<10)}}
	if err := tar.NewWriter(&one).WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(one.Bytes()[:one.Len()-512], count)
}

// A member behind any number of headers would have them all in memory.
func TestTheHeadersOfAMemberAreBounded(t *testing.T) {
	raw := headers(t, 8)
	e, err := zstdlib.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	object, tarOf := e.EncodeAll(raw, nil), zstd()
	l := archive.Layout{Base: "base", Pattern: archive.Hash, Count: 1, UID: "uid", Tar: &tarOf}
	for name, sparse := range map[string]bool{"sparse": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			key := l.ArchiveKey("00", 0)
			b := &bucket{objects: map[string][]byte{key: object}}
			m := archive.Manifest{
				Transfer: "uid", Prefix: "00", Object: &archive.Object{Key: key, Compression: archive.Zstd, Size: int64(len(object))},
				Members: []archive.Member{{Path: "a", Size: 1, Mode: 0o644, Outcome: archive.Done, Tar: &archive.Place{
					Length: int64(len(raw) + 1024), Data: int64(len(raw) + 512), Frame: archive.Range{Length: int64(len(object))}, Sparse: sparse,
					Digest: archive.ContentDigest{Algorithm: archive.DigestCRC64NVME, Value: "AAAAAAAAAAA="},
				}}},
			}
			index := archive.Index{Layout: l, Prefixes: []archive.IndexedPrefix{{Name: "00", ManifestPrefix: l.ManifestPrefix(0), Archives: 1, Files: 1}}}
			if b.objects[l.IndexKey()], err = index.Encode(); err != nil {
				t.Fatal(err)
			}
			if err := b.putManifest(l, m); err != nil {
				t.Fatal(err)
			}
			s := run(t, b, restore.Options{Dir: t.TempDir()})
			if s.Failed != 1 || !strings.Contains(s.Failures[0].Message, "headers exceed") {
				t.Errorf("%+v", s)
			}
		})
	}
}
