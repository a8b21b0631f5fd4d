package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/crc64nvme"
	"pgregory.net/rapid"
)

// dataDigest is DigestDataBlocks as docs/format.md describes it, of a file that is read whole.
func dataDigest(a DigestAlgorithm, r io.Reader) ContentDigest {
	h, at, block := newHash(a), uint64(0), make([]byte, DigestBlock)
	for {
		n, _ := io.ReadFull(r, block)
		if n == 0 {
			break
		}
		if bytes.ContainsFunc(block[:n], func(r rune) bool { return r != 0 }) {
			h.Write(binary.BigEndian.AppendUint64(nil, at))
			h.Write(block[:n])
		}
		at += uint64(n)
	}
	h.Write(binary.BigEndian.AppendUint64(nil, at))
	return ContentDigest{a, DigestDataBlocks, written(a, h)}
}

// wholeDigest is DigestContent of a file.
func wholeDigest(a DigestAlgorithm, content []byte) ContentDigest {
	h := newHash(a)
	h.Write(content)
	return ContentDigest{a, DigestContent, written(a, h)}
}

func newHash(a DigestAlgorithm) hash.Hash {
	if a == DigestSHA256 {
		return sha256.New()
	}
	return crc64nvme.New()
}

// written is a digest as sha256sum and S3 write it.
func written(a DigestAlgorithm, h hash.Hash) string {
	if a == DigestSHA256 {
		return fmt.Sprintf("%x", h.Sum(nil))
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// TestCRC64NVME compares with the check value of the NVM Command Set Specification 1.0d,
// section 5.2.1.3.4: of 4,096 zeros.
func TestCRC64NVME(t *testing.T) {
	d := newFileDigest(DigestCRC64NVME, DigestContent)
	_, _ = d.Write(make([]byte, 4096))
	want := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, 0x6482D367EB22B64E))
	if got := d.Sum().Value; got != want {
		t.Errorf("CRC64NVME of a block of zeros: %s, want %s", got, want)
	}
}

func TestDigestOfSparseFileIsThatOfItsData(t *testing.T) {
	dir := motley(t)
	s := openSource(t, dir)
	l := tarLayout(Zstd)
	a := one(t, s, l)
	object, packed := pack(t, s, l, a)
	if len(object) > 20<<20 {
		t.Errorf("the object has %d bytes: the holes are in it", len(object))
	}
	sparse := 0
	for i, e := range a.Entries {
		if !packed[i].Sparse {
			if of := packed[i].Digest.Of; of != DigestContent {
				t.Errorf("%q has no holes, and a digest of %q", e.Path, of)
			}
			continue
		}
		sparse++
		f, err := os.Open(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := packed[i].Digest, dataDigest(l.Tar.DigestAlgorithm(), f); got != want {
			t.Errorf("%q: digest %+v, want %+v", e.Path, got, want)
		}
		release(f)
	}
	if sparse != 2 {
		t.Errorf("%d sparse files, want 2", sparse)
	}
}

// TestDigestDoesNotDependOnHoles says the same file in pieces and holes of any size.
func TestDigestDoesNotDependOnHoles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scheme := rapid.SampledFrom([]DigestScheme{DigestContent, DigestDataBlocks}).Draw(t, "scheme")
		algorithm := rapid.SampledFrom([]DigestAlgorithm{DigestCRC64NVME, DigestSHA256}).Draw(t, "algorithm")
		d, err := NewFileDigest(ContentDigest{Algorithm: algorithm, Of: scheme})
		if err != nil {
			t.Fatal(err)
		}
		var whole []byte
		for range rapid.IntRange(0, 12).Draw(t, "pieces") {
			n := rapid.OneOf(rapid.IntRange(0, 3*DigestBlock), rapid.SampledFrom([]int{DigestBlock, DigestBlock - 1, 200_000})).Draw(t, "length")
			piece := make([]byte, n)
			kind := rapid.SampledFrom([]string{"hole", "zeros", "data"}).Draw(t, "kind")
			if kind == "data" && n > 0 {
				piece[rapid.IntRange(0, n-1).Draw(t, "at")] = 1
			}
			whole = append(whole, piece...)
			if kind == "hole" {
				err = d.Hole(context.Background(), int64(n))
			} else {
				_, err = d.Write(piece)
			}
			if err != nil || d.Size() != int64(len(whole)) {
				t.Fatalf("%s of %d bytes: size %d, want %d, %v", kind, n, d.Size(), len(whole), err)
			}
		}
		want := wholeDigest(algorithm, whole)
		if scheme == DigestDataBlocks {
			want = dataDigest(algorithm, bytes.NewReader(whole))
		}
		if got := d.Sum(); got != want {
			t.Errorf("digest %v, want %v", got, want)
		}
	})
}

func TestUnknownDigest(t *testing.T) {
	for _, like := range []ContentDigest{{}, {Algorithm: "Tomorrow"}, {Algorithm: DigestSHA256, Of: "Tomorrow"}} {
		if _, err := NewFileDigest(like); err == nil {
			t.Errorf("%+v, which nobody knows, was accepted", like)
		}
	}
}

func TestDigestOfContentEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newFileDigest(DigestSHA256, DigestContent).Hole(ctx, 1<<50); !errors.Is(err, context.Canceled) {
		t.Errorf("a petabyte of zeros: %v", err)
	}
}

// hollow makes a file of a size that holds data at some places only.
func hollow(tb testing.TB, p string, size int64, at ...int64) {
	tb.Helper()
	f, err := os.Create(p)
	if err != nil {
		tb.Fatal(err)
	}
	for _, off := range at {
		if _, err := f.WriteAt([]byte("data"), off); err != nil {
			tb.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		tb.Fatal(err)
	}
}

// TestSparseFileTakesAsLongAsItsData packs two terabytes; hashing their zeros took a quarter of an hour.
func TestSparseFileTakesAsLongAsItsData(t *testing.T) {
	dir := t.TempDir()
	const size = 2 << 40
	hollow(t, filepath.Join(dir, "lastlog"), size, 0, 1<<40, size-4)
	s := openSource(t, dir)
	l := tarLayout(Zstd)
	begun := time.Now()
	object, packed := pack(t, s, l, one(t, s, l))
	if took := time.Since(begun); took > time.Minute || len(object) > 1<<20 {
		t.Errorf("it took %v and %d bytes", took, len(object))
	}
	if p := packed[0]; p.Err != nil || !p.Sparse || p.Digest.Value == "" {
		t.Errorf("packed as %+v", p)
	}
}

// TestManyExtents has more of them than a tar lists: the smallest holes are filled, not all.
func TestManyExtents(t *testing.T) {
	const size = 1 << 50
	l := extentList{size: size}
	for i := range int64(3 * maxExtents) {
		l.add(Extent{i * 10 * blockSize, blockSize})
	}
	for i := range int64(10) {
		l.add(Extent{1<<40 + i<<30, blockSize})
	}
	list, sparse := l.extents()
	var stored, end int64
	for _, x := range list {
		if x.Offset < end {
			t.Fatalf("extent at %d begins before %d", x.Offset, end)
		}
		stored, end = stored+x.Length, x.Offset+x.Length
	}
	if !sparse || len(list) > maxExtents+1 || stored > 3*maxExtents*10*blockSize+10*blockSize || end != size {
		t.Errorf("sparse %v, %d extents with %d bytes up to %d", sparse, len(list), stored, end)
	}
	if head := int64(len(sparseMap(list))); head > 1<<20 {
		t.Errorf("the list takes %d bytes, more than archive/tar reads", head)
	}
}

func TestParseExtents(t *testing.T) {
	want := []Extent{{0, 512}, {1 << 30, 1024}, {1 << 40, 0}}
	h := header{name: "some/file", typeflag: typeFile, sparse: &sparseHeader{1 << 40}, mtime: time.Unix(1, 5)}
	head := slices.Concat(h.encode(), sparseMap(want))
	got, err := ParseExtents(head, 1<<40)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, list := range map[string][]Extent{
		"overlap": {{0, 512}, {511, 1}}, "backwards": {{1024, 1}, {0, 1}}, "beyond the end": {{1 << 40, 1}},
	} {
		if _, err := ParseExtents(slices.Concat(h.encode(), sparseMap(list)), 1<<40); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseExtents(f *testing.F) {
	h := header{name: "some/file", typeflag: typeFile, sparse: &sparseHeader{1 << 40}, mtime: time.Unix(1, 5)}
	f.Add(slices.Concat(h.encode(), sparseMap([]Extent{{0, 512}, {1 << 30, 1024}})), int64(1<<40))
	f.Fuzz(func(t *testing.T, head []byte, size int64) {
		list, err := ParseExtents(head, max(size, 0))
		end := int64(0)
		for _, x := range list {
			if err == nil && (x.Offset < end || x.Length < 0 || x.end() > max(size, 0)) {
				t.Fatalf("extent %v behind %d of %d", x, end, size)
			}
			end = x.end()
		}
	})
}

// TestPackingEndsWithItsContext packs what compresses so well that one part takes hours to fill.
func TestPackingEndsWithItsContext(t *testing.T) {
	s := openSource(t, t.TempDir())
	path := filepath.Join(s.Name(), "zeros")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(4<<40), f.Close()); err != nil {
		t.Fatal(err)
	}
	l := tarLayout(Zstd)
	a := one(t, s, l)
	p := newPacker(t, s, l, a)
	defer release(p)
	// As on a file system that keeps no account of holes.
	e := a.Entries[0]
	m := &member{entry: e, header: make([]byte, blockSize), extents: wholeFile(e.Size), stored: e.Size}
	if m.file, err = s.Open(e); err != nil {
		t.Fatal(err)
	}
	p.next, p.current, p.digest = 1, m, m.newDigest(DigestCRC64NVME)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, _, err = p.Fill(ctx, 0, make([]byte, testPart))
	if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > 10*time.Second {
		t.Errorf("ended after %v with %v", took, err)
	}
}

// BenchmarkFileDigest is what a digest costs for each MiB.
func BenchmarkFileDigest(b *testing.B) {
	content := make([]byte, 1<<20)
	for _, a := range []DigestAlgorithm{DigestCRC64NVME, DigestSHA256} {
		b.Run(string(a), func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				d := newFileDigest(a, DigestContent)
				_, _ = d.Write(content)
				_ = d.Sum()
			}
		})
	}
}
