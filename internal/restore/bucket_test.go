package restore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// bucket is a bucket in memory that counts what is read of it.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
	// read counts the bytes that ranges have asked for, by key.
	read map[string]int64
	// breaks has that many reads break off halfway.
	breaks int
	// refuses are errors of reads, by key; gets counts reads, and opened is called before each.
	refuses map[string]error
	gets    int
	opened  func()
}

func (b *bucket) Get(_ context.Context, key string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, ok := b.objects[key]
	if !ok {
		return nil, s3.ErrNotFound
	}
	return body, nil
}

func (b *bucket) GetAtMost(ctx context.Context, key string, most int64) ([]byte, error) {
	body, err := b.Get(ctx, key)
	if int64(len(body)) > most {
		return nil, &s3.Error{Class: s3.Source, Reason: s3.ReasonTooLarge, Op: "get object", Key: key, Err: fmt.Errorf("more than %d bytes", most)}
	}
	return body, err
}

func (b *bucket) List(_ context.Context, prefix string) (keys []string, err error) {
	for key := range b.objects {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (b *bucket) Stat(_ context.Context, key string) (s3.ObjectInfo, error) {
	body, ok := b.objects[key]
	if !ok {
		return s3.ObjectInfo{}, s3.ErrNotFound
	}
	return s3.ObjectInfo{Size: int64(len(body)), Checksums: map[string]string{s3.ChecksumCRC64NVME: checksum(body)}}, nil
}

func checksum(body []byte) string {
	h := s3.Checksum(s3.ChecksumCRC64NVME)
	_, _ = h.Write(body)
	return s3.EncodeChecksum(h)
}

func (b *bucket) OpenRange(_ context.Context, key, _ string, offset, length int64) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gets++
	if b.opened != nil {
		b.opened()
	}
	if err := b.refuses[key]; err != nil {
		return nil, err
	}
	body, ok := b.objects[key]
	if !ok {
		return nil, s3.ErrNotFound
	}
	if b.read == nil {
		b.read = map[string]int64{}
	}
	b.read[key] += length
	var r io.Reader = bytes.NewReader(body[offset : offset+length])
	if b.breaks > 0 {
		b.breaks--
		r = io.MultiReader(io.LimitReader(r, length/2), broken{})
	}
	return io.NopCloser(r), nil
}

// broken is a connection that was reset.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// archived packs a directory into a bucket in memory.
func archived(tb testing.TB, dir string, t archive.Tar) *bucket {
	tb.Helper()
	return archivedAs(tb, dir, t, "uid")
}

// archivedAs is the same for the run of an ID.
func archivedAs(tb testing.TB, dir string, t archive.Tar, uid string) *bucket {
	tb.Helper()
	source, err := archive.OpenSource(dir, "")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = source.Close() }()
	layout := archive.Layout{Base: "base", Pattern: archive.Hash, Count: 1, UID: uid, Tar: &t}
	b := &bucket{objects: map[string][]byte{}}
	prefix := archive.IndexedPrefix{Name: "00", ManifestPrefix: layout.ManifestPrefix(0)}
	_, err = source.Walk(tb.Context(), archive.WalkOptions{Layout: layout}, func(a archive.Archive) error {
		m := b.pack(tb, source, layout, a)
		prefix.Archives++
		prefix.Files += a.Files()
		prefix.Bytes += a.Bytes()
		return b.putManifest(layout, m)
	})
	if err != nil {
		tb.Fatal(err)
	}
	index := archive.Index{Transfer: uid, Layout: layout, Written: time.Now(), Prefixes: []archive.IndexedPrefix{prefix}}
	if b.objects[layout.IndexKey()], err = index.Encode(); err != nil {
		tb.Fatal(err)
	}
	return b
}

func (b *bucket) putManifest(l archive.Layout, m archive.Manifest) error {
	body, err := m.Encode()
	b.objects[l.ManifestKey(0, m.Number)] = body
	return err
}

// pack stores an archive and returns its manifest.
func (b *bucket) pack(tb testing.TB, source *archive.Source, l archive.Layout, a archive.Archive) archive.Manifest {
	tb.Helper()
	compressor, err := archive.NewCompressor(*l.Tar)
	if err != nil {
		tb.Fatal(err)
	}
	p := archive.NewPacker(source, compressor, l.Tar.DigestAlgorithm(), a)
	defer func() { _ = p.Close() }()
	var object []byte
	for n, last := 0, false; !last; n++ {
		buf := make([]byte, 8<<20)
		var length int
		if length, last, err = p.Fill(tb.Context(), n, buf); err != nil {
			tb.Fatal(err)
		}
		object = append(object, buf[:length]...)
	}
	key := l.ArchiveKey(a.Prefix, a.Number)
	b.objects[key] = object
	m := archive.Manifest{Transfer: l.UID, Prefix: a.Prefix, Number: a.Number, Attempt: 1, Object: &archive.Object{
		Key: key, Size: int64(len(object)), Compression: l.Tar.Compression,
		Checksum: checksum(object), ChecksumAlgorithm: s3.ChecksumCRC64NVME,
	}}
	packed := p.Packed()
	for i, e := range a.Entries {
		f := archive.Member{
			Path: e.Path, Kind: e.Kind, Link: e.Link, UID: e.UID, GID: e.GID, Size: e.Size, Mode: e.Mode, ModTime: e.ModTime,
			Outcome: archive.Done,
		}
		if e.Packable() {
			f.Tar, f.Xattrs = &packed[i].Place, packed[i].Xattrs
		} else {
			content, err := os.ReadFile(filepath.Join(source.Name(), e.Path))
			if err != nil {
				tb.Fatal(err)
			}
			f.Key, f.Checksum, f.ChecksumAlgorithm = l.Key(a.Prefix, e.Path), checksum(content), s3.ChecksumCRC64NVME
			b.objects[f.Key] = content
		}
		m.Members = append(m.Members, f)
	}
	return m
}

func catalog(tb testing.TB, b *bucket) *restore.Catalog {
	tb.Helper()
	c, err := restore.Open(tb.Context(), b, "base", "")
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func zstd() archive.Tar {
	return archive.Tar{Name: "data", TargetSize: 16 << 20, LargeFile: 12 << 20, Compression: archive.Zstd, Level: 1, Digest: archive.DigestCRC64NVME}
}
