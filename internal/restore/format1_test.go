package restore_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

// format1 is a bucket of format version 1, as a release that knew no other has left it:
// packed with zstd, two prefixes, one file apart, one sparse, a symbolic and a hard link.
func format1(t *testing.T) *bucket {
	t.Helper()
	b := &bucket{objects: map[string][]byte{}}
	root := os.DirFS("testdata/format1")
	err := fs.WalkDir(root, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b.objects[p], err = fs.ReadFile(root, p)
		return err
	})
	if err != nil || len(b.objects) == 0 {
		t.Fatalf("%d objects, %v", len(b.objects), err)
	}
	return b
}

// wantFormat1 compares what was restored with what was archived then.
func wantFormat1(t *testing.T, dir string) {
	t.Helper()
	const one, two = 1 << 20, 2 << 20
	sparse := make([]byte, two)
	copy(sparse, strings.Repeat("a", 5000))
	copy(sparse[one:], strings.Repeat("b", 4096))
	want := map[string]string{
		"d1/d2/large one": strings.Repeat("large ", 2000), "unicode é.txt": "x", "sparse": string(sparse), "link": "file 1\n", "d1/hard": "",
	}
	for i := range 30 {
		want[fmt.Sprintf("d1/f%02d", i)] = strings.Repeat(fmt.Sprintf("file %d\n", i), 13*i)
	}
	want["link"], want["d1/hard"] = want["d1/f01"], want["d1/f02"]
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != content {
			t.Errorf("%q: %d bytes, %v; want %d", name, len(got), err, len(content))
		}
	}
	if info, err := os.Lstat(filepath.Join(dir, "d1/d2")); err != nil || !info.ModTime().Equal(time.Unix(1_500_000_000, 0)) {
		t.Errorf("d1/d2: %v, %v", info, err)
	}
}

func TestFormat1IsRestored(t *testing.T) {
	b := format1(t)
	dir := t.TempDir()
	s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: dir})
	if err != nil || s.Failed+s.Missing+s.AttributesFailed > 0 || s.Files != 37 {
		t.Fatalf("%+v %v, %v", s, s.Failures, err)
	}
	wantFormat1(t, dir)
	again, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: dir, Repair: true})
	if err != nil || again.Failed > 0 || again.Present != 33 {
		t.Errorf("again: %+v %v, %v", again, again.Failures, err)
	}
	if v, err := verify(t, b, true); err != nil || v.Wrong > 0 || v.Files != 37 {
		t.Errorf("verify: %+v %v, %v", v, v.Failures, err)
	}
}

// TestFormat1NoticesDamage changes a byte of a member; a digest of SHA-256 tells.
func TestFormat1NoticesDamage(t *testing.T) {
	b := format1(t)
	for key, body := range b.objects {
		m, err := archive.DecodeManifest(body)
		if err != nil {
			continue
		}
		for i := range m.Members {
			if place := m.Members[i].Tar; place != nil && place.Digest.Value != "" {
				if place.Digest.Algorithm != archive.DigestSHA256 {
					t.Fatalf("%s: %q has the digest %v", key, m.Members[i].Path, place.Digest)
				}
				place.Digest.Value = fmt.Sprintf("%x", sha256.Sum256([]byte("something else")))
			}
		}
		if b.objects[key], err = m.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	l := catalog(t, b).Index.Layout
	index := archive.Index{Transfer: l.UID, Layout: l, Prefixes: catalog(t, b).Index.Prefixes}
	for i := range index.Prefixes {
		index.Prefixes[i].Digests = ""
	}
	if err := index.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: t.TempDir()})
	if err != nil || s.Failed == 0 || !strings.Contains(s.Failures[0].Message, "digest is SHA256") {
		t.Errorf("%+v %v, %v", s, s.Failures, err)
	}
}

// TestWhatAnEarlierRunProves lets a run refer to archives of an earlier one whose digests are
// as strong as those it is asked for.
func TestWhatAnEarlierRunProves(t *testing.T) {
	for _, tc := range []struct {
		earlier, now archive.DigestAlgorithm
		want         bool
	}{
		{"", archive.DigestCRC64NVME, true},
		{"", archive.DigestSHA256, true},
		{archive.DigestSHA256, archive.DigestCRC64NVME, true},
		{archive.DigestCRC64NVME, archive.DigestCRC64NVME, true},
		{archive.DigestCRC64NVME, archive.DigestSHA256, false},
	} {
		dir := t.TempDir()
		write(t, dir, "a", 10)
		packed := zstd()
		packed.Digest = tc.earlier
		b := archived(t, dir, packed)
		c := catalog(t, b)
		l := c.Index.Layout
		packed.Digest = tc.now
		l.UID, l.Tar = "later", &packed
		m, err := c.Manifest(t.Context(), "00", 0)
		if err != nil {
			t.Fatal(err)
		}
		entry := archive.Entry{Path: "a", Size: 10, ModTime: m.Members[0].ModTime, Mode: m.Members[0].Mode, UID: m.Members[0].UID, GID: m.Members[0].GID}
		kept, err := restore.NewEarlier(c, l).Archive(t.Context(), archive.Archive{Prefix: "00", Entries: []archive.Entry{entry}})
		if err != nil || (kept != nil) != tc.want {
			t.Errorf("%q after %q: kept %v, %v", tc.now, tc.earlier, kept != nil, err)
		}
	}
}
